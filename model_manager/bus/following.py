"""Following the stream with a cursor of one's own: through outages without a gap, and a gap that cannot be helped is said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from model_manager.bus.ahead import Ahead
from model_manager.bus.connection import translate
from model_manager.bus.keys import Keys
from model_manager.bus.tailing import BLOCK_MS, last_id, sealed
from model_manager.errors import BadRecord, BusUnavailable
from model_manager.facts.event import Envelope

PAGE: Final = 150
"""Entries of one call: with what is made of them they stay in a processor's own cache, and what calls cost the server's side of it is
hidden, for it sends the next page meanwhile. Of larger pages an entry takes up to a third longer."""

CALM: Final = 1.0
"""Seconds after which a cursor is looked after before it is used: nothing longer than a stream passes by in less."""

REWIND: Final = 300
"""Seconds that a reader goes back in a stream that ends before its cursor: a failover loses less."""

SLOWEST: Final = 5.0
"""Seconds between attempts while Redis is away."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Entries are missing before what follows (`lost`), or may be, for Redis was away: compare what you know with the hashes."""

    why: str
    lost: bool


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a reader is behind: entries (at most, while it has never reached the end), and seconds between its cursor and
    the last entry."""

    entries: int
    seconds: float


_XREAD, _XRANGE = b"XREAD", b"XRANGE"
"""As bytes, for redis-py makes a dictionary of each entry when they are text: a third of the time that reading takes."""

Followed = Envelope | BadRecord | Gap


@dataclass(frozen=True, slots=True)
class Batch:
    """What came together, oldest first; nothing, every two seconds, when nothing came. `cursor` is the id to go on from."""

    cursor: str
    told: tuple[tuple[str, Followed], ...]


@dataclass(frozen=True, slots=True)
class _End:
    """Of the stream when it was last looked after: entries ever added, entries kept, and ms of the last one."""

    added: int
    length: int
    last: int


class Follower:
    """Reads on after `since`: an id, "0" (all that is there) or "$" (from now on). One batch of at most `page` entries is in
    memory; while more are known to follow the server already sends the next one, which waits in the socket. `block_ms` is how
    long a call waits for entries, 0 = not at all.

    `away` is why Redis is not available at the moment, else None. It is asked again by itself, for ever.
    """

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        since: str = "$",
        *,
        page: int = PAGE,
        block_ms: int = BLOCK_MS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._redis = redis
        self._key = keys.events
        self._keys = keys
        self._page = page
        self._block_ms = block_ms
        self._clock = clock
        self._sleep = sleep
        self._count: int | None = None
        self._end = _End(0, 0, 0)
        self._checked_at: float | None = None
        self._at_end = False
        self._failures = 0
        self.cursor = since if since == "$" else _full(since)
        self.lag = Lag(0, 0.0)
        self.away: str | None = None

    async def __aiter__(self) -> AsyncIterator[tuple[str, Followed]]:
        async with aclosing(self.batches()) as batches:
            async for batch in batches:
                for each in batch.told:
                    yield each

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """Without end; a Gap stands where entries are missing."""
        ahead = Ahead(self._redis)
        try:
            while True:
                yield await self._batch(ahead)
        finally:
            await ahead.drop()

    async def _batch(self, ahead: Ahead) -> Batch:
        back = self.away is not None
        try:
            told = await self._read(ahead)
        except BusUnavailable as error:
            self._failures += 1
            self.away, self._checked_at = str(error), None
            await self._sleep(min(SLOWEST, 0.05 * 2 ** min(self._failures, 10)))
            return Batch(self.cursor, ())
        self.away, self._failures = None, 0
        if back and not (told and isinstance(told[0][1], Gap)):
            told.insert(0, (self.cursor, Gap("Redis was away", lost=False)))
        return Batch(self.cursor, tuple(told))

    async def _read(self, ahead: Ahead) -> list[tuple[str, Followed]]:
        if self.cursor == "$":
            self.cursor = _full(await last_id(self._redis, self._keys))
        gap: Gap | None = None
        was_at_end = self._at_end
        entries = await self._unlooked(ahead)
        if entries is None:
            gap, entries = await self._looked_after()
            was_at_end, self._checked_at = False, self._clock()
        ends = len(entries) < self._page
        if not (ends or was_at_end or gap) and self._is_calm():
            # before the cursor moves: who is cancelled here has taken nothing
            await ahead.ask(*self._following(entries[-1][0]))
        told: list[tuple[str, Followed]] = [(self.cursor, gap)] if gap else []
        told += sealed(entries)
        self._advance(entries, ends)
        if not ends and was_at_end:
            self._checked_at = None
        return told

    def _advance(self, entries: list[Any], ends: bool) -> None:
        """These are handed on now."""
        if entries:
            self.cursor = entries[-1][0].decode()
            if self._count is not None:
                self._count += len(entries)
        self._at_end = ends
        if ends:
            self._checked_at = self._clock()
        self._measure(ends)

    def _measure(self, at_end: bool) -> None:
        if at_end:
            self.lag = Lag(0, 0.0)
            return
        entries = self._end.length if self._count is None else max(0, self._end.added - self._count)
        self.lag = Lag(entries, max(0, self._end.last - _position(self.cursor)[0]) / 1000)

    async def _unlooked(self, ahead: Ahead) -> list[Any] | None:
        """What follows a cursor that needs no looking after; None when it does."""
        if ahead.asked:
            return self._unbroken(await ahead.answer())
        if not self._is_calm():
            return None
        return await (self._waited() if self._at_end else self._next_page())

    def _is_calm(self) -> bool:
        return self._checked_at is not None and self._clock() - self._checked_at <= CALM

    async def _waited(self) -> list[Any]:
        with translate():
            return _of_one(await self._redis.execute_command(_XREAD, *self._wanted(self._block_ms)))  # type: ignore[no-untyped-call]

    def _wanted(self, block_ms: int) -> tuple[str | int, ...]:
        """Of XREAD: the entries after the cursor."""
        wait = ("BLOCK", block_ms) if block_ms else ()
        return "COUNT", self._page, *wait, "STREAMS", self._key, self.cursor

    async def _next_page(self) -> list[Any] | None:
        with translate():
            return self._unbroken(await self._redis.execute_command(*self._following(self.cursor)))  # type: ignore[no-untyped-call]

    def _following(self, cursor: bytes | str) -> tuple[bytes | str | int, ...]:
        """The entry at this cursor, and those after it."""
        return _XRANGE, self._key, cursor, "+", "COUNT", self._page + 1

    def _unbroken(self, entries: Any) -> list[Any] | None:
        """The entries that follow, while the entry at the cursor still stood before them: then none was lost between. None
        when it did not, or when the end is near."""
        whole = len(entries) > self._page and entries[0][0].decode() == self.cursor
        return list(entries[1:]) if whole else None

    async def _looked_after(self) -> tuple[Gap | None, list[Any]]:
        """The next entries, and whether some were lost before them. At the end of the stream it says so, and waits."""
        with translate():
            if await self._redis.type(self._key) == b"none":
                return self._without_stream(), []
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.xinfo_stream(self._key)
                pipe.execute_command(_XREAD, *self._wanted(0))
                info, answer = await pipe.execute()
        entries = _of_one(answer)
        gap = self._judged(info, len(entries))
        if gap and _position(self.cursor) > _position(_text(info["last-generated-id"])):
            self.cursor = _rewound(_text(info["last-generated-id"]))
            return gap, []
        return gap, entries

    def _judged(self, info: dict[str, Any], count: int) -> Gap | None:
        """Compares the cursor with what the stream says of itself, and learns how many entries lie before the cursor."""
        last, at = _position(_text(info["last-generated-id"])), _position(self.cursor)
        added = int(info["entries-added"])
        removed = added - int(info["length"])
        if at > last:
            self._count = None
            return Gap("the stream ends before the cursor: the server lost what it had, or is another one", lost=True)
        gap = self._overtaken(info, at, removed)
        self._end = _End(added, int(info["length"]), last[0])
        if count < self._page:
            self._count = added - count
        return gap

    def _overtaken(self, info: dict[str, Any], at: tuple[int, int], removed: int) -> Gap | None:
        first = info.get("first-entry")
        if at == (0, 0) or (first and at >= _position(_text(first[0]))):
            return None
        if at >= _position(_text(info["last-generated-id"])):
            return None
        if self._count is None:
            return Gap("the cursor is older than the stream's first entry", lost=True) if removed else None
        missed, self._count = removed - self._count, max(removed, self._count)
        return Gap(f"{missed} entries were trimmed before they were read", lost=True) if missed > 0 else None

    def _without_stream(self) -> Gap | None:
        """There is no stream: whatever had been read is gone from the server."""
        had = self.cursor != "0-0"
        self.cursor, self._count = "0-0", 0
        return Gap("the server has no stream any more", lost=True) if had else None


def _of_one(answer: Any) -> list[Any]:
    """The entries of the one stream that was read."""
    return list(answer[0][1]) if answer else []


def _full(identity: str) -> str:
    return identity if "-" in identity else f"{identity}-0"


def _position(identity: str) -> tuple[int, int]:
    ms, _, number = identity.partition("-")
    return int(ms), int(number or 0)


def _rewound(identity: str) -> str:
    return f"{max(0, _position(identity)[0] - REWIND * 1000)}-0"


def _text(identity: bytes | str) -> str:
    return identity.decode() if isinstance(identity, bytes) else identity
