"""What a machine has to tell of an order beyond that it is done: `machine:{id}:replies`, until its asker took it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from redis.asyncio import Redis

from model_manager.bus.connection import translate
from model_manager.bus.keys import Keys
from model_manager.bus.orders import send
from model_manager.facts.identity import MachineId
from model_manager.facts.order import Order

LIFE: Final = 120
"""Seconds that replies wait for who asked."""

KEPT: Final = 32
"""Replies of one machine that wait; when there are more, nobody takes them."""

LARGEST: Final = 24 * 1024 * 1024
"""Bytes of one."""

LOOKS: Final = (0.005, 0.01, 0.02, 0.03, 0.05)
"""Seconds between two looks, the last one for ever."""


async def reply(redis: Redis, keys: Keys, machine_id: MachineId, order: str, body: bytes) -> None:
    """Lay it out. Raises BusUnavailable."""
    key = keys.replies(machine_id)
    with translate():
        if int(await redis.hlen(key)) >= KEPT:
            await redis.delete(key)
        async with redis.pipeline(transaction=True) as pipe:
            pipe.hset(key, order, body)
            pipe.pexpire(key, LIFE * 1000)
            await pipe.execute()


async def replied(redis: Redis, keys: Keys, machine_id: MachineId, order: str, seconds: float) -> bytes | None:
    """Take it, as soon as it is there; None when it does not come in time. Raises BusUnavailable."""
    key, looks = keys.replies(machine_id), iter(LOOKS)
    try:
        async with asyncio.timeout(seconds):
            while True:
                with translate():
                    body: Any = await redis.hget(key, order)
                if body is not None:
                    break
                await asyncio.sleep(next(looks, LOOKS[-1]))
    except TimeoutError:
        return None
    with translate():
        await redis.hdel(key, order)
    return bytes(body)


async def put(redis: Redis, keys: Keys, machine_id: str, order: Order, seconds: float) -> bytes | None:
    """Ask one machine, and take its reply. Raises BusUnavailable."""
    machine = MachineId.parse(machine_id)
    await send(redis, keys, [machine], order)
    return await replied(redis, keys, machine, order.id, seconds)
