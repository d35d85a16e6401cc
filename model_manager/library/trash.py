"""What people removed: moved below `<root>/.model_manager_trash/<order>/`, at the path that it had, and gone after a week.

A rename moves each file, so that nothing is copied, nothing is half there, and the same order brings everything back.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from model_manager.errors import BadPath, DiskUnavailable, Unavailable
from model_manager.facts.disk import Root
from model_manager.library.disk import Disk, translating
from model_manager.library.incoming.staging import open_folder, own_root
from model_manager.library.markers import TRASH

KEEP: Final = 7 * 24 * 3600.0
"""Seconds that what was removed can be brought back."""

MOST: Final = 100_000
"""Files of one order that are looked at."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A file that stays where it is, and why."""

    file: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """`files` are absolute paths in the models directory, which they left or came back to."""

    files: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()


def throw(root: Root, order: str, files: Sequence[str], disk: Disk | None = None) -> Moved:
    """Move files of an own root into the trash of an order; doing it again does the rest.

    Raises BadPath for a root that we only read, or a link where our directory should be, RootAway, DiskUnavailable, NoSpace.
    """
    disk, moved, left = disk or Disk(), list[str](), list[Left]()
    with own_root(root) as top, _trash(top, root, order, make=True) as bin_:
        for file in files:
            try:
                _carry(disk, file, os.path.relpath(file, root.path), top, bin_)
                moved.append(file)
            except (BadPath, Unavailable) as error:
                left.append(Left(file=file, why=str(error)))
        disk.sync(bin_)
    return Moved(files=tuple(moved), left=tuple(left))


def bring_back(root: Root, order: str, disk: Disk | None = None) -> Moved:
    """Move what an order threw away to where it was; what lies there meanwhile stays, and so does the thrown one.

    An order without any is empty. Raises as `throw` does.
    """
    disk, moved, left = disk or Disk(), list[str](), list[Left]()
    directory = os.path.join(root.path, TRASH, order)
    with own_root(root) as top:
        if not os.path.isdir(directory):
            return Moved()
        with _trash(top, root, order, make=False) as bin_:
            for name in sorted(_below(directory)):
                file = os.path.join(root.path, name)
                try:
                    _carry(disk, file, name, bin_, top)
                    moved.append(file)
                except (BadPath, Unavailable) as error:
                    left.append(Left(file=file, why=str(error)))
        if not left:
            _remove(root, order)
    return Moved(files=tuple(moved), left=tuple(left))


def held(root: Root, order: str) -> tuple[str, ...]:
    """Paths that an order threw away and that can come back."""
    return tuple(os.path.join(root.path, name) for name in sorted(_below(os.path.join(root.path, TRASH, order))))


def empty(root: Root, older_than: float) -> tuple[str, ...]:
    """Delete for good what was thrown away before a time (seconds since the epoch); the orders. Raises DiskUnavailable."""
    directory = os.path.join(root.path, TRASH)
    if not os.path.isdir(directory):
        return ()
    with translating(directory, "empty"):
        orders = [
            entry.name for entry in os.scandir(directory) if entry.stat(follow_symlinks=False).st_ctime < older_than
        ]
        for order in orders:
            _remove(root, order)
    return tuple(sorted(orders))


def _remove(root: Root, order: str) -> None:
    with translating(os.path.join(root.path, TRASH, order), "remove"):
        shutil.rmtree(os.path.join(root.path, TRASH, order))


def _carry(disk: Disk, file: str, name: str, source: int, target: int) -> None:
    """One rename, which replaces nothing."""
    parts = name.split("/")
    if not all(part and part not in (".", "..") for part in parts):
        raise BadPath(path=file, why="it does not lie in this models directory")
    here_and_there = _walk(source, parts[:-1], file, make=False), _walk(target, parts[:-1], file, make=True)
    with translating(file, "move"), here_and_there[0] as here, here_and_there[1] as there:
        try:
            disk.rename(parts[-1], parts[-1], old_folder=here, new_folder=there)
        except FileExistsError:
            raise DiskUnavailable(path=file, doing="move", why="another file has its place") from None
        disk.sync(there)
        disk.sync(here)


@contextmanager
def _walk(top: int, parts: Sequence[str], file: str, *, make: bool) -> Iterator[int]:
    """The directory below `top`, step by step; a link on the way is refused."""
    current = os.dup(top)
    try:
        for part in parts:
            below = _step(current, part, file, make=make)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


def _step(folder: int, part: str, file: str, *, make: bool) -> int:
    try:
        if make:
            with suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=folder)
        return os.open(part, _FOLDER, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise BadPath(path=file, why=f"'{part}' is a link or a file, and we move nothing through it") from None
        raise


@contextmanager
def _trash(top: int, root: Root, order: str, *, make: bool) -> Iterator[int]:
    above = open_folder(os.path.join(root.path, TRASH), top=top)
    try:
        with (
            translating(os.path.join(root.path, TRASH, order), "open"),
            _walk(above, [order], order, make=make) as folder,
        ):
            yield folder
    finally:
        os.close(above)


def _below(directory: str) -> Iterator[str]:
    """Names of files, from the directory on; links are not followed."""
    found = 0
    for here, _, names in os.walk(directory):
        for name in names:
            found += 1
            if found > MOST:
                return
            yield os.path.relpath(os.path.join(here, name), directory)
