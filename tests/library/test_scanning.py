from __future__ import annotations

import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_manager.errors import RootAway
from model_manager.facts.disk import Held, Root
from model_manager.facts.shelf import ShelfPath
from model_manager.library import scanning
from model_manager.library.disk import fingerprint
from model_manager.library.incoming.partial import Partial
from model_manager.library.markers import mark
from model_manager.library.pages import Memory
from model_manager.library.scanning import Found, Scan, examine, fingerprint_of, scan, shelf_of
from tests.library.shelves import FLUX, URL, as_nobody, offer, own_root, put, staging


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return own_root(tmp_path / "models")


def shelves(result: Scan) -> set[str]:
    return {str(item.shelf) for item in result.found}


def within(root: Root, *parts: str) -> Path:
    return Path(root.path, *parts)


def known(root: Root) -> dict[str, Held]:
    """What a scan of now would make known."""
    return {item.file: as_known(root, item) for item in scan(root).found}


def as_known(root: Root, item: Found) -> Held:
    return Held(file=item.file, root=root.path, shelf=item.shelf, fingerprint=item.fingerprint)


def differences(root: Root, before: dict[str, Held]) -> tuple[set[str], set[str]]:
    """Names of what a scan finds to differ, and of what is gone."""
    result = scan(root, known=before)
    return {item.shelf.name for item in result.found}, {before[file].shelf.name for file in result.gone}


def test_what_is_found_is_in_the_order_of_paths(root: Root) -> None:
    names = ("vae/b.gguf", "loras/z/a.gguf", "loras/a.gguf", "loras/b.gguf", "checkpoints/x.gguf")
    files = [str(put(within(root, name))) for name in names]
    assert [item.file for item in scan(root).found] == sorted(files)


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
    assert "not be mounted" in result.blocked[0].why
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


def test_what_is_as_known_is_counted_and_nothing_more(root: Root) -> None:
    for name in ("a.pt", "deep/b.pt", "deep/deeper/c.pt"):
        put(within(root, "vae", name), b"12345")
    before = known(root)
    result = scan(root, known=before)
    assert (result.files, result.bytes, result.found, result.gone) == (3, 15, (), ())
    assert len(before) == 3


def test_only_what_differs_is_found(root: Root) -> None:
    for name in ("same.pt", "grown.pt", "touched.pt", "replaced.pt", "left.pt"):
        put(within(root, "vae", name), b"12345")
    before = known(root)
    put(within(root, "vae", "grown.pt"), b"123456")
    os.utime(within(root, "vae", "touched.pt"), ns=(1, 1))
    times = within(root, "vae", "replaced.pt").stat()
    put(within(root, "vae", ".draft"), b"54321").rename(within(root, "vae", "replaced.pt"))
    os.utime(within(root, "vae", "replaced.pt"), ns=(times.st_atime_ns, times.st_mtime_ns))
    within(root, "vae", "left.pt").unlink()
    put(within(root, "vae", "new.pt"))
    assert differences(root, before) == ({"grown.pt", "touched.pt", "replaced.pt", "new.pt"}, {"left.pt"})
    assert scan(root, known=before).files == 5


def test_h6_what_a_known_file_has_become_is_looked_at_again(root: Root, tmp_path: Path) -> None:
    for name in ("fifo.pt", "directory.pt", "nowhere.pt", "elsewhere.pt"):
        put(within(root, "vae", name))
    before = known(root)
    for name in ("fifo.pt", "directory.pt", "nowhere.pt", "elsewhere.pt"):
        within(root, "vae", name).unlink()
    os.mkfifo(within(root, "vae", "fifo.pt"))
    within(root, "vae", "directory.pt").mkdir()
    within(root, "vae", "nowhere.pt").symlink_to(tmp_path / "missing")
    within(root, "vae", "elsewhere.pt").symlink_to(put(tmp_path / "x.pt"))
    assert differences(root, before) == ({"elsewhere.pt"}, {"fifo.pt", "directory.pt", "nowhere.pt"})


def test_a_known_file_that_was_moved_to_the_store_and_linked_back_is_gone(root: Root, tmp_path: Path) -> None:
    comfy = Root(path=str(tmp_path / "comfy"), showing=root.path)
    file = put(tmp_path / "comfy" / "vae" / "a.pt")
    before = known(comfy)
    within(root, "vae").mkdir()
    file.rename(within(root, "vae", "a.pt"))
    file.symlink_to(within(root, "vae", "a.pt"))
    assert differences(comfy, before) == (set(), {"a.pt"})
    assert examine(comfy, str(file), before).gone == (str(file),)


def test_c10_what_is_known_behind_an_unmounted_link_is_not_gone(root: Root, tmp_path: Path) -> None:
    put(tmp_path / "volume" / "x.pt")
    within(root, "vae").symlink_to(tmp_path / "volume")
    before = known(root)
    (tmp_path / "volume").rename(tmp_path / "unmounted")
    assert differences(root, before) == (set(), set())
    assert examine(root, str(within(root, "vae")), before).gone == ()


