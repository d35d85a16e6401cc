"""The stream's past, page by page."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from model_manager.bus.connection import translate
from model_manager.bus.keys import Keys
from model_manager.bus.tailing import Told, told_of


async def recalled(redis: Redis, keys: Keys, *, after: str, count: int) -> list[tuple[str, Told]]:
    """Up to `count` entries that follow the id `after` ("0-0" = from the first), oldest first. Raises BusUnavailable."""
    with translate():
        entries: Any = await redis.xrange(keys.events, min=f"({after}", count=count)
    return [told_of(entry) for entry in entries]


async def recalled_before(redis: Redis, keys: Keys, *, before: str, count: int) -> list[tuple[str, Told]]:
    """The last `count` entries ahead of the id `before` ("" = the last of all), oldest first. Raises BusUnavailable."""
    with translate():
        entries: Any = await redis.xrevrange(keys.events, max=f"({before}" if before else "+", count=count)
    return [told_of(entry) for entry in reversed(entries)]
