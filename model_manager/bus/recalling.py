"""The stream's past, page by page. An event becomes a record when somebody asks for it."""

from __future__ import annotations

from typing import Any, Final

from redis.asyncio import Redis

from model_manager.bus.connection import translate
from model_manager.bus.keys import Keys
from model_manager.bus.tailing import Told, sealed

_XRANGE: Final = b"XRANGE"
_XREVRANGE: Final = b"XREVRANGE"
"""As bytes, for redis-py makes a dictionary of each entry when they are text."""


async def recalled(redis: Redis, keys: Keys, *, after: str, count: int) -> list[tuple[str, Told]]:
    """Up to `count` entries that follow the id `after` ("0-0" = from the first), oldest first. Raises BusUnavailable."""
    with translate():
        entries: Any = await redis.execute_command(_XRANGE, keys.events, f"({after}", "+", "COUNT", count)  # type: ignore[no-untyped-call]
    return sealed(entries)


async def recalled_before(redis: Redis, keys: Keys, *, before: str, count: int) -> list[tuple[str, Told]]:
    """The last `count` entries ahead of the id `before` ("" = the last of all), oldest first. Raises BusUnavailable."""
    end = f"({before}" if before else "+"
    with translate():
        entries: Any = await redis.execute_command(_XREVRANGE, keys.events, end, "-", "COUNT", count)  # type: ignore[no-untyped-call]
    return sealed(entries[::-1])
