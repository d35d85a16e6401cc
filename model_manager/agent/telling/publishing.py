"""The loops that bring the outbox to Redis and keep the machine's lease; Redis may be away for hours."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections.abc import Sequence
from typing import Final

from loguru import logger

from model_manager import __version__
from model_manager.agent.bell import Bell
from model_manager.agent.board import Board, BusState
from model_manager.agent.control.status import figures
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.transfers.progressing import Progressing
from model_manager.bus.arguments import changes
from model_manager.bus.publishing import Bus, Busy, Delivered, Fenced, NeedsSnapshot, Published
from model_manager.errors import BusUnavailable, IndexUnavailable
from model_manager.facts.event import DiskLow, Entry, Envelope, MachineBye
from model_manager.facts.machine import Disk, Heartbeat
from model_manager.index.index import Index
from model_manager.library.markers import quarantined

BATCH: Final = 500
BATCH_BYTES: Final = 1_000_000
"""Events that are read of the index at once, and about so many bytes of them."""

OUTBOX_ROWS: Final = 5000
OUTBOX_BYTES: Final = 8_000_000
"""Beyond these a snapshot is cheaper than the history, and the disk stays bounded through any outage."""

PATIENCE: Final = 3.0
"""Seconds that the first publication waits for the gate's first look."""

SLOWEST: Final = 15.0
"""Seconds between attempts while Redis is away; a heartbeat that gets through ends the wait."""

QUIET: Final = 30.0
"""Seconds between looks at the outbox when nobody rings."""

FOR_EACH: Final = 25e-6
"""Seconds of rest after a change, for each file that is held: Redis writes the public JSON of all of them anew, at half a
microsecond a file. So a machine takes a fiftieth of a server at most; what comes meanwhile goes together."""

LONGEST: Final = 1.0
"""Seconds of such a rest at most: from 40,000 files on."""


class Publishing:
    """Delivers in order, once: the server knows (epoch, seq), so that a repeat changes nothing."""

    def __init__(self, board: Board, shelves: Shelves, index: Index, bus: Bus) -> None:
        self._board = board
        self._shelves = shelves
        self._index = index
        self._bus = bus
        self._failures = 0
        self.snapshot_wanted = False
        self.first_beat = asyncio.Event()
        self.answered = Bell()
        self._prepared: tuple[Envelope, tuple[Entry, ...]] | None = None
        self._rested_at = 0.0
        self._delivered = (0, 0)

    async def run(self) -> None:
        """Begins after the first heartbeat, which finds out whether another installation has this machine id, and after
        the gate's first look: whoever waits for models is served before whoever counts them."""
        await self.first_beat.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._board.first_look.wait()
        while True:
            if not await self._drain():
                await self._board.bells.publishing.wait(QUIET)

    async def _drain(self) -> bool:
        """One round; whether another one may follow at once."""
        try:
            return await self._step()
        except BusUnavailable as error:
            self._failures += 1
            self._say("away", str(error))
            await self._bound_outbox()
            await self.answered.wait(min(SLOWEST, 0.5 * 2 ** min(self._failures, 5)))
            return True

    async def _step(self) -> bool:
        if self.snapshot_wanted:
            return await self._snapshot()
        await asyncio.sleep(self._rested_at - self._board.clock.monotonic())
        batch = self._fresh() or await self._index.outbox(BATCH, most=BATCH_BYTES)
        if not batch:
            return False
        outcome = await self._bus.publish(batch)
        if any(changes(each.event) for each in batch):
            rest = min(LONGEST, FOR_EACH * len(self._shelves.held))
            self._rested_at = self._board.clock.monotonic() + rest
        return await self._follow(outcome)

    def _fresh(self) -> Sequence[Envelope]:
        """What was told just now, when Redis has all that was told before: nobody waits for the index to say it once more."""
        fresh = self._shelves.take_fresh()
        follows = fresh and (fresh[0].epoch, fresh[0].seq - 1) == self._delivered
        return fresh if follows else ()

    async def _follow(self, outcome: Published) -> bool:
        match outcome:
            case Delivered(epoch=epoch, upto_seq=seq):
                self._delivered = epoch, seq
                await self._index.delivered(epoch, seq)
                self._board.counters.published += 1
                self._failures = 0
                self._say("connected", "")
                return True
            case NeedsSnapshot():
                return await self._snapshot()
            case Fenced() | Busy():
                self.refused(outcome)
                await self._bound_outbox()
                return False

    def refused(self, outcome: Fenced | Busy) -> None:
        """Somebody else has our machine id: say so until a heartbeat is taken again."""
        match outcome:
            case Fenced(epoch=epoch):
                why = f"another process took over this machine id (epoch {epoch} > {self._board.epoch})"
            case Busy(owner=owner):
                why = f"machine id {self._board.machine_id} is in use by {owner}; set MACHINE_ID"
        self._say("conflict", why)

    def unreachable(self, why: str) -> None:
        """A heartbeat failed: known at once, even when there is nothing to publish."""
        if self._board.bus != "conflict":
            self._say("away", why)

    def reached(self, *, lost: bool) -> None:
        """A heartbeat was taken; `lost`: what Redis had is gone or incomplete there."""
        if lost or self._board.bus == "conflict":
            self.snapshot_wanted = True
        elif self._board.bus == "away" and not self._failures:
            self._say("connected", "")
        if self.snapshot_wanted or self._board.bus != "connected":
            self._board.bells.publishing.ring()
            self.answered.ring()

    async def _snapshot(self) -> bool:
        """What waits goes to the stream as history; the inventory is replaced as a whole, as of the snapshot's seq."""
        if self._prepared is None:
            self._prepared = await self._shelves.snapshot()
        envelope, entries = self._prepared
        outcome = await self._history(envelope)
        if isinstance(outcome, Delivered):
            outcome = await self._bus.snapshot(envelope, entries)
        self._prepared = None
        self.snapshot_wanted = False
        if isinstance(outcome, NeedsSnapshot):
            raise BusUnavailable(why="it asks for a snapshot right after one")
        return await self._follow(outcome)

    async def _history(self, until: Envelope) -> Published:
        """What waits before this one goes to the stream, page by page: all of it at once is much to hold."""
        outcome: Published = Delivered(0, 0)
        while isinstance(outcome, Delivered):
            waiting = await self._index.outbox(BATCH, after=(outcome.epoch, outcome.upto_seq), most=BATCH_BYTES)
            page = [told for told in waiting if (told.epoch, told.seq) < (until.epoch, until.seq)]
            if not page:
                return outcome
            outcome = await self._bus.history(page)
            if isinstance(outcome, Delivered):
                outcome = Delivered(page[-1].epoch, page[-1].seq)
        return outcome

    async def _bound_outbox(self) -> None:
        rows, size = await self._index.outbox_size()
        if rows > OUTBOX_ROWS or size > OUTBOX_BYTES:
            snapshot = await self._index.compact(at=self._board.clock.now())
            self._prepared = (snapshot.envelope, snapshot.entries)
            self.snapshot_wanted = True

    def _say(self, state: BusState, why: str) -> None:
        if (state, why) != (self._board.bus, self._board.bus_error):
            level = {"connected": "INFO", "away": "WARNING", "conflict": "ERROR"}.get(state, "INFO")
            logger.bind(reason=why).log(level, f"redis: {state}")
        self._board.bus, self._board.bus_error = state, why

    async def farewell(self, at_most: float) -> None:
        """Tell the fleet that we stop, if Redis answers within `at_most` seconds; else the next start delivers it."""
        with contextlib.suppress(BusUnavailable, IndexUnavailable, TimeoutError):
            async with asyncio.timeout(at_most):
                await self._shelves.tell(MachineBye(reason="stopped"))
                *before, bye = await self._index.outbox(OUTBOX_ROWS)
                if self._board.bus == "conflict" or not isinstance(bye.event, MachineBye):
                    return
                if before and not isinstance(await self._bus.publish(before), Delivered):
                    return
                if isinstance(outcome := await self._bus.bye(bye), Delivered):
                    await self._index.delivered(outcome.epoch, outcome.upto_seq)


