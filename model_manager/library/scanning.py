"""What lies in a models directory, by name and stat alone: nothing is ever opened."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress
from operator import attrgetter, not_
from types import MappingProxyType
from typing import Final

from model_manager.errors import RootAway
from model_manager.facts.disk import Fingerprint, Held, Root
from model_manager.facts.shelf import WEIGHTS, ShelfPath
from model_manager.library.disk import fingerprint, opened
from model_manager.library.halting import Halt, Halted, insist, never, unhalted
from model_manager.library.pages import Memory, Page

MAX_DIRECTORIES: Final = 100_000
"""Directories of one scan. Links that point at each other make endless trees of a few directories."""

UNMOUNTED: Final = "it is a link to nothing; its volume may not be mounted"

Identity = tuple[int, int]
"""(st_dev, st_ino) of a directory."""

Known = Mapping[str, Held]
"""Absolute path → what was held there when the look began, of this root and others."""

NOTHING: Final[Known] = MappingProxyType({})

_FILE: Final = attrgetter("file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A model file. `file` is its absolute path."""

    file: str
    shelf: ShelfPath
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Something that is left out of a look, and why. `path` may not be printable."""

    path: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What differs from what was known. `found`: files that are new or not as known, by path (an index takes them in faster
    so); `gone`: paths of known ones that are not there any more; `files` and `bytes`: of all model files that lie there, known or not.

    `blocked`: directories and files that could not be looked at; whatever the index knows at or below them has not
    vanished. `skipped`: what has a model's name and is no model for us. `seconds` is the scan's duration. `halted`: somebody ended it
    before its end: nothing is known to be gone, and the counts are of what was met by then.
    """

    found: tuple[Found, ...] = ()
    gone: tuple[str, ...] = ()
    files: int = 0
    bytes: int = 0
    blocked: tuple[Skipped, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    seconds: float = 0.0
    halted: bool = False

    @property
    def unreadable(self) -> tuple[str, ...]:
        """The paths of what is blocked."""
        return tuple(each.path for each in self.blocked)

    def covers(self, file: str) -> bool:
        """Whether `file` was looked for: one that was not seen is gone."""
        return not any(file == path or file.startswith(path.rstrip("/") + "/") for path in self.unreadable)


@dataclass(slots=True)
class _Walk:
    """`left`: what is known and was not met yet, but for what is `met` whole directories at a time. `before` and `pages`:
    what the last look saw, and this one; `same`: exactly that was known then."""

    root: Root
    left: dict[str, Held]
    met: list[list[str]] = field(default_factory=list)
    before: dict[str, Page] = field(default_factory=dict)
    pages: dict[str, Page] = field(default_factory=dict)
    same: bool = False
    found: list[Found] = field(default_factory=list)
    blocked: list[Skipped] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    stack: list[tuple[str, frozenset[Identity]]] = field(default_factory=list)
    directories: int = 0
    files: int = 0
    bytes: int = 0
    halt: Halt = never


def scan(
    root: Root,
    below: str | None = None,
    known: Known = NOTHING,
    memory: Memory | None = None,
    halt: Halt = never,
) -> Scan:
    """Every model file of a root, or of one directory `below` it (absolute), that is not as `known`. Symlinked
    directories are followed. `memory` is of the last whole look at this root, and then of this one. `halt` is asked before
    every directory, and within one before every PIECE entries.

    Raises RootAway when the root itself cannot be listed.
    """
    started = time.monotonic()
    top = below or root.path
    walk = _Walk(root, dict(known), halt=halt)
    if memory is not None and memory.root == root:
        walk.before, walk.same = memory.pages, memory.known == list(known.values())
    walk.stack.append((top, frozenset()))
    try:
        _climb(walk)
    except Halted:
        return _scan_of(walk, started, halted=True)
    if memory is not None:
        memory.pages, memory.root, memory.known = walk.pages, root, list(known.values())
    return _scan_of(walk, started, tuple(_missed(walk, top)))


def _climb(walk: _Walk) -> None:
    while walk.stack:
        insist(walk.halt)
        path, ancestors = walk.stack.pop()
        walk.directories += 1
        if walk.directories > MAX_DIRECTORIES:
            walk.blocked.append(Skipped(path=path, why=f"only {MAX_DIRECTORIES:,} directories are looked at"))
            continue
        _enter(walk, path, ancestors)


def _scan_of(walk: _Walk, started: float, gone: tuple[str, ...] = (), *, halted: bool = False) -> Scan:
    return Scan(
        found=tuple(sorted(walk.found, key=_FILE)),
        gone=gone,
        files=walk.files,
        bytes=walk.bytes,
        blocked=tuple(walk.blocked),
        skipped=tuple(walk.skipped),
        seconds=time.monotonic() - started,
        halted=halted,
    )


def _missed(walk: _Walk, top: str) -> Iterator[str]:
    """What is known of this root below `top`, and was neither met nor hidden by what could not be looked at."""
    if len(walk.left) == sum(map(len, walk.met)):
        return
    met, unseen = frozenset(chain.from_iterable(walk.met)), frozenset(each.path for each in walk.blocked)
    prefixes = tuple(f"{path.rstrip('/')}/" for path in unseen)
    inside, root = f"{top.rstrip('/')}/", walk.root.path
    for file, held in walk.left.items():
        ours = held.root == root and file not in met and file.startswith(inside)
        if ours and not (file in unseen or file.startswith(prefixes)):
            yield file


def examine(root: Root, path: str, known: Known = NOTHING) -> Scan:
    """What is at one path of a root (absolute) and not as `known`: a model, every model below a directory, or nothing.

    Of what is known, only the path itself and what is below it may be in `known`. Raises RootAway when `path` is the
    root and cannot be listed.
    """
    inside = path == root.path or shelf_of(root, f"{path}/x") is not None
    if not inside or not _decodable(path):
        return Scan()
    try:
        state = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        if path == root.path:
            raise RootAway(root=path, why=error.strerror) from error
        return _without(known, tuple(Skipped(path=each, why=UNMOUNTED) for each in _leading_nowhere(root, path)))
    except OSError as error:
        return Scan(blocked=(_blocked(path, error),))
    if stat.S_ISDIR(state.st_mode):
        return scan(root, path, known)
    return _single(root, path, state, known)


def _single(root: Root, path: str, state: os.stat_result, known: Known) -> Scan:
    """One file. What is known below a path that is a file now is gone."""
    shelf = shelf_of(root, path) if _is_model(path) and stat.S_ISREG(state.st_mode) else None
    if shelf is None or _shows_store(root, path):
        return _without(known)
    item = Found(file=path, shelf=shelf, fingerprint=fingerprint(state))
    there = known.get(path)
    same = there is not None and there.fingerprint == item.fingerprint and there.shelf == shelf
    gone = tuple(file for file in known if file != path)
    return Scan(found=() if same else (item,), gone=gone, files=1, bytes=state.st_size)


def _without(known: Known, blocked: tuple[Skipped, ...] = ()) -> Scan:
    """Nothing is there."""
    return Scan(gone=tuple(filter(Scan(blocked=blocked).covers, known)), blocked=blocked)


def _blocked(path: str, error: OSError) -> Skipped:
    return Skipped(path=path, why=error.strerror or type(error).__name__)


def _leading_nowhere(root: Root, path: str) -> Iterator[str]:
    """Linked directories on the way to a path whose volume may be unmounted: what was below them is unknown, not gone."""
    here = root.path
    for part in os.path.relpath(path, root.path).split("/"):
        here = os.path.join(here, part)
        if os.path.islink(here) and not os.path.exists(here) and (here != path or not _is_model(part)):
            yield here


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
        with opened(path, os.O_RDONLY | os.O_DIRECTORY) as folder:
            state = os.fstat(folder)
            identity = (state.st_dev, state.st_ino)
            if identity in ancestors:
                walk.skipped.append(Skipped(path=path, why="it leads back to a directory above it"))
            else:
                _list(walk, path, folder, ancestors | {identity})
    except OSError as error:
        if path == walk.root.path:
            raise RootAway(root=path, why=error.strerror) from error
        if not isinstance(error, FileNotFoundError):
            walk.blocked.append(_blocked(path, error))


def _list(walk: _Walk, path: str, folder: int, ancestors: frozenset[Identity]) -> None:
    prefix = f"{path.rstrip('/')}/"
    place = shelf_of(walk.root, f"{prefix}x")
    with os.scandir(folder) as listed:
        entries = list(listed)
    others = _others_than_before(walk, prefix, entries)
    for file, entry in _unlike(walk, prefix, entries if others is None else others):
        shelf = place and ShelfPath(folder=place.folder, name=place.name[:-1] + entry.name)
        _meet(walk, file, entry, shelf, ancestors)


def _others_than_before(walk: _Walk, prefix: str, entries: list[os.DirEntry[str]]) -> list[os.DirEntry[str]] | None:
    """The entries that are no known files, when all that are known are as the last look saw them; else None."""
    page = walk.before.get(prefix)
    try:
        if page is None or not page.same(entries, linked=walk.root.showing is not None):
            return None
    except OSError:
        return None
    if not (walk.same or list(map(walk.left.get, page.files)) == page.held):
        return None
    walk.pages[prefix] = page
    walk.met.append(page.files)
    walk.files += len(page.files)
    walk.bytes += page.bytes
    return [] if page.whole else list(compress(entries, map(not_, page.here)))


def _unlike(walk: _Walk, prefix: str, entries: Sequence[os.DirEntry[str]]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Entries of a directory that are not as known. The rest is counted here, for one lookup and one stat each: a library
    is looked at whole every few minutes, and hardly ever differs.

    The shelves of a directory's files are compared by its first one: they change together, with their root's settings.
    """
    take, links = walk.left.pop, walk.root.showing is not None
    here: list[bool] = []
    same: list[Held] = []
    comparable = None
    for entry in chain.from_iterable(unhalted(entries, walk.halt)):
        file = prefix + entry.name
        known = take(file, None)
        here.append(False)
        if known is None:
            yield file, entry
            continue
        if comparable is None:
            comparable = known.root == walk.root.path and known.shelf == shelf_of(walk.root, file)
        if comparable and not (links and entry.is_symlink()):
            try:
                state, was = entry.stat(), known.fingerprint
            except OSError:
                pass  # the closer look says why
            else:
                if (
                    was.mtime_ns == state.st_mtime_ns
                    and was.inode == state.st_ino
                    and was.size == state.st_size
                    and was.device == state.st_dev
                ):
                    here[-1] = True
                    same.append(known)
                    continue
        walk.left[file] = known
        yield file, entry
    if same:
        _remember(walk, prefix, here, same)


def _remember(walk: _Walk, prefix: str, here: list[bool], same: list[Held]) -> None:
    """Count what was as known, and write the directory's page. One that had a page has more in it now: without that, the
    next look writes another."""
    page = Page.of(prefix, here, same)
    walk.files += len(same)
    walk.bytes += page.bytes
    if walk.pages.pop(prefix, None) is None:
        walk.pages[prefix] = page


def _meet(
    walk: _Walk, path: str, entry: os.DirEntry[str], shelf: ShelfPath | None, ancestors: frozenset[Identity]
) -> None:
    if entry.name.startswith("."):
        return
    if not _decodable(entry.name):
        walk.skipped.append(Skipped(path=path, why="its name is not valid UTF-8"))
        return
    try:
        if entry.is_dir():
            walk.stack.append((path, ancestors))
        elif _is_model(entry.name):
            _count(walk, path, entry, shelf)
        elif entry.is_symlink() and not entry.is_file():
            # What was below it is unknown, not gone.
            walk.blocked.append(Skipped(path=path, why=UNMOUNTED))
    except FileNotFoundError:
        return  # it left between the listing and the look, or is a link to a file that left
    except OSError as error:
        walk.blocked.append(_blocked(path, error))


def _shows_store(root: Root, path: str) -> bool:
    """Whether a path is one of our own links into the store."""
    return root.showing is not None and os.path.islink(path) and os.path.realpath(path).startswith(f"{root.showing}/")


def _count(walk: _Walk, path: str, entry: os.DirEntry[str], shelf: ShelfPath | None) -> None:
    if _shows_store(walk.root, path):
        return
    state = entry.stat()
    if not stat.S_ISREG(state.st_mode):
        walk.skipped.append(Skipped(path=path, why="it is not a regular file"))
    elif shelf is None:
        walk.skipped.append(Skipped(path=path, why="it is in no folder such as 'checkpoints'"))
    else:
        walk.found.append(Found(file=path, shelf=shelf, fingerprint=fingerprint(state)))
        walk.left.pop(path, None)
        walk.files += 1
        walk.bytes += state.st_size


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
