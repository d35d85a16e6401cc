"""Looks at the disk, made on a thread: whole trees and single places, against what is known."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from model_manager.errors import RootAway
from model_manager.facts.disk import Fingerprint, Held, Root
from model_manager.library.scanning import Found, Scan, examine, scan


@dataclass(slots=True)
class Sight:
    """`there`: path → fingerprint of what is news or restless, None for what is gone; `found`: the same as files."""

    there: dict[str, Fingerprint | None] = field(default_factory=dict)
    found: dict[str, Held] = field(default_factory=dict)


def whole(root: Root) -> tuple[Scan, list[Held]]:
    """Every model file of a root. Raises RootAway when it cannot be listed."""
    result = scan(root)
    return result, [as_held(root, item) for item in result.found]


def places(hints: Iterable[tuple[Root, str]], known: Mapping[str, Held], restless: Collection[str]) -> Sight:
    """What lies at or below each path. What is as known, and was not restless, is no news; where a look fails, nothing is
    said of it."""
    sight, paths = Sight(), sorted(known)
    for root, path in hints:
        try:
            result = examine(root, path)
        except RootAway:
            continue
        items = {item.file: item for item in result.found}
        gone = (file for file in _at_or_below(paths, path) if file not in items and result.covers(file))
        sight.there |= dict.fromkeys(gone)
        for file, item in items.items():
            if file in restless or file not in known or known[file].fingerprint != item.fingerprint:
                sight.there[file] = item.fingerprint
                sight.found[file] = as_held(root, item)
    return sight


def _at_or_below(paths: list[str], path: str) -> list[str]:
    """Of sorted `paths`, the path itself and all below it: a directory may have been moved away as a whole."""
    first, last = bisect_left(paths, f"{path}/"), bisect_left(paths, f"{path}0")  # "0" follows "/"
    at = bisect_left(paths, path)
    here = paths[at : at + 1] if paths[at : at + 1] == [path] else []
    return here + paths[first:last]


def as_held(root: Root, item: Found) -> Held:
    """A found file, of which nothing else is known."""
    return Held(file=item.file, root=root.path, shelf=item.shelf, fingerprint=item.fingerprint)