def test_what_is_known_of_other_roots_or_beside_the_look_is_not_gone(root: Root, tmp_path: Path) -> None:
    put(within(root, "vae", "a.pt"))
    put(within(root, "vae2", "b.pt"))
    other = own_root(tmp_path / "models-2")
    put(Path(other.path, "vae", "c.pt"))
    before = known(root) | known(other)
    for each in (within(root, "vae", "a.pt"), within(root, "vae2", "b.pt"), Path(other.path, "vae", "c.pt")):
        each.unlink()
    assert scan(root, str(within(root, "vae")), before).gone == (str(within(root, "vae", "a.pt")),)


def test_a_root_that_became_a_category_finds_its_files_on_new_shelves(root: Root) -> None:
    put(within(root, "loras", "a.pt"))
    put(within(root, "loras", "b.pt"))
    before = known(root)
    found = scan(Root(path=root.path, folder="embeddings"), known=before).found
    assert {str(item.shelf) for item in found} == {"embeddings/loras/a.pt", "embeddings/loras/b.pt"}
    inside = Root(path=str(within(root, "loras")))
    assert {item.shelf.name for item in scan(Root(path=inside.path, folder="loras"), known=before).found} == {
        "a.pt",
        "b.pt",
    }


def test_a_directory_that_became_a_file_takes_along_what_was_in_it(root: Root) -> None:
    inside = put(within(root, "vae", "x.pt", "a.pt"))
    before = known(root)
    inside.unlink()
    inside.parent.rmdir()
    put(inside.parent)
    result = examine(root, str(inside.parent), before)
    assert ([item.file for item in result.found], result.gone) == ([str(inside.parent)], (str(inside),))


STEPS = ("put", "grow", "remove", "move", "remove directory", "link")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 3), st.integers(0, 3)), max_size=6), max_size=6)
)
def test_the_differences_lead_from_what_was_known_to_what_is_there(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[tuple[str, int, int]]]
) -> None:
    """With and without a memory of the last look."""
    root = own_root(tmp_path_factory.mktemp("root") / "models")
    memory = Memory()
    before: dict[str, Held] = {}
    for steps in [*rounds, [], [], []]:
        for step in steps:
            change(root, *step)
        result = scan(root, known=before, memory=memory)
        plain = scan(root, known=before)
        assert {item.file: item for item in result.found} == {item.file: item for item in plain.found}
        assert (set(result.gone), result.files, result.bytes) == (set(plain.gone), plain.files, plain.bytes)
        assert not {item.file for item in result.found if (was := before.get(item.file)) and same(was, item)}
        before = {file: held for file, held in before.items() if file not in result.gone}
        before |= {item.file: as_known(root, item) for item in result.found}
        assert before == known(root)
    assert (result.found, result.gone, result.files) == ((), (), len(before))


def same(was: Held, item: Found) -> bool:
    return was.fingerprint == item.fingerprint


def change(root: Root, step: str, folder: int, number: int) -> None:
    file = within(root, "vae", str(folder), f"{number}.pt")
    other = within(root, "vae", str((folder + 1) % 4), f"{number}.pt")
    if step == "put":
        if not file.exists():
            file.unlink(missing_ok=True)  # a link to nothing
        put(file)
    elif step == "grow" and file.exists():
        with file.open("ab") as stream:
            stream.write(b"more")
    elif step == "remove":
        file.unlink(missing_ok=True)
    elif step == "move" and file.exists():
        other.parent.mkdir(parents=True, exist_ok=True)
        file.rename(other)
    elif step == "remove directory":
        shutil.rmtree(file.parent, ignore_errors=True)
    elif step == "link" and file.exists() and not other.exists():
        other.parent.mkdir(parents=True, exist_ok=True)
        other.symlink_to(file)


def test_what_became_known_by_itself_is_not_missed_by_a_memory(root: Root, tmp_path: Path) -> None:
    """Beside the looks: a file was fetched, another was removed and is not known any more, a third was read."""
    for name in ("a.pt", "b.pt", "c.pt", "note.txt"):
        put(within(root, "vae", name))
    memory = Memory()
    before = known(root)
    for _ in range(2):
        assert scan(root, known=before, memory=memory).files == 3
    put(within(root, "vae", "fetched.pt"))
    within(root, "vae", "b.pt").unlink()
    now = known(root)
    now[str(within(root, "vae", "a.pt"))] = replace(now[str(within(root, "vae", "a.pt"))], against="sha256:aa")
    for _ in range(3):
        result = scan(root, known=now, memory=memory)
        assert (result.found, result.gone, result.files) == ((), (), 3)
    assert len(memory.pages) == 1
    shutil.rmtree(within(root, "vae"))
    assert len(scan(root, known=now, memory=memory).gone) == 3
    assert memory.pages == {}


def test_what_a_memory_holds_is_not_known_by_that(root: Root) -> None:
    put(within(root, "vae", "a.pt"))
    memory = Memory()
    before = known(root)
    for _ in range(2):
        scan(root, known=before, memory=memory)
    assert shelves(scan(root, known={}, memory=memory)) == {"vae/a.pt"}


def test_a_memory_of_a_directory_that_is_another_folder_now_is_not_used(root: Root) -> None:
    put(within(root, "vae", "a.pt"))
    memory, before = Memory(), known(root)
    for _ in range(2):
        scan(root, known=before, memory=memory)
    (found,) = scan(Root(path=root.path, folder="embeddings"), known=before, memory=memory).found
    assert str(found.shelf) == "embeddings/vae/a.pt"
