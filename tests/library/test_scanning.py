from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from model_manager.errors import RootAway
from model_manager.facts.disk import Root
from model_manager.facts.shelf import ShelfPath
from model_manager.library import scanning
from model_manager.library.disk import fingerprint
from model_manager.library.markers import mark
from model_manager.library.partial import Partial
from model_manager.library.scanning import Scan, examine, fingerprint_of, look, scan, shelf_of
from tests.library.shelves import FLUX, URL, as_nobody, offer, own_root, put, staging


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return own_root(tmp_path / "models")


def shelves(result: Scan) -> set[str]:
    return {str(item.shelf) for item in result.found}


def within(root: Root, *parts: str) -> Path:
    return Path(root.path, *parts)


def test_models_are_found_by_folder_and_name(root: Root) -> None:
    file = put(within(root, "loras", "SD15", "x.SAFETENSORS"))
    put(within(root, "unet", "y.gguf"))
    result = scan(root)
    assert shelves(result) == {"loras/SD15/x.SAFETENSORS", "unet/y.gguf"}
    assert {item.file: item.fingerprint for item in result.found}[str(file)] == fingerprint(file.stat())
    assert (result.unreadable, result.skipped) == ((), ())
    assert result.seconds >= 0


def test_a_category_directory_is_one_folder(tmp_path: Path) -> None:
    put(tmp_path / "deep" / "x.pt")
    put(tmp_path / "y.pt")
    found = scan(Root(path=str(tmp_path), folder="embeddings"))
    assert shelves(found) == {"embeddings/deep/x.pt", "embeddings/y.pt"}


def test_what_is_no_model_is_not_found(root: Root) -> None:
    mark(root.path)
    with Partial.open(staging(root), FLUX) as partial:
        partial.begin(URL, offer())
    for place in (
        "in_no_folder.safetensors", "loras/x.safetensors.part", "loras/config.json", "loras/put_loras_here",
        "loras/.hidden.safetensors", "loras/.git/x.bin", ".cache/x.safetensors", "loras/.safetensors",
    ):  # fmt: skip
        put(within(root, place))
    result = scan(root)
    assert result.found == ()
    assert [item.why for item in result.skipped] == ["it is in no folder such as 'checkpoints'"]


def test_h6_fifos_sockets_and_devices_are_passed_over_without_opening(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = within(root, "vae")
    folder.mkdir()
    os.mkfifo(folder / "fifo.safetensors")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(folder)  # names of sockets are short
        listener.bind("s.pt")
    (folder / "device.bin").symlink_to("/dev/zero")
    (folder / "directory.ckpt").mkdir()
    result = scan(root)
    assert result.found == ()
    assert {Path(item.path).name for item in result.skipped} == {"fifo.safetensors", "s.pt", "device.bin"}
    assert examine(root, str(folder / "fifo.safetensors")) == Scan()
    assert fingerprint_of(str(folder / "fifo.safetensors")) is None


def test_h6_linked_directories_are_followed_and_loops_end(root: Root, tmp_path: Path) -> None:
    put(tmp_path / "big" / "x.safetensors")
    within(root, "loras").mkdir()
    within(root, "loras", "linked").symlink_to(tmp_path / "big")
    within(root, "loras", "up").symlink_to(within(root))
    within(root, "loras", "self").symlink_to(within(root, "loras"))
    (tmp_path / "big" / "back").symlink_to(within(root, "loras"))
    result = scan(root)
    assert shelves(result) == {"loras/linked/x.safetensors"}
    assert all("leads back" in item.why for item in result.skipped)


def test_h6_links_that_multiply_end_at_a_limit_and_what_was_not_seen_is_unknown(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "MAX_DIRECTORIES", 200)
    folders = [within(root, "loras", str(number)) for number in range(8)]
    for folder in folders:
        folder.mkdir(parents=True)
    for folder in folders:
        for other in folders:
            (folder / f"to_{other.name}").symlink_to(other)
    result = scan(root)
    assert result.unreadable
    assert not result.covers(f"{result.unreadable[0]}/x.safetensors")


def test_a_link_to_a_file_has_the_files_fingerprint_and_a_dangling_one_is_absent(root: Root, tmp_path: Path) -> None:
    target = put(tmp_path / "x")
    within(root, "vae").mkdir()
    within(root, "vae", "a.pt").symlink_to(target)
    within(root, "vae", "b.pt").symlink_to(tmp_path / "gone")
    result = scan(root)
    assert [item.fingerprint for item in result.found] == [fingerprint(target.stat())]
    assert result.covers(str(within(root, "vae", "b.pt")))


def test_c10_what_lay_behind_a_link_to_an_unmounted_directory_is_unknown(root: Root, tmp_path: Path) -> None:
    within(root, "checkpoints").symlink_to(tmp_path / "volume" / "checkpoints")
    result = scan(root)
    assert result.unreadable == (str(within(root, "checkpoints")),)
    assert not result.covers(str(within(root, "checkpoints", "x.safetensors")))
    assert result.covers(str(within(root, "checkpoints2", "x.safetensors")))


@pytest.mark.needs("root")
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o000], ids=oct)
def test_h6_a_directory_without_x_is_unknown_and_not_empty(root: Root, mode: int) -> None:
    for path in within(root, "loras").parents:
        if str(path).startswith("/tmp/"):
            path.chmod(path.stat().st_mode | 0o055)
    file = put(within(root, "loras", "x.safetensors"))
    put(within(root, "vae", "y.safetensors"))
    within(root, "loras").chmod(mode)

    def look_at_it() -> None:
        result = scan(root)
        assert shelves(result) == {"vae/y.safetensors"}
        assert not result.covers(str(file))
        assert not examine(root, str(file)).covers(str(file))
        assert not examine(root, str(file.parent)).covers(str(file))
        with pytest.raises(RootAway):
            look(root, str(file))

    as_nobody(look_at_it)


