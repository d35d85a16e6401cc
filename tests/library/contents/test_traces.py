from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_manager.library.contents import traces
from model_manager.library.contents.belt import BLOCK
from model_manager.library.contents.hashing import digest_file
from model_manager.library.contents.traces import Traces
from model_manager.library.volume import volume_of
from tests.library.shelves import put

PAGE = os.sysconf("SC_PAGE_SIZE")


def in_memory(fd: int, number: int) -> bool:
    """Whether any page of a block is."""
    return 1 in traces._resident(fd, number * BLOCK, min(BLOCK, os.fstat(fd).st_size - number * BLOCK))


def forget(fd: int) -> None:
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.fixture
def cold(tmp_path: Path) -> Iterator[int]:
    """A file of three and a bit blocks, of which nothing is in memory."""
    file = put(tmp_path / "x", os.urandom(3 * BLOCK + 5))
    fd = os.open(file, os.O_RDONLY)
    if volume_of(fd).kind in ("tmpfs", "ramfs"):
        os.close(fd)
        pytest.skip("here the file system is the memory")
    forget(fd)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_reading_that_shall_not_last_leaves_only_what_was_there(cold: int, threads: int, tmp_path: Path) -> None:
    os.posix_fadvise(cold, 0, 0, os.POSIX_FADV_RANDOM)
    os.pread(cold, 10, 2 * BLOCK + 3 * PAGE)
    assert [in_memory(cold, number) for number in range(4)] == [False, False, True, False]
    digest_file(str(tmp_path / "x"), threads=threads, lasting=False)
    assert [in_memory(cold, number) for number in range(4)] == [False, False, True, False]


def test_a_reading_that_may_last_stays_in_memory(cold: int, tmp_path: Path) -> None:
    digest_file(str(tmp_path / "x"))
    assert all(in_memory(cold, number) for number in range(4))


@pytest.mark.parametrize("call", ["mmap", "mincore"])
def test_where_the_kernel_does_not_say_everything_stays(cold: int, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    class Poor:
        mmap = staticmethod(traces._libc().mmap if call == "mincore" else lambda *_: traces._FAILED)
        mincore = staticmethod(lambda *_: -1)
        munmap = staticmethod(traces._libc().munmap)

    monkeypatch.setattr(traces, "_libc", Poor)
    kept = Traces(cold, 3 * BLOCK + 5)
    os.pread(cold, 10, 0)
    kept.wipe(0, BLOCK)
    monkeypatch.undo()
    assert in_memory(cold, 0)


def test_an_empty_file_leaves_no_traces(tmp_path: Path) -> None:
    fd = os.open(put(tmp_path / "empty", b""), os.O_RDONLY)
    try:
        Traces(fd, 0).wipe(0, 0)
    finally:
        os.close(fd)
