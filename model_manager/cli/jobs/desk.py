"""The way of a command to the jobs in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from model_manager import settings as configuration
from model_manager.bus.claims import Claims
from model_manager.bus.connection import connect
from model_manager.errors import BadSetting

PATIENCE: Final = 3.0
"""Seconds that a person waits for a server which is just failing over."""

Answer = TypeVar("Answer")


@asynccontextmanager
async def desk(patience: float | None = None) -> AsyncIterator[tuple[Any, Claims]]:
    """The Redis of REDIS_URL, and its jobs. Raises BadSetting without one."""
    settings = configuration.load()
    if settings.redis_url is None:
        raise BadSetting(name="REDIS_URL", why="it is not set", fix="Name the Redis that the machines use.")
    redis = connect(settings.redis_url.get_secret_value(), prefix=settings.redis_prefix, trust=settings.redis_trust)
    try:
        yield redis, Claims(redis, settings.redis_prefix, patience=PATIENCE if patience is None else patience)
    finally:
        await redis.aclose()


def asked(question: Callable[[Claims], Awaitable[Answer]]) -> Answer:
    """The answer to one question."""

    async def ask() -> Answer:
        async with desk() as (_, claims):
            return await question(claims)

    return asyncio.run(ask())
