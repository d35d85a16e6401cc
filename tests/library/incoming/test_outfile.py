from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_manager.errors import NoSpace
from model_manager.library.disk import Disk
from model_manager.library.incoming.extents import Extents
from model_manager.library.incoming.outfile import STEP, OutFile
from model_manager.library.volume import Volume
from tests.library.faulty import FaultyDisk

FAST = Volume(kind="ext4", direct=True, preallocate=True, holes=True)
PLAIN = Volume(kind="")
PAGE = 4096


@pytest.fixture(params=[FAST, PLAIN], ids=["fast", "plain"])
def volume(request: pytest.FixtureRequest) -> Volume:
    return request.param


class Charged(list[int]):
    """What was charged; more than `limit` at once does not fit."""

    limit = 1 << 60

    def __call__(self, size: int) -> None:
        if size > self.limit:
            raise NoSpace(root="/", free=0, name="x", need=size, floor=0)
        self.append(size)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x"


def opened_at(path: Path, volume: Volume, disk: Disk | None = None) -> OutFile:
    return OutFile(os.open(path, os.O_RDWR | os.O_CREAT), disk or Disk(), volume, Extents())


def aligned(data: bytes, at: int) -> memoryview:
    """The data in memory that has the same place within a page as byte `at` of the file."""
    memory = mmap.mmap(-1, len(data) + PAGE)
    memory[at % PAGE : at % PAGE + len(data)] = data
    return memoryview(memory)[at % PAGE : at % PAGE + len(data)]


@pytest.mark.parametrize(
    ("at", "size"), [(0, 1), (0, PAGE), (5, 3 * PAGE), (PAGE, 2 * PAGE + 7), (4095, 2), (4095, PAGE + 2)]
)
@pytest.mark.parametrize("taking", [1 << 30, 1000])
def test_bytes_at_any_place_are_read_back(path: Path, volume: Volume, at: int, size: int, taking: int) -> None:
    out = opened_at(path, volume, FaultyDisk(taking=taking))
    content = os.urandom(size)
    out.write([aligned(content[:5000], at), aligned(content[5000:], at + 5000)], at)
    assert path.read_bytes() == bytes(at) + content
    assert out.suspect == (size > taking)
    memory, got = memoryview(mmap.mmap(-1, 1 << 20)), b""
    while read := out.read(memory, at + len(got), 1 << 20):
        got += memory[:read]
    assert got == content
    out.close()


def test_where_direct_writing_is_refused_it_goes_on_without(path: Path) -> None:
    disk = FaultyDisk("write", errno.EINVAL)
    out = opened_at(path, FAST, disk)
    out.write([aligned(b"x" * PAGE, 0)], 0)
    out.write([aligned(b"y" * PAGE, PAGE)], PAGE)
    assert path.read_bytes() == b"x" * PAGE + b"y" * PAGE
    assert disk.used["write"] == 3
    assert not out.suspect
    out.close()


def test_a_plain_write_that_fails_is_no_reason_to_go_on(path: Path) -> None:
    out = opened_at(path, PLAIN, FaultyDisk("write", errno.EINVAL))
    with pytest.raises(OSError):
        out.write([aligned(b"x" * PAGE, 0)], 0)
    out.close()


def test_setting_blocks_aside_says_nothing_of_the_length(path: Path) -> None:
    out, charged = opened_at(path, FAST), Charged()
    out.make_room(0, PAGE, 1 << 20, charged)
    state = path.stat()
    assert (state.st_size, charged) == (0, [1 << 20])
    assert state.st_blocks * 512 >= 1 << 20
    out.make_room(PAGE, 1 << 20, 1 << 20, charged)
    assert len(charged) == 1
    out.write([aligned(b"x" * PAGE, PAGE)], PAGE)
    out.give_back(Extents([(PAGE, 2 * PAGE)]))
    state = path.stat()
    assert (state.st_size, state.st_blocks * 512) == (2 * PAGE, PAGE)
    out.close()


def test_c1_when_the_step_ahead_does_not_fit_the_bytes_themselves_may(path: Path) -> None:
    out, charged = opened_at(path, FAST), Charged()
    charged.limit = PAGE
    out.make_room(0, PAGE, 2 * STEP, charged)
    assert charged == [PAGE]
    with pytest.raises(NoSpace):
        out.make_room(PAGE, 3 * PAGE, 2 * STEP, charged)
    out.close()


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.ENOSPC], ids=["unknown", "full"])
def test_blocks_that_cannot_be_set_aside_are_taken_by_writing(path: Path, code: int) -> None:
    disk, charged = FaultyDisk("allocate", code, times=99), Charged()
    out = opened_at(path, FAST, disk)
    for at in (0, PAGE):
        out.make_room(at, at + PAGE, 2 * PAGE, charged)
        out.write([aligned(b"x" * PAGE, at)], at)
    assert disk.used["allocate"] == (1 if code == errno.EOPNOTSUPP else 2)
    assert sum(charged) >= 2 * PAGE
    out.close()


def test_a_length_that_nobody_said_sets_nothing_aside(path: Path) -> None:
    out, charged = opened_at(path, FAST), Charged()
    out.make_room(0, PAGE, None, charged)
    assert charged == [PAGE]
    out.close()


def test_c6_what_was_never_written_is_seen(path: Path) -> None:
    out = opened_at(path, FAST)
    out.make_room(0, 4 * PAGE, 4 * PAGE, Charged())
    for at in (0, 2 * PAGE, 3 * PAGE):
        out.write([aligned(b"x" * PAGE, at)], at)
    assert not out.whole(4 * PAGE)
    out.write([aligned(b"x" * PAGE, PAGE)], PAGE)
    assert out.whole(4 * PAGE)
    out.close()


@pytest.fixture(autouse=True)
def no_descriptor_stays_open() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before
