"""Looks at the disk, made on a thread: whole trees and single places, against what is known."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from model_manager.errors import RootAway
from model_manager.facts.disk import Fingerprint, Held, Root
from model_manager.library.halting import Halt, never
from model_manager.library.pages import Memory
from model_manager.library.scanning import Found, Scan, examine, fingerprint_of, scan


@dataclass(slots=True)
class Kin:
    """Known files with the fingerprint of a found one. `linked`: they are there at this moment, so both names are of one
    file; `moved`: they are not where they were."""

    linked: list[Held] = field(default_factory=list)
    moved: list[Held] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A look at a root: `found` are the scan's files, of which nothing else is known, but for the `young`, which may still grow."""

    scan: Scan
    found: dict[str, Held]
    young: frozenset[str]
    kin: Kin


@dataclass(slots=True)
class Sight:
    """`there`: path → fingerprint of what is news or restless, None for what is gone; `found`: the same as files."""

    there: dict[str, Fingerprint | None] = field(default_factory=dict)
    found: dict[str, Held] = field(default_factory=dict)
    kin: Kin = field(default_factory=Kin)


def whole(
    root: Root,
    known: Mapping[str, Held],
    written_after: int,
    memory: Memory | None = None,
    halt: Halt = never,
) -> Whole:
    """Every model file of a root that is not as known. Those that were `written_after` a time (Unix nanoseconds) are young.
    `memory` is of the last look at this root; `halt` says when somebody wants the look to end.

    Raises RootAway when it cannot be listed.
    """
    result = scan(root, known=known, memory=memory, halt=halt)
    found = {item.file: as_held(root, item) for item in result.found}
    kin = kin_of(found.values(), known)
    news = (item for item in found.values() if item.fingerprint.mtime_ns > written_after and not _same(item, known))
    young = frozenset(item.file for item in news)
    for file in young:
        del found[file]
    return Whole(scan=result, found=found, young=young, kin=kin)


def _same(item: Held, known: Mapping[str, Held]) -> bool:
    """Whether only its shelf is news."""
    return item.file in known and known[item.file].fingerprint == item.fingerprint


def places(hints: Iterable[tuple[Root, str]], known: Mapping[str, Held], restless: Collection[str]) -> Sight:
    """What lies at or below each path, parents before children. What is as known, and was not restless, is no news; where a
    look fails, nothing is said of it."""
    sight, shelf, looked = Sight(), _Sorted(known), set[str]()
    for root, path in hints:
        if not looked.isdisjoint(_above(path)):
            continue
        looked.add(path)
        here = shelf.at_or_below(path)
        try:
            result = examine(root, path, {file: held for file, held in here.items() if file not in restless})
        except RootAway:
            continue
        for item in result.found:
            sight.there[item.file] = item.fingerprint
            sight.found[item.file] = as_held(root, item)
        uncertain = (file for file in here if file in restless and file not in sight.found and result.covers(file))
        sight.there |= dict.fromkeys((*result.gone, *uncertain))
    sight.kin = kin_of(sight.found.values(), known)
    return sight


def kin_of(found: Collection[Held], known: Mapping[str, Held]) -> Kin:
    """Known and read files that a found one may be, under another name."""
    kin, wanted, here = Kin(), {item.fingerprint.inode for item in found}, {item.file for item in found}
    if not wanted:
        return kin
    for file, held in known.items():
        if held.fingerprint.inode in wanted and held.digests is not None and file not in here:
            (kin.linked if fingerprint_of(file) == held.fingerprint else kin.moved).append(held)
    return kin


def _above(path: str) -> Iterator[str]:
    """The directories that a path is in, nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


class _Sorted:
    """What is known, by path; put into order only when somebody asks for a path that is not known itself."""

    def __init__(self, known: Mapping[str, Held]) -> None:
        self._known = known
        self._paths: list[str] | None = None

    def at_or_below(self, path: str) -> dict[str, Held]:
        """The path itself, or all below it: a directory may have been moved away as a whole."""
        if path in self._known:
            return {path: self._known[path]}
        if self._paths is None:
            self._paths = sorted(self._known)
        first, last = bisect_left(self._paths, f"{path}/"), bisect_left(self._paths, f"{path}0")  # "0" follows "/"
        return {file: self._known[file] for file in self._paths[first:last]}


def as_held(root: Root, item: Found) -> Held:
    """A found file, of which nothing else is known."""
    return Held(file=item.file, root=root.path, shelf=item.shelf, fingerprint=item.fingerprint)
