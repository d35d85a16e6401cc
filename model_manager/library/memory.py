"""Memory for bytes that are read or written by the megabyte."""

from __future__ import annotations

import ctypes
import mmap
from contextlib import suppress
from typing import Final

HUGE: Final = 2 * 1024 * 1024
"""Bytes of the kernel's large pages on every processor that we know (a wrong guess costs only speed)."""


def reserved(size: int) -> memoryview:
    """Memory that nobody has touched, in large pages where the kernel has them: the disk is handed two megabytes as one piece
    instead of 512, and copying and hashing look up a page less often. It does not go to child processes, which would make the
    kernel copy what is being written. It is unmapped when nobody holds the view any more."""
    area = mmap.mmap(-1, size + HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for wish in (mmap.MADV_HUGEPAGE, mmap.MADV_DONTFORK):
        with suppress(OSError):
            area.madvise(wish)
    start = -ctypes.addressof(ctypes.c_char.from_buffer(area)) % HUGE
    return memoryview(area)[start : start + size]
