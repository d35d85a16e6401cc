"""Copies for the dashboards of an existing fleet: the stream `telemetry:events`, one field `event`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from redis.asyncio import Redis

from model_manager.bus.connection import translate
from model_manager.bus.keys import Keys
from model_manager.facts import wire
from model_manager.facts.telemetry import Telemetry

KEPT: Final = 10_000
"""Entries that the stream keeps, about: what its other writers trim it to."""


async def copy(redis: Redis, keys: Keys, told: Sequence[Telemetry]) -> None:
    """Raises BusUnavailable; then some may have arrived."""
    with translate():
        async with redis.pipeline(transaction=False) as pipe:
            for each in told:
                pipe.xadd(keys.telemetry, {"event": wire.dumps(each)}, maxlen=KEPT, approximate=True)
            await pipe.execute()
