"""The first bytes of a file, for judging its format without trusting its name."""

from __future__ import annotations

import os
import stat
from typing import Final

from model_manager.errors import BadContent
from model_manager.library.disk import opened, translating

HEAD: Final = 4096
"""Bytes of the head: the magic of every known format lies within the first few hundred."""

MAX_HEADER: Final = 10_000_000
"""Bytes of a safetensors header that is read. Headers of large models have some 100 kB; hostile JSON takes thirty times its
size in memory, so that the 100 MB that the format allows would take a machine down."""


def beginning(file: str) -> tuple[bytes, bytes | None]:
    """The first HEAD bytes, and the JSON header when they announce a safetensors file whose header is at most MAX_HEADER.

    A header that the file cuts short is returned as far as it goes. Raises BadContent for what is no regular file,
    DiskUnavailable for what cannot be read.
    """
    with translating(file, "read"), opened(file, os.O_RDONLY | os.O_NONBLOCK) as fd:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise BadContent(name=file, why="it is not a regular file")
        head = _exactly(fd, HEAD, 0)
        length = int.from_bytes(head[:8], "little")
        announced = head[8:9] == b"{" and 2 <= length <= MAX_HEADER
        return head, _exactly(fd, length, 8) if announced else None


def _exactly(fd: int, size: int, start: int) -> bytes:
    """`size` bytes, or fewer at the end of the file. Memory follows the file, not the announcement."""
    pieces: list[bytes] = []
    while size > 0 and (piece := os.pread(fd, min(size, 1 << 20), start)):
        pieces.append(piece)
        start += len(piece)
        size -= len(piece)
    return b"".join(pieces)
