"""The loop that owns what the disk looks like: watcher hints, full reconciles, lost and regained roots."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from loguru import logger

from model_manager.agent.bell import Bell
from model_manager.agent.board import Board
from model_manager.agent.collecting import MANY, set_aside, undisturbed
from model_manager.agent.holdings.departed import Departed
from model_manager.agent.holdings.looking import Kin, Sight, Whole, places, whole
from model_manager.agent.holdings.remarking import Remarking
from model_manager.agent.holdings.roots import Roots
from model_manager.agent.holdings.shelves import Shelves
from model_manager.decisions.comparing import compare, kindred
from model_manager.decisions.settling import Seen, due, next_due, settle
from model_manager.errors import ModelManagerError
from model_manager.facts.directory import Scan as Look
from model_manager.facts.disk import Diff, Held, Root
from model_manager.facts.event import RootBack, RootLost, ScanFinished
from model_manager.library.markers import Away, Present, any_there
from model_manager.library.pages import Memory, blank
from model_manager.library.scanning import Scan
from model_manager.library.watching import Watcher

ROOT_LOOK: Final = 2.0
"""Seconds between looks at whether every root is still mounted."""

AT_ONCE: Final = 1000
"""Files in one change of the index."""

SUSPECTS: Final = 0.25
"""Seconds between looks at what the gate suspects, when nothing else happens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Files that differed in a look."""

    appeared: int = 0
    changed: int = 0
    vanished: int = 0

    @property
    def any(self) -> bool:
        return bool(self.appeared or self.changed or self.vanished)

    def adding(self, diff: Diff) -> Tally:
        return Tally(
            appeared=self.appeared + len(diff.appeared),
            changed=self.changed + len(diff.changed),
            vanished=self.vanished + len(diff.vanished),
        )


class Noticing:
    """Everything that changes on disk, by whomever, becomes a Diff here and nowhere else (but for what we fetch)."""

    def __init__(self, board: Board, shelves: Shelves, roots: Roots, watcher: Watcher) -> None:
        self._board = board
        self._shelves = shelves
        self._roots = roots
        self._watcher = watcher
        self._restless: dict[str, Seen] = {}
        self._hints: set[str] = set()
        self._stirred = Bell()
        self._departed = Departed()
        self._remarking = Remarking(board)
        self._memories: dict[str, Memory] = {}
        self._configured: frozenset[str] | None = None
        self._stopped = False

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            await self.reconcile()
            self._board.scanned = True
            self._board.bells.gate.ring()
            self._board.bells.fetching.ring()
            group.create_task(self._watch(), name="watch")
            group.create_task(self.settle(), name="settle")
            group.create_task(self._reconcile_for_ever(), name="reconcile")
            group.create_task(self._guard_roots(), name="roots")

    async def reconcile(self, without: Collection[str] = ()) -> None:
        """Compare every root that is there with the index, but for those at the paths `without`. What still changes is left to
        settle."""
        await self._let_go()
        self._board.scan_started, self._board.scan_finished = self._board.clock.now(), ""
        self._stopped = False
        self._watcher.follow([root.path for root in self._roots.all])
        for root in self._roots.all:
            if not self._stopped and root.path not in without:
                await self._reconcile_root(root)
        self._board.scan_finished = self._board.clock.now()
        if self._stopped:
            return
        self._board.counters.scanned_at = self._board.clock.monotonic()
        self._board.counters.scans += 1
        self._board.bells.describing.ring()

    def stop(self) -> None:
        """What the running scan has not come to is left to the next one. The first scan goes to its end."""
        self._stopped = self._board.scanned

    async def _let_go(self) -> None:
        """What lies in directories that are not configured any more is not ours to tell of."""
        paths = frozenset(root.path for root in self._roots.all)
        if paths == self._configured:
            return
        for told in (self._board.lost_roots, self._board.unreadable):
            for path in told.keys() - paths:
                del told[path]
        gone = [held for held in self._shelves.held.values() if held.root not in paths]
        for start in range(0, len(gone), AT_ONCE):
            await self._shelves.change(Diff(vanished=tuple(gone[start : start + AT_ONCE])))
        self._configured = paths

    async def _reconcile_root(self, root: Root) -> None:
        if not await self.present(root):
            return
        before = dict(self._shelves.held)
        try:
            with undisturbed():
                memory, halt = self._memory_of(root), lambda: self._stopped
                look = await asyncio.to_thread(whole, root, before, self._written_after(), memory, halt)
                if len(look.found) >= MANY:
                    set_aside()
        except ModelManagerError as error:
            await self._lost(root, str(error))
            return
        if not await self.present(root):
            return
        tally = await self._enter(look, before)
        if look.scan.halted:
            return
        await self._roots.remounting.remember(root.path, self._shelves.held.values())
        self._board.counters.scan_seconds = look.scan.seconds
        await self._tell_scanned(root, look.scan, tally)

    async def _enter(self, look: Whole, before: dict[str, Held]) -> Tally:
        """What a full look found to differ. What was written to just now has to settle first."""
        self._hint(look.young)
        self._say_settling()
        tally = await self._change([*look.found, *look.scan.gone], look.found, look.kin, before)
        self._say_settling()
        return tally

    async def _change(
        self, files: Sequence[str], found: Mapping[str, Held], kin: Kin, before: dict[str, Held]
    ) -> Tally:
        """Bring what is known of some files to what was found of them, so many at a time that nobody waits long for the
        index or the event loop. What was fetched, read or removed meanwhile is newer than the look."""
        tally = Tally()
        kin.linked.extend(await self._roots.remounting.same(found, before))
        for start in range(0, len(files), AT_ONCE):
            piece = files[start : start + AT_ONCE]
            newer = self._newer(piece, before)
            self._hint(newer)
            diff = self._compared([file for file in piece if file not in newer], found, kin)
            await self._shelves.change(diff)
            tally = tally.adding(diff)
        return tally

    def _newer(self, files: Iterable[str], before: dict[str, Held]) -> set[str]:
        """Files of which something else is known now than `before`."""
        return {file for file in files if self._shelves.held.get(file) is not before.get(file)}

    def _compared(self, files: Sequence[str], found: Mapping[str, Held], kin: Kin) -> Diff:
        held, now = self._shelves.held, self._board.clock.monotonic()
        there = [found[file] for file in files if file in found]
        indexed = {file: held[file] for file in files if file in held}
        departed = (*kin.moved, *self._departed.lately(now))
        diff = compare(there, indexed, linked=kin.linked, departed=departed)
        self._departed.remember(diff.vanished, now)
        return diff

    async def _tell_scanned(self, root: Root, scan: Scan, tally: Tally) -> None:
        """The fleet hears of a scan that found a change, and of the first; the index of each."""
        await self._roots.saw(self._remarking.of(root.path, scan))
        if self._board.scanned and not tally.any:
            return
        finished = ScanFinished(
            files=scan.files,
            bytes=scan.bytes,
            appeared=tally.appeared,
            changed=tally.changed,
            vanished=tally.vanished,
            seconds=round(scan.seconds, 3),
        )
        await self._shelves.tell(finished)

    def _memory_of(self, root: Root) -> Memory:
        """Of the last look at a root; those of roots that are no more are forgotten."""
        self._memories = {each.path: self._memories.get(each.path, blank()) for each in self._roots.all}
        return self._memories.setdefault(root.path, blank())

    def _written_after(self) -> int:
        """Unix nanoseconds: files with a later time, be it in the future, have not rested yet."""
        return time.time_ns() - int(self._board.settings.settle_seconds * 1e9)

    async def _reconcile_for_ever(self) -> None:
        while True:
            await self._board.bells.noticing.wait(self._board.settings.reconcile_seconds)
            await self.reconcile()

    async def _watch(self) -> None:
        """Hints only: a watcher loses events silently under load, the reconcile does not."""
        watcher = self._watcher
        async for paths in watcher.changes():
            if watcher.mode != self._board.watch_mode:
                self._board.watch_mode = watcher.mode
                logger.bind(mode=watcher.mode, why=watcher.why).info("watching the model directories")
            self._hint(paths)

    def _hint(self, paths: AbstractSet[str]) -> None:
        if paths:
            self._hints |= paths
            self._stirred.ring()

    async def settle(self) -> None:
        """Look at once where something stirs, and again exactly when it has rested."""
        while True:
            await self._stirred.wait(self._pause())
            now, rest = self._board.clock.monotonic(), self._board.settings.settle_seconds
            paths = {*self._hints, *due(self._restless, now, rest), *self._board.suspects}
            if paths:
                self._hints = set()
                self._board.suspects.clear()
                await self._take_up(paths)

    def _pause(self) -> float:
        """Seconds until something is due."""
        first = next_due(self._restless, self._board.settings.settle_seconds)
        return SUSPECTS if first is None else min(max(first - self._board.clock.monotonic(), 0.001), SUSPECTS)

    async def _take_up(self, paths: set[str]) -> None:
        """Look at what the hints name; what rests is compared with the index, the rest is looked at again."""
        before = dict(self._shelves.held)
        hints = [(root, path) for path in sorted(paths) if (root := self._root_of(path)) and self._is_here(root)]
        sight = await asyncio.to_thread(places, hints, before, self._restless.keys())
        calm = self._settled(paths, sight)
        if calm and await self._all_present(calm):
            await self._change(sorted(calm), sight.found, sight.kin, before)
        self._say_settling()

    def _settled(self, paths: set[str], sight: Sight) -> tuple[str, ...]:
        """What was seen to be calm. A file that was moved rested long ago; whoever makes a link may be us, and not done."""
        now, rest = self._board.clock.monotonic(), self._board.settings.settle_seconds
        kin = kindred((), (*sight.kin.moved, *self._departed.lately(now)))
        at_rest = {file for file, held in sight.found.items() if held.fingerprint in kin}
        settled = settle(self._restless, sight.there, now, rest, at_rest)
        looked = paths | sight.there.keys()
        kept = {path: seen for path, seen in self._restless.items() if path not in looked}
        self._restless = kept | dict(settled.restless)
        return settled.calm

    def _is_here(self, root: Root) -> bool:
        return root.path not in self._board.lost_roots

    def _say_settling(self) -> None:
        """What lies in a model's place and is not judged yet must not be fetched: it may be that model."""
        settling = frozenset(self._hints | self._restless.keys())
        if settling != self._board.settling:
            self._board.settling = settling
            self._board.bells.fetching.ring()

    def _root_of(self, path: str) -> Root | None:
        inside = [root for root in self._roots.all if path == root.path or path.startswith(f"{root.path}/")]
        return max(inside, key=lambda root: len(root.path), default=None)

    async def _all_present(self, paths: Iterable[str]) -> bool:
        """Whether the roots of these paths are there: a file is only gone when its root is not."""
        roots = {root.path: root for path in paths if (root := self._root_of(path))}
        return all([await self.present(root) for root in roots.values()])

    async def _guard_roots(self) -> None:
        while True:
            await asyncio.sleep(ROOT_LOOK)
            for root in self._roots.all:
                was_lost = root.path in self._board.lost_roots
                if await self.present(root) and was_lost:
                    await self._reconcile_root(root)

    async def present(self, root: Root) -> bool:
        """Whether a root is there at this moment; the board says why one is not."""
        known = any(held.root == root.path for held in self._shelves.held.values())
        state = await self._roots.look(root, had_files=known)
        if isinstance(state, Present) and known and not root.own and await self._deserted(root, state.device):
            state = Away(why="its models lay on another device and none of them is there: its volume is not mounted")
        if isinstance(state, Away):
            await self._lost(root, state.why)
            return False
        if self._board.lost_roots.pop(root.path, None) is not None:
            logger.bind(root=root.path).info("models directory is back")
            await self._shelves.tell(RootBack(root=root.path))
            self._ring()
        return True

    async def _deserted(self, root: Root, device: int) -> bool:
        """Whether a volume is away, whatever else lies in its mount point: all files were on another device, and none is here."""
        files: list[str] = []
        for held in self._shelves.held.values():
            if held.root == root.path:
                if held.fingerprint.device == device:
                    return False
                files.append(held.file)
        return not await asyncio.to_thread(any_there, files)

    async def _lost(self, root: Root, why: str) -> None:
        if self._board.lost_roots.get(root.path) == why:
            return
        self._board.lost_roots[root.path] = why
        logger.bind(root=root.path, reason=why).error(
            "models directory is away; nothing is deleted or announced as gone"
        )
        await self._roots.saw(Look(path=root.path, state="away", at=self._board.clock.now(), why=why))
        await self._shelves.tell(RootLost(root=root.path, why=why))
        self._ring()

    def _ring(self) -> None:
        self._board.bells.gate.ring()
        self._board.bells.fetching.ring()
