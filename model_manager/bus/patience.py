"""Calls of the functions that may be repeated: a server that is away, loading, busy or a replica is asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from redis.asyncio import Redis

from model_manager.bus.connection import translate
from model_manager.bus.functions import Argument, Functions
from model_manager.errors import BadRequest, BusUnavailable, printable

FIRST: Final = 0.05
SLOWEST: Final = 2.0
"""Seconds before a call is repeated: the first time, and at most."""

FIX: Final = "docs/routing.md says what is accepted."


class Patience:
    """`seconds` is how long a call is repeated while Redis cannot be used. Every function of routing bears repetition."""

    def __init__(self, redis: Redis, seconds: float) -> None:
        self._redis = redis
        self._seconds = seconds
        self._functions = Functions(redis)

    async def call(
        self, name: str, keys: Sequence[str], arguments: Sequence[Argument], *, patience: float | None = None
    ) -> tuple[str, list[str]]:
        """The reply's first word, and the rest of it. Raises BadRequest when the function cannot take what it was given,
        BusUnavailable when Redis could not be used for `patience` seconds (its own unless it is given)."""
        loop = asyncio.get_running_loop()
        until = loop.time() + (self._seconds if patience is None else patience)
        pause = FIRST
        while True:
            try:
                word, rest = await self._functions.call(name, keys, arguments)
            except BusUnavailable:
                if loop.time() + pause > until:
                    raise
                await self._hang_up()
                await asyncio.sleep(pause)
                pause = min(SLOWEST, 2 * pause)
                continue
            if word == "BAD":
                raise BadRequest(why=printable(rest[0]), fix=FIX)
            return word, rest

    async def rings(self, bell: str, seconds: float) -> bool:
        """Waits at a bell for at most `seconds`; whether it rang. Raises BusUnavailable."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            with translate():
                if await self._redis.blpop([bell], timeout=max(0.01, min(left, self._longest))):
                    return True
        return False

    @property
    def _longest(self) -> float:
        """Seconds that one command may wait: half of what the connection takes for a hung server."""
        given = self._redis.connection_pool.connection_kwargs.get("socket_timeout")
        return 30.0 if given is None else max(0.05, float(given) / 2)

    async def _hang_up(self) -> None:
        """After a failover the same name is another server: connections are made anew."""
        with suppress(BusUnavailable), translate():
            await self._redis.connection_pool.disconnect(inuse_connections=False)