def test_names_that_are_no_utf8_are_passed_over_with_a_reason(root: Root) -> None:
    put(within(root, "vae", "good.pt"))
    put(within(root, "vae", os.fsdecode(b"bad\xff.pt")))
    os.mkdir(within(root, "vae", os.fsdecode(b"dir\xff")))
    result = scan(root)
    assert shelves(result) == {"vae/good.pt"}
    assert len(result.skipped) == 2
    assert examine(root, str(within(root, "vae", os.fsdecode(b"bad\xff.pt")))) == Scan()


def test_c10_a_root_that_cannot_be_listed_is_away_and_not_empty(tmp_path: Path) -> None:
    with pytest.raises(RootAway):
        scan(Root(path=str(tmp_path / "missing")))
    with pytest.raises(RootAway):
        scan(Root(path=str(put(tmp_path / "file"))))


def test_one_directory_can_be_scanned_alone(root: Root) -> None:
    put(within(root, "loras", "a", "x.pt"))
    put(within(root, "loras", "b", "y.pt"))
    assert shelves(scan(root, below=str(within(root, "loras", "a")))) == {"loras/a/x.pt"}
    assert scan(root, below=str(within(root, "loras", "left"))).found == ()


def test_c10_examine_does_not_call_gone_what_was_behind_a_link_to_an_unmounted_volume(
    root: Root, tmp_path: Path
) -> None:
    within(root, "vae").symlink_to(tmp_path / "unmounted")
    file = str(within(root, "vae", "x.pt"))
    for path in (file, str(within(root, "vae"))):
        assert not examine(root, path).covers(file)
    single = within(root, "loras", "x.pt")
    single.parent.mkdir()
    single.symlink_to(tmp_path / "gone.pt")
    assert examine(root, str(single)).covers(str(single))


def test_examine_answers_for_any_path_a_watcher_names(root: Root, tmp_path: Path) -> None:
    file = put(within(root, "loras", "a", "x.pt"))
    outside = put(tmp_path / "models-evil" / "loras" / "x.pt")
    for path in (root.path, str(file.parent), str(file)):
        assert shelves(examine(root, path)) == {"loras/a/x.pt"}
    for path in (str(outside), str(within(root, ".cache")), str(within(root, "loras", "gone.pt")), f"{file}/below"):
        assert examine(root, path) == Scan()
    file.unlink()
    assert examine(root, str(file)).covers(str(file))


def test_shelves_of_paths(root: Root) -> None:
    assert shelf_of(root, f"{root.path}/vae/a/x.pt") == ShelfPath(folder="vae", name="a/x.pt")
    for path in (f"{root.path}/x.pt", f"{root.path}-evil/vae/x.pt", root.path, f"{root.path}/vae/.x/y.pt", "/x"):
        assert shelf_of(root, path) is None
    slash = Root(path=f"{root.path}/")
    assert shelf_of(slash, f"{root.path}/vae/x.pt") == ShelfPath(folder="vae", name="x.pt")


def test_h6_three_thousand_files_are_found_one_by_one(root: Root) -> None:
    for folder in range(10):
        place = within(root, "loras", str(folder))
        place.mkdir(parents=True)
        for number in range(300):
            os.close(os.open(place / f"{number}.safetensors", os.O_CREAT))
    assert len(scan(root).found) == 3000