class Beating:
    """The lease: state, readiness, disks; progress of downloads; and the dead neighbours whose lease ran out."""

    def __init__(
        self, board: Board, shelves: Shelves, bus: Bus, publishing: Publishing, roots: tuple[str, ...]
    ) -> None:
        self._board = board
        self._shelves = shelves
        self._bus = bus
        self._publishing = publishing
        self._roots = roots
        self._low: set[str] = set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat_for_ever(), name="beat")
            group.create_task(Progressing(self._board, self._shelves, self._bus).run(), name="progress")

    async def _beat_for_ever(self) -> None:
        while True:
            await self._look_at_disks()
            try:
                await self._beat()
            except BusUnavailable as error:
                self._publishing.unreachable(str(error))
            self._publishing.first_beat.set()
            await self._board.bells.beating.wait(self._board.settings.heartbeat_seconds)

    async def _beat(self) -> None:
        outcome = await self._bus.beat(self._heartbeat(), {})
        match outcome:
            case NeedsSnapshot():
                self._publishing.reached(lost=True)
            case Delivered():
                self._publishing.reached(lost=False)
            case Fenced() | Busy():
                self._publishing.refused(outcome)
        for machine in await self._bus.reap():
            logger.bind(machine=machine).info("a dead machine's entries were withdrawn")

    def _heartbeat(self) -> Heartbeat:
        board = self._board
        return Heartbeat(
            machine_id=board.machine_id,
            installation=board.installation,
            instance=board.instance,
            epoch=board.epoch,
            state=board.state,
            readiness=board.readiness,
            disks=board.disks,
            version=__version__,
            host=socket.gethostname(),
            at=board.clock.now(),
            collections=board.requirements.assignment.collections if board.requirements else (),
            figures=figures(board),
        )

    async def _look_at_disks(self) -> None:
        floor = self._board.settings.disk_floor
        disks = []
        for root in self._roots:
            try:
                disk = await asyncio.to_thread(_measured, root, floor)
            except OSError:
                continue
            disks.append(disk)
            if disk.free < floor and root not in self._low:
                self._low.add(root)
                await self._shelves.tell(DiskLow(root=root, free=disk.free, floor=floor))
            elif disk.free >= floor * 1.1:
                self._low.discard(root)
        self._board.disks = tuple(disks)


def _measured(root: str, floor: int) -> Disk:
    """Blocks. Raises OSError."""
    usage = shutil.disk_usage(root)
    return Disk(root=root, free=usage.free, total=usage.total, floor=floor, quarantined=quarantined(root))
