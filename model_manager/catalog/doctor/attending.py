"""The doctor where the catalog runs: one check-up at a time, which tells how it goes while it goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import MappingProxyType
from typing import Final

from loguru import logger

from model_manager.catalog.doctor.checkups import Checkups
from model_manager.catalog.doctor.doctoring import Doctor
from model_manager.catalog.doctor.reports import Checkup, Wish
from model_manager.catalog.doctor.tallying import Tallying
from model_manager.catalog.doctor.visiting import Visitor
from model_manager.catalog.storage.store import Store
from model_manager.errors import ModelManagerError, Unavailable

BEAT: Final = 1.0
"""Seconds between two notes of how it goes."""

Visiting = Callable[[int], AbstractAsyncContextManager[Visitor]]
"""Whoever visits addresses, given how often a minute one host is asked."""


Expected = Mapping[str, Collection[str]]


class Attending:
    """`visiting` None: nobody here visits addresses. `tokens`: names of those that are set. `changed` is called for what was mended."""

    def __init__(
        self, store: Store, visiting: Visiting | None, tokens: Collection[str], changed: Callable[[], None]
    ) -> None:
        self.checkups = Checkups(store.database, store.now)
        self.visits = visiting is not None
        self._store = store
        self._visiting = visiting
        self._tokens = tokens
        self._changed = changed
        self._group: asyncio.TaskGroup | None = None
        self._work: asyncio.Task[str | None] | None = None

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Check-ups may begin within the block; at its end the one that goes on is stopped, and what it found stays."""
        failure: Exception | None = None
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                yield
            except Exception as error:
                failure = error  # of who uses the block: it is not one of a group's
            finally:
                self._group = None
                if self._work is not None:
                    self._work.cancel()
        if failure is not None:
            raise failure

    async def begin(self, who: str, wish: Wish, expected: Expected = MappingProxyType({})) -> Checkup:
        """Begin one. `expected`: names that workflows load → folders from which they do. Raises CatalogConflict while one goes on, Unavailable when this server is about to end."""
        if self._group is None:
            raise Unavailable(what="This server is about to end. Ask again.", retry_after=2.0)
        counts = await self._store.counts()
        begun = await self.checkups.begin(who, wish, counts.models + counts.workflows)
        if self._group is not None:
            self._group.create_task(self._attended(begun.number, who, wish, expected))
        return begun

    async def _attended(self, number: int, who: str, wish: Wish, expected: Expected) -> None:
        """Never raises: what goes wrong is the report's end."""
        found = Tallying()
        async with asyncio.TaskGroup() as group:
            self._work = group.create_task(self._examined(who, wish, expected, found))
            if self._group is None:
                self._work.cancel()
            stopped = not await self._followed(number, self._work, found)
        why = None if self._work.cancelled() else self._work.result()
        state = "stopped" if stopped or self._work.cancelled() else ("failed" if why else "done")
        self._work = None
        try:
            await self.checkups.note(number, found.tally(), found.kept)
            await self.checkups.end(number, state, why or "")  # type: ignore[arg-type]
        except ModelManagerError as error:
            logger.warning("the end of a check-up could not be noted: {}", error)

    async def _followed(self, number: int, work: asyncio.Task[str | None], found: Tallying) -> bool:
        """Note how it goes until it is over; whether it came to its own end."""
        while not work.done():
            await asyncio.wait([work], timeout=BEAT)
            tally = found.tally()
            try:
                going = await self.checkups.note(number, tally, found.kept)
            except Unavailable as error:
                logger.warning("how a check-up goes could not be noted: {}", error)
                continue
            except ModelManagerError as error:
                logger.error("how a check-up goes cannot be noted, it ends: {}", error)
                going = False
            found.note(tally)
            if not going:
                work.cancel()
                return False
        return True

    async def _examined(self, who: str, wish: Wish, expected: Expected, found: Tallying) -> str | None:
        """Why it could not be brought to its end, None when it was."""
        try:
            async with self._visitor(wish) as visitor:
                doctor = Doctor(self._store, visitor, self._tokens, expected, found.looked)
                async for examined in doctor.examine():
                    mended = wish.fix and examined.mended is not None and not await doctor.mend(examined, who)
                    found.add(examined, mended=mended)
                    if mended:
                        self._changed()
        except ModelManagerError as error:
            return str(error)
        except Exception as error:
            logger.opt(exception=error).error("a check-up failed")
            return "This is a fault of the catalog. Look at its log."
        return None

    @asynccontextmanager
    async def _visitor(self, wish: Wish) -> AsyncIterator[Visitor | None]:
        if self._visiting is None or not wish.visit:
            yield None
            return
        async with self._visiting(wish.per_minute) as visitor:
            yield visitor
