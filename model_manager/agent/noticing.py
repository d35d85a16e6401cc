"""The loop that owns what the disk looks like: watcher hints, full reconciles, lost and regained roots."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Final

from loguru import logger

from model_manager.agent.board import Board
from model_manager.agent.looking import places, whole
from model_manager.agent.roots import Roots
from model_manager.agent.shelves import Shelves
from model_manager.decisions.comparing import compare
from model_manager.decisions.settling import Seen, settle
from model_manager.errors import ModelManagerError
from model_manager.facts.disk import Diff, Held, Root
from model_manager.facts.event import RootBack, RootLost, ScanFinished
from model_manager.library.markers import Away
from model_manager.library.watching import Watcher

ROOT_LOOK: Final = 2.0
"""Seconds between looks at whether every root is still mounted."""


class Noticing:
    """Everything that changes on disk, by whomever, becomes a Diff here and nowhere else (but for what we fetch)."""

    def __init__(self, board: Board, shelves: Shelves, roots: Roots, watcher: Watcher) -> None:
        self._board = board
        self._shelves = shelves
        self._roots = roots
        self._watcher = watcher
        self._restless: dict[str, Seen] = {}
        self._hints: set[str] = set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            await self.reconcile()
            self._board.scanned = True
            self._board.bells.gate.ring()
            self._board.bells.fetching.ring()
            group.create_task(self._watch(), name="watch")
            group.create_task(self._settle(), name="settle")
            group.create_task(self._reconcile_for_ever(), name="reconcile")
            group.create_task(self._guard_roots(), name="roots")

    async def reconcile(self) -> None:
        """Compare every root that is there with the index. What still changes is left to settle."""
        await self._let_go()
        self._board.scan_started, self._board.scan_finished = self._board.clock.now(), ""
        for root in self._roots.all:
            await self._reconcile_root(root)
        self._board.scan_finished = self._board.clock.now()
        self._board.counters.scanned_at = self._board.clock.monotonic()

    async def _let_go(self) -> None:
        """What lies in directories that are not configured any more is not ours to tell of."""
        paths = {root.path for root in self._roots.all}
        gone = tuple(held for held in self._shelves.held.values() if held.root not in paths)
        await self._shelves.change(Diff(vanished=gone))

    async def _reconcile_root(self, root: Root) -> None:
        if not await self.present(root):
            return
        before = dict(self._shelves.held)
        try:
            result, items = await asyncio.to_thread(whole, root)
        except ModelManagerError as error:
            await self._lost(root, str(error))
            return
        if not await self.present(root):
            return
        moving = {item.file for item in items if self._still_moving(item)} | self._entered_since(before, root)
        found = [item for item in items if item.file not in moving]
        self._hints |= moving
        self._say_settling()
        indexed = {
            file: held for file, held in self._shelves.held.items() if held.root == root.path and file not in moving
        }
        diff = compare(found, indexed, result.unreadable)
        self._board.counters.scan_seconds = result.seconds
        await self._shelves.change(diff, *self._scan_event(diff, found, result.seconds))
        for place in result.unreadable:
            logger.bind(directory=place).warning("directory cannot be read; what was known below it stays")

    def _entered_since(self, before: dict[str, Held], root: Root) -> set[str]:
        """What was fetched, read or removed while we looked at a root: our look may be older than that."""
        now = self._shelves.held
        newer = {file for file, held in now.items() if held.root == root.path and before.get(file) is not held}
        return newer | {file for file in before.keys() - now.keys() if before[file].root == root.path}

    def _scan_event(self, diff: Diff, found: list[Held], seconds: float) -> tuple[ScanFinished, ...]:
        """Told when a scan found a change, and once after the start."""
        if diff.empty and self._board.scanned:
            return ()
        return (
            ScanFinished(
                files=len(found),
                bytes=sum(held.fingerprint.size for held in found),
                appeared=len(diff.appeared),
                changed=len(diff.changed),
                vanished=len(diff.vanished),
                seconds=round(seconds, 3),
            ),
        )

    def _still_moving(self, held: Held) -> bool:
        """A file that is new to us and was written within the settle time, or in the future, has to settle first."""
        known = self._shelves.held.get(held.file)
        if known is not None and known.fingerprint == held.fingerprint:
            return False
        age = time.time_ns() - held.fingerprint.mtime_ns
        return age < self._board.settings.settle_seconds * 1e9

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
            self._hints |= paths

    async def _settle(self) -> None:
        while True:
            await asyncio.sleep(min(0.25, self._board.settings.settle_seconds / 4))
            paths = {*self._hints, *self._restless, *self._board.suspects}
            if paths:
                self._hints = set()
                self._board.suspects.clear()
                await self._take_up(paths)

    async def _take_up(self, paths: set[str]) -> None:
        """Look at what the hints name; what rests is compared with the index, the rest is looked at again."""
        before = dict(self._shelves.held)
        hints = [(root, path) for path in sorted(paths) if (root := self._root_of(path)) and self._is_here(root)]
        sight = await asyncio.to_thread(places, hints, before, self._restless.keys())
        rest = self._board.settings.settle_seconds
        settled = settle(self._restless, sight.there, self._board.clock.monotonic(), rest)
        self._restless = dict(settled.restless)
        if settled.calm and await self._all_present(settled.calm):
            newer = {file for file in settled.calm if self._shelves.held.get(file) is not before.get(file)}
            self._hints |= newer
            calm = set(settled.calm) - newer
            indexed = {file: self._shelves.held[file] for file in calm & self._shelves.held.keys()}
            await self._shelves.change(
                compare([sight.found[file] for file in sorted(calm & sight.found.keys())], indexed)
            )
        self._say_settling()

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
        if isinstance(state, Away):
            await self._lost(root, state.why)
            return False
        if self._board.lost_roots.pop(root.path, None) is not None:
            logger.bind(root=root.path).info("models directory is back")
            await self._shelves.tell(RootBack(root=root.path))
            self._ring()
        return True

    async def _lost(self, root: Root, why: str) -> None:
        if self._board.lost_roots.get(root.path) == why:
            return
        self._board.lost_roots[root.path] = why
        logger.bind(root=root.path, reason=why).error(
            "models directory is away; nothing is deleted or announced as gone"
        )
        await self._shelves.tell(RootLost(root=root.path, why=why))
        self._ring()

    def _ring(self) -> None:
        self._board.bells.gate.ring()
        self._board.bells.fetching.ring()
