"""The index of a person, without an agent: the agent's own looks and readings, one at a time and only when asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from model_manager.agent.board import Board, Counters
from model_manager.agent.holdings.describing import Describing
from model_manager.agent.holdings.grouping import Grouping
from model_manager.agent.holdings.hashing import Hashing
from model_manager.agent.holdings.importing import Importing
from model_manager.agent.holdings.noticing import Noticing
from model_manager.agent.holdings.roots import Roots
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.holdings.tracking import Tracking
from model_manager.agent.holdings.verifying import Verifying
from model_manager.facts.disk import Held
from model_manager.facts.statistics import Statistics
from model_manager.index.index import Index
from model_manager.workbench.fetching import Bringing

PATIENCE: Final = 5.0
"""Times the settle time for which a look waits for files that still change."""

TICK: Final = 0.1
"""Seconds between two looks at how far reading is."""

Watch = Callable[[Board, Shelves], None]
"""Shown how far it is, ten times a second."""


def nobody(_board: Board, _shelves: Shelves) -> None:
    """The Watch of who does not look."""


@dataclass
class Workbench:
    """Everything that an agent would have, as far as a person needs it. Built by `run.workbench`."""

    board: Board
    shelves: Shelves
    index: Index
    noticing: Noticing
    describing: Describing
    grouping: Grouping
    hashing: Hashing
    verifying: Verifying
    importing: Importing
    tracking: Tracking
    roots: Roots
    bringing: Callable[[], Awaitable[Bringing]]
    """Makes what fetches models; for the length of the workbench, and once."""

    async def sync(
        self, *, read: bool = True, watch: Watch = nobody, only: Collection[str] | None = None
    ) -> Statistics:
        """Look through every directory, or `only` those at these paths, read what is said of the files, and with `read` the
        files that nobody has read. The statistics are of the same directories."""
        clock, before, counted = self.board.clock, dict(self.shelves.held), replace(self.board.counters)
        begun = clock.monotonic()
        without = frozenset(root.path for root in self.roots.all if only is not None and root.path not in only)
        await self.look(without)
        described = 0 if self.board.settings.metadata == "none" else await self.describing.look(without)
        await self.grouping.look()
        if read:
            self.hashing.without = without
            await self._read(watch)
        if self.board.settings.metadata == "civitai":
            await self.describing.inquire()
        took, old, new = clock.monotonic() - begun, _outside(before, without), _outside(self.shelves.held, without)
        kept = old.keys() & new.keys()
        return Statistics(
            total=len(new),
            added=len(new.keys() - old.keys()),
            updated=sum(new[file].fingerprint.is_other_than(old[file].fingerprint) for file in kept),
            removed=len(old.keys() - new.keys()),
            described=described,
            hashes_calculated=self.board.counters.hashed - counted.hashed,
            hashes_skipped=sum(held.digests is None for held in new.values()),
            errors=self._errors(counted, without),
            seconds=round(took, 3),
        )

    async def look(self, without: Collection[str] = ()) -> None:
        """Look through every directory but those at the paths `without`; a file that was written to just now is waited for
        until it rests, for a moment."""
        clock = self.board.clock
        await self.noticing.reconcile(without)
        late = clock.monotonic() + PATIENCE * self.board.settings.settle_seconds
        if self.board.settling:
            await self._beside(
                self.noticing.settle, lambda: not self.board.settling or clock.monotonic() > late, nobody
            )

    async def _read(self, watch: Watch) -> None:
        """Whatever ends it, what was learnt is kept."""
        try:
            await self._beside(self.hashing.run, lambda: self.hashing.idle, watch)
        finally:
            await self.hashing.tell()

    async def verify(self, files: Collection[str] | None = None, *, watch: Watch = nobody) -> tuple[Held, ...]:
        """Read files again whose digests are known (None: all); those that are not what they were."""
        before = dict(self.shelves.held)
        self.verifying.ask(files)
        await self._beside(self.verifying.verify, None, watch)
        return tuple(held for held in self.shelves.held.values() if _rotted(before.get(held.file), held))

    def _errors(self, counted: Counters, without: Collection[str]) -> int:
        """Files that could not be read since then, and in the directories that were looked at, those that are away and places
        that could not be looked at."""
        lost = self.board.lost_roots.keys() - set(without)
        places = sum(number for root, number in self.board.unreadable.items() if root not in without)
        return self.board.counters.hash_errors - counted.hash_errors + len(lost) + places

    async def _beside(
        self, work: Callable[[], Coroutine[Any, Any, None]], until: Callable[[], bool] | None, watch: Watch
    ) -> None:
        """Run until it ends or `until` says so, and let somebody watch."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(work())
            while not task.done() and not (until and until()):
                watch(self.board, self.shelves)
                await asyncio.wait([task], timeout=TICK)
            watch(self.board, self.shelves)
            task.cancel()


def _outside(held: Mapping[str, Held], without: Collection[str]) -> Mapping[str, Held]:
    """The files that lie in no root `without`."""
    return {file: each for file, each in held.items() if each.root not in without} if without else held


def _rotted(before: Held | None, now: Held) -> bool:
    return bool(before and before.digests and now.digests and not before.digests.same_bytes(now.digests))
