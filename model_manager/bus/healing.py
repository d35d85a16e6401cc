"""Which entries of the reverse index have lost a machine: keys that were evicted or deleted, sets that it was taken out of."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

from redis.asyncio import Redis

from model_manager.bus.connection import translate
from model_manager.bus.functions import Functions
from model_manager.bus.keys import Keys

PAGE: Final = 500
"""Names that are read in one call; of a page it is looked at every beat whether all of its keys are there."""

TURN: Final = 100
"""Names of which each beat looks whether the machine is in the set, in turns."""

PAGES_AT_ONCE: Final = 4
"""Pages of a beat while everything is in doubt."""


class Healing:
    """Of one machine. In n names a loss is found within n / TURN + 1 beats; at once when the server counted an eviction, or when
    another loss was found: then everything is looked at, PAGES_AT_ONCE pages a beat. So it begins, too.

    Reading is cheap for the server; only what is missing is put back by the function of the heartbeat. Raises BusUnavailable.
    """

    def __init__(self, redis: Redis, keys: Keys, machine_id: str) -> None:
        self._redis = redis
        self._functions = Functions(redis)
        self._keys = keys
        self._machine = machine_id
        self._cursor = 0
        self._page: Sequence[str] = ()
        self._turn: deque[str] = deque()
        self._doubt: int | None = None
        self._evicted: str | None = None

    async def lacking(self) -> list[str]:
        """The names that lack it, of those whose turn it is."""
        if not self._turn:
            self._cursor, self._page = await self._scanned(self._cursor)
            self._turn.extend(self._page)
        turn = [self._turn.popleft() for _ in range(min(TURN, len(self._turn)))]
        lost = await self._without(turn if await self._all_there() else self._page)
        if lost and self._doubt is None:
            self._doubt = 0
        return lost

    async def doubted(self, evicted: str) -> list[str]:
        """The names that lack it, of those that are in doubt. `evicted`: how many keys the server says that it has evicted in all;
        empty when it does not say."""
        if evicted and evicted != self._evicted:
            self._doubt, self._evicted = 0, evicted
        lost: list[str] = []
        for _ in range(PAGES_AT_ONCE):
            if self._doubt is None:
                break
            cursor, names = await self._scanned(self._doubt)
            lost += await self._without(names)
            self._doubt = cursor or None
        return lost

    async def _scanned(self, cursor: int) -> tuple[int, list[str]]:
        """Names of the machine, and the cursor of those that follow."""
        with translate():
            if await self._redis.type(key := self._keys.names(self._machine)) != b"hash":
                return 0, []
            found: Any = await self._redis.hscan(key, cursor, count=PAGE)
        cursor, names = found
        return int(cursor), [name.decode("utf-8", "surrogateescape") for name in names]

    async def _all_there(self) -> bool:
        if not self._page:
            return True
        with translate():
            return bool(await self._redis.exists(*map(self._keys.index, self._page)) == len(self._page))

    async def _without(self, names: Iterable[str]) -> list[str]:
        """Those of whose set it is no member; what is no set has no members."""
        asked, lost = list(names), []
        for first in range(0, len(asked), PAGE):
            page = asked[first : first + PAGE]
            _, places = await self._functions.call("mm_lacking", [*map(self._keys.index, page)], (self._machine,))
            lost += [page[int(place) - 1] for place in places]
        return lost
