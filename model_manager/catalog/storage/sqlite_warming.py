"""The file of a catalog, read ahead of questions. What is asked lies everywhere in it, and from a disk each answer takes hundreds of reads."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

STRIDE: Final = 8 * 1024 * 1024
"""Bytes that are read ahead at once."""

SHARE: Final = 0.5
"""Of the memory that is free: the rest is for who else is on this machine."""

PAGE: Final = 4096
MEMORY: Final = Path("/proc/meminfo")
LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""What a container may have, in control groups of either version; the word `max` where there is no limit."""


class Warming:
    """Reads a file into the system's memory; whoever reads it meanwhile waits for what it needs alone."""

    def __init__(self, path: Path, free: Callable[[], int] | None = None) -> None:
        """`free`: bytes of memory that nobody needs."""
        self._path = path
        self._free = free or available
        self.going = False

    async def run(self) -> None:
        """From the beginning, as far as memory goes. Raises OSError. Who is cancelled leaves a thread that ends after its stretch."""
        stop = threading.Event()
        self.going = True
        try:
            await asyncio.to_thread(self._read, stop)
        finally:
            stop.set()
            self.going = False

    def _read(self, stop: threading.Event) -> None:
        with self._path.open("rb", buffering=0) as file:
            size = min(os.fstat(file.fileno()).st_size, int(self._free() * SHARE))
            for start in range(0, size, STRIDE):
                if stop.is_set():
                    return
                _ahead(file.fileno(), start, min(STRIDE, size - start))


def available() -> int:
    """Bytes of memory that programs may have without anything being swapped (Linux, proc(5)), and that the container allows; 0 where
    nobody says."""
    told = [line.split()[1] for line in _said(MEMORY).splitlines() if line.startswith("MemAvailable:")]
    allowed = [int(limit) for limit in map(_said, LIMITS) if limit.isdecimal()]
    return min([int(told[0]) * 1024 if told else 0, *allowed])


def _said(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _ahead(descriptor: int, start: int, length: int) -> None:
    """Ask for a stretch, and wait for its end: so there is never more than one on its way, and answers get their turn at the disk."""
    os.posix_fadvise(descriptor, start, length, os.POSIX_FADV_WILLNEED)
    os.pread(descriptor, PAGE, start + max(0, length - PAGE))
