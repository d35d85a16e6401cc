"""The directory of unfinished files below a root: names, the lock on each, and what is swept away."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from model_manager.errors import AlreadyRunning, BadPath, RootAway
from model_manager.facts.disk import Root
from model_manager.facts.shelf import ShelfPath
from model_manager.library.disk import opened, translating
from model_manager.library.markers import MARKER

HIDDEN: Final = 0o600
READABLE: Final = 0o644
"""Modes of an unfinished and of a finished file, whatever the umask: ComfyUI may run as another user."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def part_name(shelf: ShelfPath) -> str:
    """The name of a slot's unfinished file: the same after a restart, at most 214 bytes."""
    key = hashlib.sha256("\0".join(shelf.slot).encode()).hexdigest()[:8]
    last = shelf.name.rpartition("/")[2]
    return f"{last.encode()[:200].decode(errors='ignore')}.{key}.part"


@contextmanager
def own_root(root: Root) -> Iterator[int]:
    """A descriptor of a models directory that we may change: what is made below it lands on its volume, or nowhere.

    Raises BadPath for one that we only read, and RootAway, also where our marker is not in it.
    """
    if not root.own:
        raise BadPath(path=root.path, why="this models directory is only read")
    try:
        top = os.open(root.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise RootAway(root=root.path, why=error.strerror) from error
    try:
        _insist_marked(top, root)
        yield top
    finally:
        os.close(top)


def _insist_marked(top: int, root: Root) -> None:
    """A volume may go between the look at a root and the first write, and its empty mount point takes whatever comes."""
    try:
        os.stat(MARKER, dir_fd=top, follow_symlinks=False)
    except OSError as error:
        raise RootAway(root=root.path, why=f"its marker {MARKER} is gone, as on a volume not mounted") from error


def open_folder(directory: str, *, top: int | None = None) -> int:
    """A descriptor of a directory of ours, made if its parent is there; a link in its place is refused.

    `top`: the descriptor of its parent, where that may be unmounted. Raises BadPath, DiskUnavailable or NoSpace.
    """
    name = directory if top is None else os.path.basename(directory)
    with _ours(directory):
        with suppress(FileNotFoundError):
            return os.open(name, _FOLDER, dir_fd=top)
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=top)
        return os.open(name, _FOLDER, dir_fd=top)


@contextmanager
def _ours(directory: str) -> Iterator[None]:
    with translating(directory, "open"):
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            raise BadPath(path=directory, why="a file or link is where our directory should be") from None


def sweep(directory: str, keep: Collection[ShelfPath], older_than: float) -> tuple[str, ...]:
    """Remove what unfinished downloads nobody wants any more left behind; returns the names removed.

    `older_than` is a time in seconds since the epoch: younger files stay, and so do those in use and those of `keep`.
    Raises DiskUnavailable; a directory that is not there has nothing to sweep.
    """
    kept = {name for shelf in keep for name in (part_name(shelf), f"{part_name(shelf)}.json")}
    with _ours(directory):
        try:
            folder, removed = os.open(directory, _FOLDER), list[str]()
        except FileNotFoundError:
            return ()
    try:
        with translating(directory, "sweep"):
            for name in sorted(os.listdir(folder)):
                if name not in kept and _stale(folder, name, older_than):
                    os.unlink(name, dir_fd=folder)
                    removed.append(name)
    finally:
        os.close(folder)
    return tuple(removed)


def _stale(folder: int, name: str, older_than: float) -> bool:
    state = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISREG(state.st_mode) or state.st_mtime >= older_than:
        return False
    with opened(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, folder=folder) as fd:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def own_file(folder: int, path: str) -> int:
    """The locked descriptor of a regular file with no other name. Raises AlreadyRunning, BadPath or OSError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(os.path.basename(path), flags, HIDDEN, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise BadPath(path=path, why="something that is no file is where our unfinished file should be") from None
        raise
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        state = os.fstat(fd)
        if not stat.S_ISREG(state.st_mode) or state.st_nlink > 1:
            raise BadPath(path=path, why="our unfinished file is no file, or has a second name")
    except BlockingIOError:
        os.close(fd)
        raise busy(path) from None
    except BaseException:
        os.close(fd)
        raise
    return fd


def busy(path: str) -> AlreadyRunning:
    return AlreadyRunning(what=f"The unfinished download {path} is written by another process.", fix="models directory")
