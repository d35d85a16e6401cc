"""Which of a file's pages were in memory before we read it, so that the others can be let go again."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from functools import cache
from typing import Final

from model_manager.library.contents.belt import BLOCK

_WINDOW: Final = 256 * BLOCK
"""Bytes that are looked at together: what the kernel says of them takes 256 KiB."""

_FAILED: Final = ctypes.c_void_p(-1).value
_ODD: Final = bytes(byte & 1 for byte in range(256))


class Traces:
    """Of one open file, block by block (no large page of the cache is longer). A block of which any page was in memory stays there: somebody may be using it.

    Where the kernel does not say (it tells nobody about files that he may not write), everything stays.
    """

    def __init__(self, fd: int, size: int) -> None:
        """Looks now: make it before the first read, which brings pages in ahead of itself."""
        self._fd = fd
        self._absent = frozenset(_absent(fd, size))

    def wipe(self, start: int, stop: int) -> None:
        """Let what was read between two offsets go, as far as it was not there before. `start` is a multiple of BLOCK."""
        for number in range(start // BLOCK, -(-stop // BLOCK)):
            if number in self._absent:
                os.posix_fadvise(self._fd, number * BLOCK, BLOCK, os.POSIX_FADV_DONTNEED)


def _absent(fd: int, size: int) -> Iterator[int]:
    """Numbers of the blocks of which no page is in memory."""
    pages = BLOCK // mmap.PAGESIZE
    for start in range(0, size, _WINDOW):
        present = _resident(fd, start, min(_WINDOW, size - start))
        for at in range(0, len(present), pages):
            if present.find(1, at, at + pages) < 0:
                yield start // BLOCK + at // pages


def _resident(fd: int, start: int, size: int) -> bytes:
    """A byte a page, of which only the lowest bit counts (mincore(2)); empty where it cannot be had. Touches no page."""
    library = _libc()
    address = library.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, fd, start)
    if address == _FAILED:
        return b""
    try:
        found = ctypes.create_string_buffer(-(-size // mmap.PAGESIZE))
        if library.mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), found) != 0:
            return b""
        return found.raw.translate(_ODD)
    finally:
        library.munmap(ctypes.c_void_p(address), ctypes.c_size_t(size))


@cache
def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64,
    ]  # fmt: skip
    return library
