from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from model_manager.errors import NoInodes, NoSpace, RootAway
from model_manager.library.space import Space

GB = 10**9


class Disk:
    """A file system with as many bytes free as the test says."""

    def __init__(self) -> None:
        self.free = 100 * GB
        self.inodes = 1000

    def statvfs(self, _: str) -> SimpleNamespace:
        blocks = self.free // 1000
        return SimpleNamespace(
            f_bavail=blocks,
            f_frsize=1000,
            f_blocks=10**9,
            f_files=10**6 if self.inodes >= 0 else 0,
            f_favail=self.inodes,
        )


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    fake = Disk()
    monkeypatch.setattr("os.statvfs", fake.statvfs)
    return fake


def test_c2_three_downloads_together_never_cross_the_floor(tmp_path: Path, disk: Disk) -> None:
    space = Space(floor=10 * GB)
    with ExitStack() as running:
        for name in ("a", "b"):
            running.enter_context(space.reserve(str(tmp_path), 40 * GB, name))
        with pytest.raises(NoSpace) as caught:
            space.reserve(str(tmp_path), 11 * GB, "c")
        assert "promised to running downloads" in str(caught.value)
        running.enter_context(space.reserve(str(tmp_path), 10 * GB, "c"))
    assert space.reserved(str(tmp_path)) == 0


def test_b8_what_can_never_fit_is_refused_before_the_first_byte(tmp_path: Path) -> None:
    with pytest.raises(NoSpace, match="20000000000000"):
        Space(floor=0).reserve(str(tmp_path), 20 * 10**12, "x")


def test_bytes_that_were_written_are_not_counted_twice(tmp_path: Path, disk: Disk) -> None:
    space = Space(floor=10 * GB)
    with space.reserve(str(tmp_path), 80 * GB, "a") as reservation:
        for _ in range(7):
            reservation.writing(10 * GB)
            disk.free -= 10 * GB
        assert space.reserved(str(tmp_path)) == 10 * GB
        with space.reserve(str(tmp_path), 10 * GB, "b"):
            pass
        with pytest.raises(NoSpace):
            space.reserve(str(tmp_path), 11 * GB, "b")


def test_c2_space_eaten_by_others_pauses_before_the_floor(tmp_path: Path, disk: Disk) -> None:
    space = Space(floor=10 * GB)
    with space.reserve(str(tmp_path), 50 * GB, "a") as reservation:
        reservation.writing(GB)
        disk.free = 10 * GB + 5000
        reservation.writing(5000)
        with pytest.raises(NoSpace):
            reservation.writing(5001)
    assert space.reserved(str(tmp_path)) == 0


def test_b6_more_than_was_reserved_is_still_held_to_the_floor(tmp_path: Path, disk: Disk) -> None:
    space = Space(floor=10 * GB)
    with space.reserve(str(tmp_path), 0, "unknown length") as reservation:
        reservation.writing(50 * GB)
        with pytest.raises(NoSpace):
            reservation.writing(91 * GB)
    assert space.reserved(str(tmp_path)) == 0


def test_c3_too_few_inodes_are_said_as_such(tmp_path: Path, disk: Disk) -> None:
    disk.inodes = 3
    with pytest.raises(NoInodes, match="only 3 more files"):
        Space(floor=0).reserve(str(tmp_path), 1, "x")
    disk.inodes = -1  # btrfs counts none
    with Space(floor=0).reserve(str(tmp_path), 1, "x"):
        pass


@pytest.mark.needs("tmpfs")
def test_c3_a_file_system_without_inodes_refuses_new_downloads(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys\n"
        "subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=9m,nr_inodes=9', 'none', sys.argv[1]], check=True)\n"
        "from model_manager.errors import NoInodes, NoSpace\n"
        "from model_manager.library.space import Space\n"
        "try:\n    Space(0).reserve(sys.argv[1], 1, 'x')\n"
        "except NoInodes:\n    print('inodes')\n"
        "subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=9m', 'none', sys.argv[1]], check=True)\n"
        "try:\n    Space(1 << 20).reserve(sys.argv[1], 9 << 20, 'x')\n"
        "except NoSpace:\n    print('bytes')\n"
        "with Space(1 << 20).reserve(sys.argv[1], 8 << 20, 'x'):\n    print('fits')\n"
    )
    run = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["inodes", "bytes", "fits"]


def test_roots_of_one_file_system_share_its_reservations(tmp_path: Path, disk: Disk) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    space = Space(floor=0)
    with space.reserve(str(tmp_path / "a"), 60 * GB, "a"), pytest.raises(NoSpace):
        space.reserve(str(tmp_path / "b"), 60 * GB, "b")


def test_reservations_are_right_from_many_threads(tmp_path: Path, disk: Disk) -> None:
    space = Space(floor=0)

    def download(_: int) -> None:
        with space.reserve(str(tmp_path), 1000, "x") as reservation:
            for _ in range(5):
                reservation.writing(100)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(download, range(300)))
    assert space.reserved(str(tmp_path)) == 0


def test_a_failed_download_gives_its_reservation_back(tmp_path: Path, disk: Disk) -> None:
    space = Space(floor=0)
    with pytest.raises(ZeroDivisionError), space.reserve(str(tmp_path), 5, "x"):
        raise ZeroDivisionError
    assert space.reserved(str(tmp_path)) == 0


def test_the_state_of_a_disk(tmp_path: Path) -> None:
    state = Space(floor=7).disk(str(tmp_path))
    real = os.statvfs(tmp_path)
    assert (state.root, state.floor, state.total) == (str(tmp_path), 7, real.f_blocks * real.f_frsize)
    assert 0 < state.free <= state.total


def test_c10_a_root_that_is_not_there_is_away(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    space = Space(floor=0)
    for ask in (lambda: space.disk(missing), lambda: space.reserve(missing, 1, "x"), lambda: space.reserved(missing)):
        with pytest.raises(RootAway):
            ask()
