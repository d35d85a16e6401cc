"""One writer at a time: an flock with the holder's process id inside. A crash frees it by itself."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from model_manager.errors import AlreadyRunning
from model_manager.library.disk import translating


@contextmanager
def hold(path: str, what: str) -> Iterator[None]:
    """Hold the lock file for the length of a block. `what` names what is protected ("the state directory /x").

    The file stays behind: unlinking it would let two hold different files of one name. Children do not inherit it.
    Raises AlreadyRunning with the holder's process id, or DiskUnavailable.
    """
    fd = _locked(path, what)
    try:
        with translating(path, "write"):
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def _locked(path: str, what: str) -> int:
    """A descriptor whose lock we have and that is still the file of that name."""
    while True:
        with translating(path, "open"):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        kept = False
        try:
            _lock(fd, path, what)
            kept = _is_file_of(fd, path)
        finally:
            if not kept:
                os.close(fd)
        if kept:
            return fd


def _lock(fd: int, path: str, what: str) -> None:
    with translating(path, "lock"):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise AlreadyRunning(what=f"{what} is held by process {holder}.", fix="directory") from None


def _is_file_of(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False
