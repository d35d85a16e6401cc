"""The loop that owns the plan and every transfer: it starts what is missing and lets go of what nobody wants any more."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from loguru import logger

from model_manager.agent.board import Board
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.transfers.crediting import Crediting
from model_manager.agent.transfers.downloading import Downloading
from model_manager.agent.transfers.linking import Linking
from model_manager.agent.transfers.slots import Slots
from model_manager.decisions.advancing import may
from model_manager.decisions.ordering import small
from model_manager.decisions.planning import plan
from model_manager.decisions.ranking import ranked
from model_manager.decisions.retrying import Never, after
from model_manager.errors import BadPath, Broken, Corrupt, ModelManagerError, Occupied, RootAway
from model_manager.facts.disk import Root
from model_manager.facts.event import DownloadFailed
from model_manager.facts.model import Model
from model_manager.facts.plan import Fetch, Link, Step
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Phase, Transfer

Present = Callable[[Root], Awaitable[bool]]

GRACE: Final = 10.0
"""Seconds that a download goes on after nobody wants it any more: an assignment that flaps costs nothing."""

LOOK: Final = 5.0
"""Seconds between looks without a bell."""


@dataclass
class _Trouble:
    """Failures in a row, how many of wrong bytes, the farthest byte, and since when none came (monotonic seconds).

    `blocked`: its place on disk is taken, so that nobody should wait for it to share its bytes.
    """

    since: float
    failures: int = 0
    wrong: int = 0
    reached: int = 0
    blocked: bool = False


@dataclass
class _Run:
    model: Model
    task: asyncio.Task[None]
    unwanted_since: float | None = None


class Fetching:
    """One task a model. Slots are held only while bytes move: a waiting download delays only those who need it."""

    def __init__(
        self,
        board: Board,
        shelves: Shelves,
        downloading: Downloading,
        root: Root,
        present: Present,
        borrow: Callable[[], Awaitable[None]],
    ) -> None:
        """`present`: whether a root is mounted at this moment; without it, bytes would go to the disk below. `borrow` is
        awaited before each plan: it shows the shelves what others brought to this machine.
        """
        self._board = board
        self._shelves = shelves
        self._downloading = downloading
        self._root = root
        self._present = present
        self._borrow = borrow
        self._crediting = Crediting(board.counters)
        self._linking = Linking(shelves, root, board.clock)
        self._turns: dict[ShelfPath, int] = {}
        self._slots = Slots(board.settings.concurrency, lambda path: self._turns.get(path, len(self._turns)))
        self._running: dict[ShelfPath, _Run] = {}
        self._blamed: dict[str, int] = {}
        self._troubles: dict[ShelfPath, _Trouble] = {}
        self._nudged = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                await self._borrow()
                self._look(group)
                await self._board.bells.fetching.wait(LOOK)

    def nudge(self) -> None:
        """Whoever waits for another attempt tries now (a token was changed, a reload was asked for)."""
        self._downloading.forgive()
        self._nudged.set()
        self._nudged = asyncio.Event()

    def _look(self, group: asyncio.TaskGroup) -> None:
        if self._board.requirements is None or not self._board.scanned:
            return
        settings = self._board.settings
        current = plan(
            self._board.requirements,
            self._shelves.relevant(self._board.requirements),
            unpinned=settings.unpinned,
            allow_pickle=settings.allow_pickle,
            blocked=[path for path, trouble in self._troubles.items() if trouble.blocked],
        )
        self._board.plan = current
        self._crediting.note(current)
        self._turns = {step.wanted.model.path: turn for turn, step in enumerate(current.steps)}
        self._board.bells.hashing.ring()
        self._release(
            {step.wanted.model.path: step.wanted.model for step in current.steps if isinstance(step, Fetch | Link)}
        )
        for step in current.steps:
            if isinstance(step, Fetch | Link) and self._may_start(step):
                self._start(group, step)
        self._forget({step.wanted.model.path for step in current.steps})

    def _may_start(self, step: Fetch | Link) -> bool:
        waits = isinstance(step, Fetch) and step.waits
        path = step.wanted.model.path
        settles = os.path.join(self._root.path, str(path)) in self._board.settling
        away = self._root.path in self._board.lost_roots
        return not (waits or settles or away or path in self._running)

    def _start(self, group: asyncio.TaskGroup, step: Fetch | Link) -> None:
        path = step.wanted.model.path
        task = group.create_task(self._bring(step), name=f"model {path}")
        self._running[path] = _Run(step.wanted.model, task)
        task.add_done_callback(lambda done: self._ended(path, done))

    def _ended(self, path: ShelfPath, task: asyncio.Task[None]) -> None:
        if (run := self._running.get(path)) and run.task is task:
            del self._running[path]
            if task.cancelled():
                self._board.transfers.pop(path, None)
            self._board.bells.fetching.ring()

    def _release(self, wanted: dict[ShelfPath, Model]) -> None:
        """Cancel what is not wanted any more (after a while) or wanted differently (at once). What is here is kept."""
        now = self._board.clock.monotonic()
        for path, run in tuple(self._running.items()):
            if path not in wanted:
                run.unwanted_since = run.unwanted_since or now
                if now - run.unwanted_since >= GRACE:
                    run.task.cancel()
            else:
                run.unwanted_since = None
                if run.model != wanted[path]:
                    self._troubles.pop(path, None)
                    run.task.cancel()

    def _forget(self, wanted: set[ShelfPath]) -> None:
        for path in self._board.transfers.keys() - wanted - self._running.keys():
            del self._board.transfers[path]
        for path in self._troubles.keys() - wanted:
            del self._troubles[path]

    def _report(self, transfer: Transfer) -> None:
        before = self._board.transfers.get(transfer.shelf)
        if before is not None and not may(before.phase, transfer.phase):
            raise Broken(what=f"{transfer.shelf} went from {before.phase} to {transfer.phase}.")
        self._board.transfers[transfer.shelf] = transfer
        if before is None or before.phase is not transfer.phase:
            self._board.bells.gate.ring()

    async def _bring(self, step: Fetch | Link) -> None:
        """One attempt and, if it failed, the wait for the next; then the plan decides anew."""
        path = step.wanted.model.path
        trouble = self._troubles.setdefault(path, _Trouble(since=self._board.clock.monotonic()))
        before = self._board.transfers.get(path, Transfer(shelf=path))
        self._report(
            Transfer(shelf=path, bytes=before.bytes, total=before.total, attempt=trouble.failures + 1, host=before.host)
        )
        nudged = self._nudged
        try:
            async with self._slots.of(path, small=isinstance(step, Link) or small(step)) as moved:
                await self._once(step, trouble.failures + 1, moved)
            self._troubles.pop(path, None)
        except ModelManagerError as error:
            await self._wait(nudged, await self._failed(step, error, trouble))

    async def _wait(self, nudged: asyncio.Event, seconds: float | None) -> None:
        """Until somebody nudges or `seconds` passed; None waits for a nudge or for another plan, which cancels."""
        try:
            async with asyncio.timeout(seconds):
                await nudged.wait()
        except TimeoutError:
            return

    def _progressed(self, path: ShelfPath, trouble: _Trouble) -> bool:
        """Whether bytes came that had not come before."""
        transfer = self._board.transfers.get(path)
        reached = transfer.bytes if transfer is not None and transfer.phase is Phase.FETCHING else 0
        farther, trouble.reached = reached > trouble.reached, max(reached, trouble.reached)
        return farther

    async def _once(self, step: Fetch | Link, number: int, moved: Callable[[], None]) -> None:
        if not await self._present(self._root):
            raise RootAway(root=self._root.path, why=self._board.lost_roots.get(self._root.path, "it was a moment ago"))
        if isinstance(step, Link):
            await self._link(step)
        else:
            await self._fetch(step, number, moved)
        self._board.transfers.pop(step.wanted.model.path, None)

    async def _link(self, step: Link) -> None:
        path = step.wanted.model.path
        self._report(Transfer(shelf=path, phase=Phase.PLACING))
        held = await self._linking.bring(step)
        self._done(path, held.fingerprint.size)

    async def _fetch(self, step: Fetch, number: int, moved: Callable[[], None]) -> None:
        model = step.wanted.model
        counters = self._board.counters
        counters.started += number == 1
        counters.retried += number > 1
        source = ranked(model.sources, self._blamed)[0]
        try:
            arrived = await self._downloading.attempt(
                step, source, number, self._report, self._shelves.tell, moved=moved
            )
        except ModelManagerError:
            self._blamed[source.url] = self._blamed.get(source.url, 0) + 1
            raise
        self._blamed.pop(source.url, None)
        counters.verified += 1
        counters.fetched_bytes += arrived.verified.fetched
        await self._shelves.enter(arrived.held, arrived.verified)
        self._shelves.came_from(arrived.held, source.url)
        self._done(model.path, arrived.verified.size)
        logger.bind(
            model=str(model.path), bytes=arrived.verified.size, evidence=arrived.verified.evidence, seconds=arrived.verified.seconds
        ).info("model verified and placed")  # fmt: skip

    def _done(self, path: ShelfPath, size: int) -> None:
        self._report(Transfer(shelf=path, phase=Phase.DONE, bytes=size, total=size))

    async def _failed(self, step: Step, error: ModelManagerError, trouble: _Trouble) -> float | None:
        """Note a failure; seconds until the next attempt, None for never."""
        path, now = step.wanted.model.path, self._board.clock.monotonic()
        if self._progressed(path, trouble):
            trouble.since, trouble.failures = now, 0
        trouble.failures += 1
        trouble.blocked = isinstance(error, BadPath | Occupied)
        if trouble.blocked:
            self._board.bells.fetching.ring()
        if isinstance(error, Corrupt):
            trouble.wrong, trouble.reached = trouble.wrong + 1, 0
        settings = self._board.settings
        stalled = now - trouble.since >= settings.stall_minutes * 60
        count = trouble.wrong if isinstance(error, Corrupt) else trouble.failures
        then = after(error, count, settings.retry_attempts, stalled, self._board.clock.chance())
        untried = len(step.wanted.model.sources) > trouble.failures
        seconds = 0.1 if untried else None if isinstance(then, Never) else then.seconds
        final = not untried and (isinstance(then, Never) or then.failed)
        await self._announce(path, error, trouble.failures, final, seconds)
        return seconds

    async def _announce(
        self, path: ShelfPath, error: ModelManagerError, failures: int, final: bool, seconds: float | None
    ) -> None:
        before, why = self._board.transfers[path], str(error)
        retry_at = "" if seconds is None else self._board.clock.later(seconds)
        if final and before.phase is not Phase.FAILED:
            self._board.counters.failed += 1
        self._report(
            replace(
                before,
                phase=Phase.FAILED if final else Phase.WAITING,
                speed=0.0,
                eta=None,
                attempt=failures,
                why=why,
                retry_at=retry_at,
            )
        )
        log = logger.bind(model=str(path), reason=why, attempt=failures, retry_at=retry_at)
        log.log("ERROR" if final else "WARNING", "download failed" if final else "download interrupted")
        await self._shelves.tell(
            DownloadFailed(
                folder=path.folder,
                name=path.name,
                reason=why,
                attempt=failures,
                final=final,
                retry_at=retry_at,
                error=type(error).__name__,
            )
        )
