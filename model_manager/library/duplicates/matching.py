"""Whether two open files hold the same bytes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from model_manager.errors import Stopped
from model_manager.library.contents.hashing import never

PIECE: Final = 4 * 1024 * 1024
"""Bytes read of one file before the other has its turn: few enough for the cache, enough for a disk that has to seek."""


def same_bytes(
    one: int,
    other: int,
    size: int,
    *,
    progress: Callable[[int], None] | None = None,
    cancelled: Callable[[], bool] = never,
    what: str = "files",
) -> bool:
    """Whether both files begin with the same `size` bytes. Raises OSError, and Stopped when `cancelled` answers True."""
    done = 0
    while done < size:
        if cancelled():
            raise Stopped(what=f"Comparing {what}")
        mine, theirs = (os.pread(fd, min(PIECE, size - done), done) for fd in (one, other))
        if mine != theirs or not mine:
            return False
        done += len(mine)
        if progress is not None:
            progress(done)
    return True
