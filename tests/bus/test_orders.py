from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import Redis

from model_manager.bus import orders as module
from model_manager.bus.keys import Keys
from model_manager.bus.orders import Received, ordered, send, settle
from model_manager.errors import BadOrder, BusUnavailable
from model_manager.facts.identity import MachineId
from model_manager.facts.order import Order
from tests.bus.servers import Server

KEYS, M1 = Keys(), MachineId("m1")
KEY = KEYS.orders("m1")
SCAN = Order(id="a-1", what="scan")


def listening(redis: Redis) -> AsyncIterator[tuple[Received, ...]]:
    return ordered(redis, KEYS, M1, every=0.05)


async def coming(said: AsyncIterator[tuple[Received, ...]], wanted: int = 1) -> list[Received]:
    """The next ones, however many rounds it takes."""
    found: list[Received] = []
    async with asyncio.timeout(20):
        while len(found) < wanted:
            found += await anext(said)
    return found


async def test_what_is_sent_is_heard_until_it_is_settled(redis: Redis) -> None:
    await send(redis, KEYS, [M1, MachineId("m2"), M1], SCAN)
    (received,) = await coming(listening(redis))
    assert received.order == SCAN
    assert 0 <= received.age < 60
    (again,) = await coming(listening(redis))
    assert again == Received(received.entry, again.age, SCAN)
    await settle(redis, KEYS, M1, [received.entry])
    assert await anext(listening(redis)) == ()
    assert await redis.xlen(KEYS.orders("m2")) == 1
    await settle(redis, KEYS, M1, [])


async def test_what_comes_later_is_heard_once_in_order(redis: Redis) -> None:
    said = listening(redis)
    assert await anext(said) == ()
    for number in range(3):
        await send(redis, KEYS, [M1], Order(id=f"o{number}", what="verify", files=("x",)))
    heard = await coming(said, 3)
    assert [each.order.id for each in heard if isinstance(each.order, Order)] == ["o0", "o1", "o2"]
    assert await anext(said) == ()


async def test_e4_after_a_deleted_key_the_next_order_is_heard(redis: Redis) -> None:
    said = listening(redis)
    await redis.xadd(KEY, {"order": "old", "what": "scan"}, id="99999999999999-1")
    assert len(await coming(said)) == 1
    await redis.delete(KEY)
    await send(redis, KEYS, [M1], SCAN)
    assert (await coming(said))[0].order == SCAN


async def test_k10_garbage_is_a_reason_and_the_next_order_is_heard(redis: Redis) -> None:
    await redis.xadd(KEY, {b"\xff": b"\xfe"})
    await redis.xadd(KEY, {"order": "x", "what": "rm -rf"})
    await send(redis, KEYS, [M1], SCAN)
    heard = await coming(listening(redis), 3)
    assert [type(each.order) for each in heard] == [BadOrder, BadOrder, Order]


async def test_e8_a_key_of_another_type_is_replaced_by_both_sides(redis: Redis) -> None:
    await redis.set(KEY, "scan!")
    (said,) = await coming(listening(redis))
    assert isinstance(said.order, BadOrder)
    assert "a string stood" in str(said.order)
    assert await redis.exists(KEY) == 0
    await redis.set(KEY, "scan!")
    await send(redis, KEYS, [M1], SCAN)
    assert (await coming(listening(redis)))[0].order == SCAN


async def test_a_flood_is_bounded_by_who_sends_and_by_who_listens(redis: Redis, monkeypatch) -> None:
    monkeypatch.setattr(module, "KEPT", 5)
    for number in range(8):
        await send(redis, KEYS, [M1], Order(id=f"o{number}", what="scan"))
    assert await redis.xlen(KEY) == 5
    for number in range(20):
        await redis.xadd(KEY, {"order": f"n{number}", "what": "scan"})
    heard = await coming(listening(redis), 5)
    assert [each.order.id for each in heard if isinstance(each.order, Order)] == [f"n{n}" for n in range(15, 20)]


async def test_orders_that_nobody_takes_go_away(redis: Redis) -> None:
    await send(redis, KEYS, [M1], SCAN)
    assert 0 < await redis.pttl(KEY) <= module.LIFE * 1000


async def test_many_machines_are_asked_in_a_few_round_trips(redis: Redis) -> None:
    machines = [MachineId(f"m{number}") for number in range(450)]
    await send(redis, KEYS, machines, SCAN)
    assert len(await redis.keys("machine:*:orders")) == 450


async def test_e1_a_lost_server_ends_it_with_our_error(own: Server, own_redis: Redis, bus_of: Callable) -> None:
    said = listening(own_redis)
    assert await anext(said) == ()
    own.kill()
    with pytest.raises(BusUnavailable):
        await coming(said)
    with pytest.raises(BusUnavailable):
        await send(own_redis, KEYS, [M1], SCAN)
