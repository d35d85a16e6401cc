from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from model_manager.errors import BadPath, Corrupt, DiskUnavailable, Occupied, RootAway, StillChanging, Stopped
from model_manager.facts.disk import Fingerprint, Root
from model_manager.facts.identity import Digests
from model_manager.facts.shelf import ShelfPath
from model_manager.library.contents.hashing import digest_file
from model_manager.library.disk import fingerprint
from model_manager.library.incoming.placing import insist_free, link, place
from model_manager.library.markers import QUARANTINE
from model_manager.library.scanning import scan
from tests.library.faulty import FaultyDisk
from tests.library.shelves import FLUX, own_root, put, staging

DEEP = ShelfPath(folder="loras", name="SD15/anime/x.safetensors")

AT_FDCWD, RENAME_EXCHANGE = -100, 2


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return own_root(tmp_path / "models")


def ready(root: Root, content: bytes = b"verified") -> str:
    return str(put(Path(staging(root), "new.part"), content))


def at(root: Root, shelf: ShelfPath = FLUX) -> Path:
    return Path(root.path, str(shelf))


def known(file: Path) -> tuple[Fingerprint, Digests]:
    return digest_file(str(file))


@pytest.mark.parametrize("shelf", [FLUX, DEEP], ids=str)
def test_a_finished_file_gets_its_name(root: Root, shelf: ShelfPath) -> None:
    source = ready(root)
    placed = place(source, root, shelf)
    assert at(root, shelf).read_bytes() == b"verified"
    assert placed == fingerprint(at(root, shelf).stat())
    assert not os.path.exists(source)
    assert [item.fingerprint for item in scan(root).found] == [placed]


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_k11_directories_are_open_to_comfyui_under_any_umask(root: Root, mask: int) -> None:
    before = os.umask(mask)
    try:
        place(ready(root), root, DEEP)
    finally:
        os.umask(before)
    for folder in (at(root, DEEP).parent, at(root, DEEP).parent.parent):
        assert folder.stat().st_mode & 0o7777 == 0o755


def test_k11_a_set_group_id_is_inherited(root: Root) -> None:
    os.chmod(root.path, 0o2775)
    place(ready(root), root, FLUX)
    assert at(root).parent.stat().st_mode & 0o2000


@pytest.mark.parametrize("where", ["folder", "inner", "file"])
def test_k3_a_link_or_file_in_the_way_is_refused_and_nothing_is_written_through_it(
    root: Root, tmp_path: Path, where: str
) -> None:
    outside = tmp_path / "etc"
    (outside / "SD15" / "anime").mkdir(parents=True)
    if where == "folder":
        Path(root.path, "loras").symlink_to(outside)
    elif where == "inner":
        Path(root.path, "loras").mkdir()
        Path(root.path, "loras", "SD15").symlink_to(outside / "SD15")
    else:
        put(Path(root.path, "loras"))
    source = ready(root)
    with pytest.raises(BadPath, match="link or a file"):
        place(source, root, DEEP)
    assert not list(outside.rglob("*.safetensors"))
    assert os.path.exists(source)


def test_k3_a_directory_that_is_swapped_for_a_link_while_we_place_leads_nowhere_else(
    root: Root, tmp_path: Path
) -> None:
    outside = tmp_path / "etc"
    outside.mkdir()
    folder, trap = Path(root.path, "checkpoints"), Path(root.path, "trap")
    folder.mkdir()
    trap.symlink_to(outside)
    stop = threading.Event()

    def swap() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        while not stop.is_set():
            assert libc.renameat2(AT_FDCWD, bytes(folder), AT_FDCWD, bytes(trap), RENAME_EXCHANGE) == 0

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        placed = refused = 0
        for number in range(150):
            try:
                place(ready(root), root, ShelfPath(folder="checkpoints", name=f"{number}.safetensors"))
                placed += 1
            except BadPath:
                refused += 1
    finally:
        stop.set()
        swapper.join()
    assert os.listdir(outside) == []
    assert placed + refused == 150


@pytest.mark.parametrize("kind", ["file", "link", "dangling", "directory", "fifo"])
def test_i7_whoever_has_the_name_first_keeps_it(root: Root, tmp_path: Path, kind: str) -> None:
    at(root).parent.mkdir()
    theirs = put(tmp_path / "theirs", b"theirs")
    {
        "file": lambda: put(at(root), b"theirs"),
        "link": lambda: at(root).symlink_to(theirs),
        "dangling": lambda: at(root).symlink_to(tmp_path / "nowhere"),
        "directory": at(root).mkdir,
        "fifo": lambda: os.mkfifo(at(root)),
    }[kind]()
    before = at(root).lstat()
    source = ready(root)
    with pytest.raises(Occupied):
        place(source, root, FLUX)
    assert at(root).lstat() == before
    assert theirs.read_bytes() == b"theirs"
    assert Path(source).read_bytes() == b"verified"


