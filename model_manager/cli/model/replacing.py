"""Copies that give way: what of the index is really there twice, the change with its undo log, and the way back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from model_manager.decisions.duplicating import duplicates
from model_manager.errors import AlreadyRunning, ModelManagerError, NotReplaced, Stopped, Unavailable
from model_manager.facts.duplicate import Copy, Duplicate, Redundant, Replacement
from model_manager.facts.known import Group, Known
from model_manager.facts.shelf import ShelfPath
from model_manager.library.duplicates import deduplicating
from model_manager.library.duplicates.blocks import layout, shares_blocks
from model_manager.library.duplicates.deduplicating import Replaced
from model_manager.library.duplicates.undoing import UndoLog, tidy

Way = Literal["auto", "reflink", "hardlink"]
"""How copies are replaced: by shared blocks where the file system can and hard links elsewhere, or by one of them alone."""

LOG: Final = ".jsonl"
"""What the name of an undo log ends with."""

UNDONE: Final = ".undone"
"""What the name of an undo log ends with once all of it was taken back."""

OUTSIDE: Final = "a link leads to it out of the tracked directories, where nothing is changed"

Told = Callable[[int, int], None]
"""(steps done, bytes compared so far)."""


@dataclass(slots=True)
class Outcome:
    """What replacing came to. `log` is where it can be undone from; `stopped`: not all of it was tried."""

    log: str
    done: list[Replaced] = field(default_factory=list)
    failed: list[tuple[Replacement, ModelManagerError]] = field(default_factory=list)
    stopped: bool = False

    @property
    def freed(self) -> int:
        """Bytes."""
        return sum(each.freed for each in self.done)


def plan(groups: Sequence[Group], own: Iterable[str], way: Way) -> tuple[Duplicate, ...]:
    """What is there more than once, and what would be done. `own`: the directories that are our store.

    Asks each file system whether files can share blocks there, with two nameless files that leave nothing behind.
    """
    stores = frozenset(own)
    sharing = frozenset(_sharing(groups)) if way != "hardlink" else frozenset()
    copied = ((_digest(group), [_copy(known, stores, sharing) for known in _named(group)]) for group in groups)
    found = _within(duplicates(copied, sharing), groups)
    return tuple(map(_by_reflink_alone, found)) if way == "reflink" else found


def _named(group: Group) -> tuple[Known, ...]:
    """Without the links to files of the group: these lead to whatever takes the file's place."""
    there = {os.path.realpath(known.file) for known in group.locations if not os.path.islink(known.file)}
    return tuple(
        known for known in group.locations if not (os.path.islink(known.file) and os.path.realpath(known.file) in there)
    )


def _within(found: Iterable[Duplicate], groups: Iterable[Group]) -> tuple[Duplicate, ...]:
    """A file to which a link leads out of the tracked directories may stand in for others, and is never replaced."""
    homes = tuple({f"{os.path.realpath(known.root).rstrip('/')}/" for group in groups for known in group.locations})

    def judged(each: Redundant) -> Redundant:
        inside = all(os.path.realpath(copy.file).startswith(homes) for copy in each.copies)
        return each if each.how is None or inside else replace(each, how=None, why=OUTSIDE, reclaimable=0)

    return tuple(replace(one, redundant=tuple(map(judged, one.redundant))) for one in found)


def _sharing(groups: Iterable[Group]) -> Iterator[int]:
    """Devices whose file systems let files share blocks."""
    places = {known.fingerprint.device: os.path.dirname(known.file) for group in groups for known in group.locations}
    return (device for device, directory in places.items() if shares_blocks(directory))


def _digest(group: Group) -> str:
    return group.digests.sha256 or group.digests.blake3 or ""


def _copy(known: Known, stores: frozenset[str], sharing: frozenset[int]) -> Copy:
    return Copy(
        file=known.file,
        root=known.root,
        shelf=ShelfPath(folder=known.folder, name=known.name),
        fingerprint=known.fingerprint,
        own=known.root in stores,
        verified=known.verified,
        blocks=layout(known.file) if known.fingerprint.device in sharing else None,
    )


def _by_reflink_alone(found: Duplicate) -> Duplicate:
    return replace(found, redundant=tuple(map(_if_reflink, found.redundant)))


def _if_reflink(each: Redundant) -> Redundant:
    if each.how != "hard link":
        return each
    return replace(each, how=None, why="its file system lets no two files share blocks", reclaimable=0)


def steps(found: Iterable[Duplicate]) -> tuple[Replacement, ...]:
    return tuple(step for one in found for each in one.redundant for step in each.replacements)


def perform(todo: Iterable[Replacement], log: str, cancelled: Callable[[], bool], told: Told) -> Outcome:
    """Do it, one after the other; a copy that has to stay keeps none of the others from going.

    Raises what UndoLog raises: without a log nothing is touched.
    """
    Path(log).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    outcome, compared = Outcome(log=log), 0
    with UndoLog(log) as undo_log:
        for number, step in enumerate(todo):
            begun = compared

            def progress(size: int, number: int = number, begun: int = begun) -> None:
                told(number, begun + size)

            try:
                outcome.done.append(deduplicating.replace(step, undo_log, progress=progress, cancelled=cancelled))
            except Stopped:
                outcome.stopped = True
                return outcome
            except (NotReplaced, Unavailable) as error:
                outcome.failed.append((step, error))
            compared = begun + step.copy.fingerprint.size
    return outcome


def tidy_logs(directory: Path) -> list[str]:
    """Remove what a crash left beside the files of earlier logs; their paths. A log in use, or unreadable, is left alone."""
    removed: list[str] = []
    for log in logs(directory):
        try:
            removed += tidy(str(log))
        except (AlreadyRunning, Unavailable):
            continue
    return removed


def logs(directory: Path) -> list[Path]:
    """Those that were not undone, old before new."""
    return sorted(directory.glob(f"*{LOG}"))
