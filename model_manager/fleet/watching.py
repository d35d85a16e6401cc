"""The loops that keep the view: the stream, the leases, the downloads. Redis may be away for hours; the view stays."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol

from loguru import logger

from model_manager.bus.following import Batch, Gap, Lag
from model_manager.bus.leases import Lease, Leases
from model_manager.bus.mirroring import Mirrors
from model_manager.errors import BadRecord, BusUnavailable
from model_manager.facts.event import Envelope
from model_manager.fleet.collecting import set_aside
from model_manager.fleet.telling import Telling
from model_manager.fleet.view import View

EVERY: Final = 2.0
"""Seconds between two looks at leases and downloads."""

BREATH: Final = 0.2
"""Seconds between two looks, however many machines say that something changed."""

AUDIT: Final = 60.0
"""Seconds between two comparisons of everything with its machine's own hash, and searches for the dead whom nobody buried."""

STRAYS: Final = 3_600.0
"""Seconds between two searches for members of the reverse index of whose machine nothing else is left."""

COUNTED: Final = 10.0
"""Seconds between two looks at what routing counts."""

AGAIN: Final = 1.0
SLOWEST: Final = 5.0
"""Seconds before Redis is asked again at the start; doubling up to this."""

RINGING: Final = frozenset({"machine.hello", "machine.bye", "readiness.changed"})
"""Events after which the leases say something else."""

FORGOTTEN: Final = 86_400.0
"""Seconds after which a machine that is away is no longer shown."""


class Following(Protocol):
    """A reader of the stream from a cursor on."""

    @property
    def lag(self) -> Lag: ...

    @property
    def away(self) -> str | None: ...

    def batches(self) -> AsyncIterator[Batch]: ...


class Watching:
    """`follow` begins to read after a cursor; `count` brings what routing counts into the view."""

    def __init__(
        self,
        view: View,
        leases: Leases,
        telling: Telling,
        follow: Callable[[str], Following],
        count: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._view = view
        self._mirrors: Mirrors = view.mirrors
        self._leases = leases
        self._telling = telling
        self._follow = follow
        self._count = count
        self._bell = asyncio.Event()
        self._unburied = ""
        self._strays_due = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        cursor = await self.begin()
        set_aside()
        await self.run_from(cursor)

    async def run_from(self, cursor: str) -> None:
        """As `run`, after `once`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._stream(cursor), name="stream")
            group.create_task(self._look_for_ever(), name="leases")
            group.create_task(self._count_for_ever(), name="counts")

    async def begin(self) -> str:
        """Everything that Redis has, once; waits for a Redis that is away."""
        pause = AGAIN
        while True:
            try:
                return await self.once()
            except BusUnavailable as error:
                self._lost(error)
                await asyncio.sleep(pause)
                pause = min(SLOWEST, 2 * pause)

    async def once(self) -> str:
        """One look at everything; the cursor to go on from. Raises BusUnavailable."""
        cursor = await self._mirrors.start()
        await self._look()
        self._view.exact = True
        self._reached()
        await self._counted()
        return cursor

    async def _stream(self, cursor: str) -> None:
        reader = self._follow(cursor)
        async for batch in reader.batches():
            self._view.lag = (reader.lag.entries, reader.lag.seconds)
            if reader.away is not None:
                self._view.lost(reader.away)
                continue
            try:
                await self._mirrors.take(batch.told)
                self._reached()
            except BusUnavailable as error:
                self._lost(error)
            self._tell(batch)

    def _tell(self, batch: Batch) -> None:
        """After the view was brought up to date: who hears of an event finds it there."""
        told = [(identity, each) for identity, each in batch.told if isinstance(each, Envelope)]
        kinds = {each.kind for _, each in told}
        if not RINGING.isdisjoint(kinds):
            self._bell.set()
        if len(told) < len(batch.told):
            _warn(batch)
        self._telling.tell(told, kinds, self._view.lag[0])

    async def _look_for_ever(self) -> None:
        audited = time.monotonic()
        while True:
            await asyncio.sleep(BREATH)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._bell.wait()
            self._bell.clear()
            due = time.monotonic() - audited > AUDIT
            try:
                await self._look()
                await self._tidy(whole=due)
                audited = time.monotonic() if due else audited
            except BusUnavailable as error:
                self._lost(error)

    async def _count_for_ever(self) -> None:
        while True:
            await asyncio.sleep(COUNTED)
            await self._counted()

    async def _counted(self) -> None:
        """Nothing depends on it: who may not read it, or finds Redis away, shows nothing of it."""
        try:
            if self._count is not None:
                await self._count()
        except BusUnavailable as error:
            self._view.routed = self._view.starved = None
            logger.bind(reason=str(error)).debug("what routing counts cannot be read")

    async def _look(self) -> None:
        view = self._view
        looked = await self._leases.look(view.ids)
        view.heard(looked)
        if gone := [machine_id for machine_id, lease in looked.leases.items() if self._is_buried(machine_id, lease)]:
            await self._mirrors.examine(gone)
        lively = [machine_id for machine_id in view.ids if view.state(machine_id) != "away"]
        view.moved(await self._leases.progress(lively))
        for machine_id in list(view.gone_for(FORGOTTEN)):
            view.forget(machine_id)

    def _is_buried(self, machine_id: str, lease: Lease) -> bool:
        """By somebody else: no event tells of it. Or Redis forgot it, and the machine itself will say so."""
        mirror = self._view.mirror(machine_id)
        return mirror is not None and not mirror.left and not lease.alive and lease.deadline is None

    async def _tidy(self, *, whole: bool) -> None:
        """The dead leave the reverse index, also those that died while nobody looked; no event tells of it."""
        buried = await self._bury(search=whole)
        for machine_id in buried:
            logger.bind(machine=machine_id).info("a dead machine's entries were withdrawn")
        if whole or buried:
            await self._mirrors.audit()

    async def _bury(self, *, search: bool) -> tuple[str, ...]:
        """Who may only read leaves it to the agents, and says so once."""
        try:
            if search:
                await self._leases.orphans()
                await self._drop_strays()
            buried = await self._leases.bury()
        except BusUnavailable as error:
            if self._view.away is None and str(error) != self._unburied:
                self._unburied = str(error)
                logger.bind(reason=self._unburied).warning("the dead cannot be withdrawn from here; agents do it")
            return ()
        self._unburied = ""
        return buried

    async def _drop_strays(self) -> None:
        """At the first search, and then once an hour: it looks at the whole reverse index."""
        now = time.monotonic()
        if now >= self._strays_due:
            for machine_id in await self._leases.strays():
                logger.bind(machine=machine_id).info("a machine of which nothing else is left leaves the reverse index")
            self._strays_due = now + STRAYS

    def _reached(self) -> None:
        if self._view.away is not None:
            logger.info("redis: connected")
        self._view.reached()

    def _lost(self, error: BusUnavailable) -> None:
        if self._view.away is None:
            logger.bind(reason=str(error)).warning("redis: away; the last view is served")
        self._view.lost(str(error))


def _warn(batch: Batch) -> None:
    for identity, each in batch.told:
        match each:
            case BadRecord():
                logger.bind(id=identity, reason=str(each)).warning("an entry of the stream is no event")
            case Gap():
                logger.bind(reason=each.why, lost=each.lost).warning("the stream has a gap; everything is compared")
            case Envelope():
                continue
