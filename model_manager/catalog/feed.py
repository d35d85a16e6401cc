"""Who listens for changes: one look at the database wakes all of them, and each reads on from where it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

from model_manager.catalog.records import Position
from model_manager.catalog.shapes import Changes, cursor_of, told
from model_manager.catalog.storage.store import Store
from model_manager.errors import Unavailable

LOOK_SECONDS: Final = 1.0
"""Between two looks for changes that other servers, or commands, made in the same database."""

PAGE: Final = 500
"""Changes that are read at once."""

BEAT_SECONDS: Final = 15.0
"""Between two signs of life to a listener."""


class Feed:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._bells: set[asyncio.Event] = set()
        self._seen: Position | None = None
        self._next_look = 0.0
        self.ended = False

    @property
    def listeners(self) -> int:
        return len(self._bells)

    def ring(self) -> None:
        """Something changed here."""
        for bell in self._bells:
            bell.set()

    def close(self) -> None:
        """Everybody is sent home; they come back to whoever serves next."""
        self.ended = True
        self.ring()

    async def since(self, cursor: str | None, limit: int) -> Changes:
        """What changed after a cursor; nothing, but where to begin, without one."""
        seq, gap = await self._place(cursor)
        position, changes = await self._store.changes(seq, limit)
        last = Position(epoch=position.epoch, seq=changes[-1].seq if changes else max(seq, 0))
        reached = last if changes or not gap else position
        return Changes(
            changes=[told(each, position.epoch) for each in changes],
            next=cursor_of(reached),
            gap=gap,
            more=len(changes) == limit,
        )

    async def listen(self, cursor: str | None) -> AsyncIterator[Changes | None]:
        """Changes as they come; None is a sign of life. Ends when the server does."""
        clock = asyncio.get_running_loop().time
        with self._bell() as bell:
            here = await self.since(cursor, PAGE)
            yield here
            beat = clock()
            while not self.ended:
                if here.more or await self._rung(bell):
                    bell.clear()
                    here = await self.since(here.next, PAGE)
                    told: Changes | None = here
                else:
                    told = None
                if clock() - beat >= BEAT_SECONDS or (told and (told.changes or told.gap)):
                    yield told
                    beat = clock()

    async def _rung(self, bell: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await bell.wait()
        except TimeoutError:
            await self._look()
        return bell.is_set()

    async def _look(self) -> None:
        """Whoever waited long enough looks for all whether something changed elsewhere."""
        now = asyncio.get_running_loop().time()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        try:
            position = await self._store.position()
        except Unavailable:
            return
        if position != self._seen:
            self._seen = position
            self.ring()

    async def _place(self, cursor: str | None) -> tuple[int, bool]:
        """Where a cursor is, and whether what follows it is not known: it is of another database, of a future that was lost,
        or too old. Then it begins at the end."""
        position = await self._store.position()
        if cursor is None:
            return position.seq, False
        epoch, _, number = cursor.rpartition("-")
        lost = epoch != position.epoch or int(number) > position.seq
        if lost or (int(number) < position.seq - 1 and int(number) < await self._store.forgotten()):
            return position.seq, True
        return int(number), False

    @contextmanager
    def _bell(self) -> Iterator[asyncio.Event]:
        bell = asyncio.Event()
        self._bells.add(bell)
        try:
            yield bell
        finally:
            self._bells.discard(bell)
