"""What lies in a models directory, by name and stat alone: nothing is ever opened."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from model_manager.errors import RootAway
from model_manager.facts.disk import Fingerprint, Root
from model_manager.facts.shelf import WEIGHTS, ShelfPath
from model_manager.library.disk import fingerprint

MAX_DIRECTORIES: Final = 100_000
"""Directories of one scan. Links that point at each other make endless trees of a few directories."""

Identity = tuple[int, int]
"""(st_dev, st_ino) of a directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A model file. `file` is its absolute path."""

    file: str
    shelf: ShelfPath
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Something with a model's name that is no model for us. `path` may not be printable."""

    path: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """`unreadable`: directories and files that could not be looked at; whatever the index knows at or below them has not
    vanished. `seconds` is the scan's duration."""

    found: tuple[Found, ...] = ()
    unreadable: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    seconds: float = 0.0

    def covers(self, file: str) -> bool:
        """Whether the absence of `file` from `found` means that it is gone."""
        return not any(file == path or file.startswith(path.rstrip("/") + "/") for path in self.unreadable)


@dataclass(slots=True)
class _Walk:
    root: Root
    found: list[Found] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    stack: list[tuple[str, frozenset[Identity]]] = field(default_factory=list)
    directories: int = 0


def scan(root: Root, below: str | None = None) -> Scan:
    """Every model file of a root, or of one directory `below` it (absolute). Symlinked directories are followed.

    Raises RootAway when the root itself cannot be listed.
    """
    started = time.monotonic()
    walk = _Walk(root)
    walk.stack.append((below or root.path, frozenset()))
    while walk.stack:
        path, ancestors = walk.stack.pop()
        walk.directories += 1
        if walk.directories > MAX_DIRECTORIES:
            walk.unreadable.append(path)
            continue
        _enter(walk, path, ancestors)
    return Scan(
        found=tuple(walk.found),
        unreadable=tuple(walk.unreadable),
        skipped=tuple(walk.skipped),
        seconds=time.monotonic() - started,
    )


def examine(root: Root, path: str) -> Scan:
    """What is at one path of a root (absolute): a model, every model below a directory, or nothing.

    Ask `covers` of the answer before a file that is not in it counts as gone. Raises RootAway when `path` is the root
    and cannot be listed.
    """
    inside = path == root.path or shelf_of(root, f"{path}/x") is not None
    if not inside or not _decodable(path):
        return Scan()
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):
            return scan(root, path)
    except (FileNotFoundError, NotADirectoryError) as error:
        if path == root.path:
            raise RootAway(root=path, why=error.strerror) from error
        return Scan(unreadable=tuple(_leading_nowhere(root, path)))
    except OSError:
        return Scan(unreadable=(path,))
    found = look(root, path)
    return Scan(found=(found,) if found else ())


def _leading_nowhere(root: Root, path: str) -> Iterator[str]:
    """Linked directories on the way to a path whose volume may be unmounted: what was below them is unknown, not gone."""
    here = root.path
    for part in os.path.relpath(path, root.path).split("/"):
        here = os.path.join(here, part)
        if os.path.islink(here) and not os.path.exists(here) and (here != path or not _is_model(part)):
            yield here


def look(root: Root, file: str) -> Found | None:
    """One file of a root, or None when it is not there or no model. Raises RootAway when it cannot be looked at."""
    shelf = shelf_of(root, file)
    if shelf is None or not _is_model(file) or not _decodable(file):
        return None
    try:
        state = os.stat(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RootAway(root=root.path, why=f"{file} cannot be looked at ({error.strerror})") from error
    return Found(file=file, shelf=shelf, fingerprint=fingerprint(state)) if stat.S_ISREG(state.st_mode) else None


def fingerprint_of(file: str) -> Fingerprint | None:
    """The fingerprint of a regular file at this moment, or None when none can be seen there. One stat, never an open."""
    try:
        state = os.stat(file)
    except OSError:
        return None
    return fingerprint(state) if stat.S_ISREG(state.st_mode) else None


def shelf_of(root: Root, file: str) -> ShelfPath | None:
    """The place of a path below a root, or None for what is on no shelf: outside, hidden, or directly in a models root."""
    prefix = root.path.rstrip("/") + "/"
    if not file.startswith(prefix):
        return None
    parts = file[len(prefix) :].split("/")
    if any(part.startswith(".") or not part for part in parts):
        return None
    if root.folder is not None:
        return ShelfPath(folder=root.folder, name="/".join(parts))
    return ShelfPath(folder=parts[0], name="/".join(parts[1:])) if len(parts) > 1 else None


def _enter(walk: _Walk, path: str, ancestors: frozenset[Identity]) -> None:
    try:
        state = os.stat(path)
        identity = (state.st_dev, state.st_ino)
        if identity in ancestors:
            walk.skipped.append(Skipped(path=path, why="it leads back to a directory above it"))
            return
        with os.scandir(path) as entries:
            for entry in entries:
                _meet(walk, entry, ancestors | {identity})
    except OSError as error:
        if path == walk.root.path:
            raise RootAway(root=path, why=error.strerror) from error
        if not isinstance(error, FileNotFoundError):
            walk.unreadable.append(path)


def _meet(walk: _Walk, entry: os.DirEntry[str], ancestors: frozenset[Identity]) -> None:
    if entry.name.startswith("."):
        return
    if not _decodable(entry.name):
        walk.skipped.append(Skipped(path=entry.path, why="its name is not valid UTF-8"))
        return
    model = _is_model(entry.name)
    try:
        if entry.is_dir():
            walk.stack.append((entry.path, ancestors))
        elif model:
            _count(walk, entry)
        elif entry.is_symlink() and not entry.is_file():
            # The volume behind a linked directory may be unmounted: what was below it is unknown, not gone.
            walk.unreadable.append(entry.path)
    except FileNotFoundError:
        return  # it left between the listing and the look, or is a link to a file that left
    except OSError:
        walk.unreadable.append(entry.path)


def _shows_store(root: Root, path: str) -> bool:
    """Whether a path is one of our own links into the store."""
    return root.showing is not None and os.path.islink(path) and os.path.realpath(path).startswith(f"{root.showing}/")


def _count(walk: _Walk, entry: os.DirEntry[str]) -> None:
    if _shows_store(walk.root, entry.path):
        return
    state = entry.stat()
    shelf = shelf_of(walk.root, entry.path)
    if not stat.S_ISREG(state.st_mode):
        walk.skipped.append(Skipped(path=entry.path, why="it is not a regular file"))
    elif shelf is None:
        walk.skipped.append(Skipped(path=entry.path, why="it is in no folder such as 'checkpoints'"))
    else:
        walk.found.append(Found(file=entry.path, shelf=shelf, fingerprint=fingerprint(state)))


def _is_model(name: str) -> bool:
    """Names that only begin with a dot, such as '.safetensors', have no ending."""
    return os.path.splitext(name)[1].lower() in WEIGHTS


def _decodable(name: str) -> bool:
    """Names that are no UTF-8 reach Python with lone surrogates, which no JSON, Redis or database takes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
