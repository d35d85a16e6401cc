from __future__ import annotations

import asyncio

from model_manager.bus.connection import connect
from model_manager.bus.keys import Keys
from model_manager.bus.orders import ordered
from model_manager.bus.replies import KEPT, put, replied, reply
from model_manager.facts.identity import MachineId
from model_manager.facts.order import Order
from tests.bus.servers import Server

ONE, KEYS = MachineId("m1"), Keys("p:")


async def test_a_reply_is_taken_once_by_who_asked(own: Server) -> None:
    redis = connect(own.url)
    asked = Order(id="a", what="describe", files=("x",), options=frozenset({"preview"}))

    async def machine() -> None:
        (received,) = await anext(ordered(redis, KEYS, ONE, every=5))
        assert received.order == asked
        await reply(redis, KEYS, ONE, "a", b"\0what it knows")

    async with asyncio.TaskGroup() as group:
        group.create_task(machine())
        assert await put(redis, KEYS, "m1", asked, 20) == b"\0what it knows"
    assert await replied(redis, KEYS, ONE, "a", 0.05) is None
    await redis.aclose()


async def test_replies_that_nobody_takes_do_not_pile_up(own: Server) -> None:
    redis = connect(own.url)
    for number in range(3 * KEPT):
        await reply(redis, KEYS, ONE, str(number), b"x" * 1000)
    assert await redis.hlen(KEYS.replies(ONE)) <= KEPT
    assert 0 < await redis.pttl(KEYS.replies(ONE)) <= 120_000
    await redis.aclose()
