"""A machine that replies to orders as a test wants it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from model_manager.bus.connection import connect
from model_manager.bus.keys import Keys
from model_manager.bus.orders import ordered, settle
from model_manager.bus.replies import reply
from model_manager.facts import wire
from model_manager.facts.identity import MachineId
from model_manager.facts.order import Order

Say = Callable[[Order], Any]
"""An order → what is replied: an object, bytes as they are, None for nothing."""


@asynccontextmanager
async def replying(url: str, machine_id: str, say: Say) -> AsyncIterator[list[Order]]:
    """For the length of the block; the orders that came."""
    redis, keys, machine, heard = connect(url), Keys(), MachineId(machine_id), list[Order]()

    async def serve() -> None:
        async for received in ordered(redis, keys, machine, every=0.2):
            for each in received:
                assert isinstance(each.order, Order)
                heard.append(each.order)
                said = say(each.order)
                if said is not None:
                    await reply(
                        redis, keys, machine, each.order.id, said if isinstance(said, bytes) else wire.dumps(said)
                    )
            await settle(redis, keys, machine, [each.entry for each in received])

    async with asyncio.TaskGroup() as group:
        task = group.create_task(serve())
        yield heard
        task.cancel()
    await redis.aclose()


def described(order: Order, **more: Any) -> dict[str, Any]:
    """What a machine tells of every file that it is asked about."""
    return {"files": [{"path": path, **more} for path in order.files], "missing": []}