def test_i7_a_file_that_appears_in_our_rename_is_never_mixed_or_lost(root: Root) -> None:
    at(root).parent.mkdir()

    class Racing(FaultyDisk):
        def rename(self, old: str, new: str, *, old_folder: int, new_folder: int) -> None:
            put(at(root), b"theirs")
            super().rename(old, new, old_folder=old_folder, new_folder=new_folder)

    source = ready(root)
    with pytest.raises(Occupied):
        place(source, root, FLUX, disk=Racing())
    assert at(root).read_bytes() == b"theirs"
    assert Path(source).read_bytes() == b"verified"


def test_a_file_that_was_judged_wrong_moves_to_the_quarantine(root: Root) -> None:
    wrong = fingerprint(put(at(root), b"wrong").stat())
    place(ready(root), root, FLUX, replaces=wrong)
    assert at(root).read_bytes() == b"verified"
    aside = Path(root.path, QUARANTINE, "checkpoints--flux.safetensors.1")
    assert aside.read_bytes() == b"wrong"
    assert len(scan(root).found) == 1


def test_i7_a_wrong_file_that_changed_since_is_not_replaced(root: Root) -> None:
    wrong = fingerprint(put(at(root), b"wrong").stat())
    put(at(root), b"mended by its owner")
    with pytest.raises(Occupied):
        place(ready(root), root, FLUX, replaces=wrong)
    assert at(root).read_bytes() == b"mended by its owner"


def test_k3_a_place_that_is_taken_is_refused_before_the_first_byte(root: Root) -> None:
    insist_free(root, FLUX)
    wrong = fingerprint(put(at(root), b"wrong").stat())
    insist_free(root, FLUX, replaces=wrong)
    with pytest.raises(Occupied):
        insist_free(root, FLUX)
    assert at(root).read_bytes() == b"wrong"


def test_a_link_to_the_wrong_file_moves_and_its_target_stays(root: Root, tmp_path: Path) -> None:
    target = put(tmp_path / "elsewhere.safetensors", b"wrong")
    at(root).parent.mkdir()
    at(root).symlink_to(target)
    place(ready(root), root, FLUX, replaces=fingerprint(target.stat()))
    assert not at(root).is_symlink()
    assert target.read_bytes() == b"wrong"


def test_the_quarantine_never_loses_an_earlier_file(root: Root) -> None:
    for number in range(3):
        wrong = fingerprint(put(at(root), b"%d" % number).stat())
        place(ready(root), root, FLUX, replaces=wrong)
        at(root).unlink()
    kept = sorted(Path(root.path, QUARANTINE).iterdir())
    assert [path.read_bytes() for path in kept] == [b"0", b"1", b"2"]


def test_the_quarantine_takes_names_of_any_length(root: Root) -> None:
    shelf = ShelfPath(folder="loras", name=f"{'d' * 200}/{'ü' * 110}.safetensors")
    wrong = fingerprint(put(at(root, shelf), b"x").stat())
    place(ready(root), root, shelf, replaces=wrong)
    assert [path.read_bytes() for path in Path(root.path, QUARANTINE).iterdir()] == [b"x"]


@pytest.mark.parametrize("code", [errno.EIO, errno.EXDEV, errno.EROFS])
def test_c5_a_failed_rename_leaves_the_finished_file_where_it_was(root: Root, code: int) -> None:
    source = ready(root)
    with pytest.raises(DiskUnavailable):
        place(source, root, FLUX, disk=FaultyDisk("rename", code))
    assert not at(root).exists()
    assert Path(source).read_bytes() == b"verified"
    place(source, root, FLUX)


@pytest.mark.parametrize("turn", [1, 2])
def test_c5_a_failed_sync_of_a_directory_is_not_a_success(root: Root, turn: int) -> None:
    source = ready(root)
    with pytest.raises(DiskUnavailable):
        place(source, root, FLUX, disk=FaultyDisk("sync", errno.EIO, at=turn))
    assert not at(root).exists()
    place(source, root, FLUX)


@pytest.mark.needs("tmpfs")
def test_c5_a_folder_on_another_file_system_is_never_copied_to(tmp_path: Path) -> None:
    program = (
        "import os, subprocess, sys\n"
        "from pathlib import Path\n"
        "from model_manager.errors import DiskUnavailable\n"
        "from model_manager.library.incoming.placing import place\n"
        "from tests.library.shelves import FLUX, own_root, put, staging\n"
        "root = own_root(Path(sys.argv[1]))\n"
        "source = put(Path(staging(root), 'new.part'))\n"
        "os.mkdir(f'{root.path}/checkpoints')\n"
        "subprocess.run(['mount', '-t', 'tmpfs', 'none', f'{root.path}/checkpoints'], check=True)\n"
        "try:\n    place(str(source), root, FLUX)\n"
        "except DiskUnavailable as error:\n    print(error)\n"
        "print(os.listdir(f'{root.path}/checkpoints'), source.exists())\n"
    )
    run = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )
    assert "another file system" in run.stdout
    assert run.stdout.endswith("[] True\n")


