"""Reading the stream as one of a group: every entry is taken by some reader at least once, whichever of them die."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from model_manager.bus.connection import translate
from model_manager.bus.keys import Keys
from model_manager.bus.tailing import BLOCK_MS, Told, told_of

PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Taken:
    """Entries of which this reader has charge, oldest first. `again`: somebody (it, or a dead one) was given them before.
    `lost` counts those among them that were trimmed from the stream before they were done with."""

    told: tuple[tuple[str, Told], ...]
    again: bool = False
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the group has before it: `entries` that nobody was given (None: the server cannot tell), `pending` ones that
    somebody was given and has not done with."""

    entries: int | None
    pending: int


class Group:
    """One `reader` of a `group`; each reader needs a name of its own, which it best keeps when it starts again.

    A new group begins after `since` ("0": with all that is there, "$": from now on). When the group is gone, as after a
    flush, it begins anew with all that is there. Only `page` entries are in one reader's hands at a time. Entries that a
    reader has had for `idle_ms` count as left by a dead one: stay below it.
    """

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        group: str,
        reader: str,
        *,
        since: str = "0",
        page: int = PAGE,
        idle_ms: int = 60_000,
        block_ms: int = BLOCK_MS,
    ) -> None:
        self._redis = redis
        self._key = keys.events
        self._group = group
        self._reader = reader
        self._since = since
        self._page = page
        self._idle_ms = idle_ms
        self._block_ms = block_ms
        self._own_first = True
        self._cursor = "0-0"

    @asynccontextmanager
    async def take(self) -> AsyncIterator[Taken]:
        """The next entries, none after two quiet seconds. They are done with when the block ends; when it raises, they come
        again at the next call. Raises BusUnavailable, which leaves it open whether they are done with."""
        ids, taken = await self._next()
        yield taken
        if ids:
            with translate():
                await self._redis.xack(self._key, self._group, *ids)
        self._own_first = bool(ids) and taken.again

    async def lag(self) -> Waiting:
        """Raises BusUnavailable."""
        with translate():
            group = await self._known()
        return Waiting(group["lag"], int(group["pending"])) if group else Waiting(None, 0)

    async def _next(self) -> tuple[list[Any], Taken]:
        with translate():
            try:
                return await self._given()
            except ResponseError as error:
                if type(error) is not ResponseError:
                    raise
                if not await self._known():
                    await self._create()
                return await self._given()
            finally:
                self._since = "0"

    async def _given(self) -> tuple[list[Any], Taken]:
        """First what this reader was given and has not done with, then what dead ones left, then what is new."""
        in_doubt, self._own_first = self._own_first, True
        if in_doubt and (own := await self._read("0", None)):
            return _taken(own, again=True)
        if left := await self._claimed():
            return _taken(left, again=True)
        return _taken(await self._read(">", self._block_ms), again=False)

    async def _read(self, after: str, block: int | None) -> list[Any]:
        answer: Any = await self._redis.xreadgroup(
            self._group, self._reader, {self._key: after}, count=self._page, block=block
        )
        return answer[0][1] if answer else []

    async def _claimed(self) -> list[Any]:
        answer: Any = await self._redis.xautoclaim(
            self._key, self._group, self._reader, self._idle_ms, self._cursor, count=self._page
        )
        cursor, entries, *_ = answer
        self._cursor = cursor.decode()
        return list(entries)

    async def _create(self) -> None:
        """Another reader may be quicker."""
        try:
            await self._redis.xgroup_create(self._key, self._group, self._since, mkstream=True)
        except ResponseError as error:
            if type(error) is not ResponseError or not await self._known():
                raise

    async def _known(self) -> dict[str, Any] | None:
        if await self._redis.type(self._key) != b"stream":
            return None
        groups: Any = await self._redis.xinfo_groups(self._key)
        return next((each for each in groups if each["name"] == self._group.encode()), None)


def _taken(entries: list[Any], *, again: bool) -> tuple[list[Any], Taken]:
    """Their ids, and what they say. A trimmed entry has an id and no fields."""
    kept = [entry for entry in entries if entry[1]]
    told = tuple(map(told_of, kept))
    return [entry[0] for entry in entries], Taken(told, again, len(entries) - len(kept))