def test_c10_a_root_that_was_unmounted_gets_no_directory(root: Root, tmp_path: Path) -> None:
    source = ready(root)
    empty = Root(path=str(tmp_path / "mountpoint"), own=True)
    os.mkdir(empty.path)
    with pytest.raises(RootAway):
        place(source, empty, FLUX)
    with pytest.raises(RootAway):
        place(source, Root(path=str(tmp_path / "gone"), own=True), FLUX)
    assert os.listdir(empty.path) == []
    assert not (tmp_path / "gone").exists()


def test_a_foreign_root_is_never_written_to(root: Root, tmp_path: Path) -> None:
    foreign = Root(path=root.path)
    with pytest.raises(BadPath):
        place(ready(root), foreign, FLUX)


def test_k1_a_path_that_climbs_is_refused_even_here(root: Root, tmp_path: Path) -> None:
    for name in ("../x.safetensors", "a/../../x.safetensors"):
        with pytest.raises(BadPath):
            place(ready(root), root, ShelfPath(folder="loras", name=name))
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.needs("strace")
@pytest.mark.parametrize("call", ["renameat2", "mkdirat"])
def test_d2_killed_before_the_rename_the_finished_file_is_still_there(root: Root, call: str) -> None:
    source = ready(root)
    program = (
        "import sys\n"
        "from model_manager.facts.disk import Root\n"
        "from model_manager.library.incoming.placing import place\n"
        "from tests.library.shelves import FLUX\n"
        "place(sys.argv[1], Root(path=sys.argv[2], own=True), FLUX)\n"
    )
    trace = ["strace", "-f", "-o", "/dev/null", "-e", f"inject={call}:signal=SIGKILL"]
    trace += ["-P", f"{root.path}/checkpoints", "-P", "checkpoints"] if call == "mkdirat" else []
    run = subprocess.run([*trace, sys.executable, "-c", program, source, root.path], check=False, capture_output=True)
    assert run.returncode in (-9, 128 + 9), run.stderr
    assert not at(root).exists()
    place(source, root, FLUX)
    assert at(root).read_bytes() == b"verified"


def test_i3_a_second_name_for_held_bytes_needs_no_download(root: Root) -> None:
    file = put(at(root), os.urandom(5000))
    calm, digests = known(file)
    placed = link(str(file), calm, digests, root, DEEP)
    assert at(root, DEEP).read_bytes() == file.read_bytes()
    assert placed == fingerprint(at(root, DEEP).stat())
    assert os.listdir(staging(root)) == []


def refuse(monkeypatch: pytest.MonkeyPatch, *calls: str) -> None:
    """File systems that share no blocks, or no names."""

    def no(*_: object, **__: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "not here")

    for call in calls:
        monkeypatch.setattr(call, no)


def test_i3_without_shared_blocks_it_is_a_hard_link(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "fcntl.ioctl")
    file = put(at(root))
    placed = link(str(file), *known(file), root, DEEP)
    assert placed.inode == file.stat().st_ino


def test_i3_a_linked_source_gives_its_file_and_not_the_link(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, "fcntl.ioctl")
    target = put(tmp_path / "models" / "elsewhere" / "x.safetensors")
    at(root).parent.mkdir()
    at(root).symlink_to(target)
    link(str(at(root)), *known(at(root)), root, DEEP)
    assert not at(root, DEEP).is_symlink()
    assert at(root, DEEP).samefile(target)


def test_i3_without_hard_links_it_is_a_copy_that_is_read_back(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "fcntl.ioctl", "os.link")
    file = put(at(root), os.urandom(3 << 20))
    calm, digests = known(file)
    placed = link(str(file), calm, digests, root, DEEP)
    assert placed.inode != calm.inode
    assert known(at(root, DEEP))[1] == digests
    assert at(root, DEEP).stat().st_mode & 0o7777 == 0o644


def test_c6_a_copy_that_reads_back_otherwise_gets_no_name(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "fcntl.ioctl", "os.link")
    file = put(at(root), b"right")
    calm, _ = known(file)
    other = digest_file(str(put(Path(root.path, "loras", "other.safetensors"), b"other")))[1]
    with pytest.raises(Corrupt):
        link(str(file), calm, other, root, DEEP)
    assert not at(root, DEEP).exists()
    assert os.listdir(staging(root)) == []


def test_a_copy_can_be_stopped(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "fcntl.ioctl", "os.link")
    file = put(at(root))
    with pytest.raises(Stopped):
        link(str(file), *known(file), root, DEEP, cancelled=lambda: True)
    assert os.listdir(staging(root)) == []


def test_a_source_that_changed_or_left_is_not_linked(root: Root) -> None:
    file = put(at(root))
    calm, digests = known(file)
    put(at(root), b"longer than before")
    with pytest.raises(StillChanging):
        link(str(file), calm, digests, root, DEEP)
    file.unlink()
    with pytest.raises(StillChanging):
        link(str(file), calm, digests, root, DEEP)
    assert not at(root, DEEP).exists()


def test_a_crash_in_the_middle_of_linking_is_no_obstacle_later(root: Root) -> None:
    file = put(at(root))
    calm, digests = known(file)
    with pytest.raises(DiskUnavailable):
        link(str(file), calm, digests, root, DEEP, disk=FaultyDisk("rename", errno.EIO))
    link(str(file), calm, digests, root, DEEP)
