from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from model_manager.bus.publishing import Bus
from model_manager.bus.tailing import history, inventory, tail
from model_manager.errors import BadRecord, BusUnavailable
from model_manager.facts.event import Envelope, ReadinessChanged
from model_manager.facts.identity import MachineId
from tests.bus.servers import Server
from tests.bus.telling import Teller, entry
from tests.bus.test_publishing import introduced

M1 = MachineId("m1")


def tick(teller: Teller) -> Envelope:
    return teller.tell(ReadinessChanged(ready=True, reasons=(), workflows={}))


async def test_a_reader_gets_what_was_told_and_goes_on_from_its_cursor(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus)
    teller.appear(*(entry(f"{n}.pt") for n in range(60)))
    await bus.publish(teller.outbox)
    async with asyncio.timeout(20):
        reader = tail(redis, bus.keys, "0")
        (_, hello), (cursor, snapshot) = [await anext(reader), await anext(reader)]
        assert (hello.seq, snapshot.seq) == (1, 2)
        async for _, told in tail(redis, bus.keys, cursor):
            assert told == teller.outbox[0]
            break


async def test_from_now_on_means_nothing_of_the_past_and_nothing_lost_after(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus)
    reader = tail(redis, bus.keys)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(anext(reader))
        while not (await redis.client_list())[0] or not any(
            each["cmd"] == "xread" for each in await redis.client_list()
        ):
            await asyncio.sleep(0.01)
        await bus.publish([tick(teller)])
        assert (await waiting)[1] == teller.outbox[0]


async def test_an_unreadable_entry_is_told_as_such_and_passed(bus: Bus, redis: Redis) -> None:
    await redis.xadd(bus.keys.events, {"foo": "bar"})
    await introduced(bus)
    told = [each for _, each in await history(redis, bus.keys)]
    assert isinstance(told[0], BadRecord)
    assert [each.seq for each in told[1:]] == [1, 2]


async def test_history_is_the_last_of_one_machine_in_order(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus)
    other = Bus(redis, MachineId("m2"), "there", "", 10_000, 60.0)
    loud = await introduced(other, machine="m2")
    await bus.publish([tick(teller), tick(teller)])
    await other.publish([tick(loud) for _ in range(700)])
    assert [each.seq for _, each in await history(redis, bus.keys, machine_id=M1, count=3)] == [2, 3, 4]
    assert [each.seq for _, each in await history(redis, bus.keys, count=2)] == [701, 702]
    assert len(await history(redis, bus.keys, count=1_000)) == 706
    assert await history(redis, bus.keys, machine_id=MachineId("m3")) == []


async def test_e9_a_reader_that_was_overtaken_by_trimming_starts_again_from_the_inventory(
    bus: Bus, redis: Redis
) -> None:
    teller = await introduced(bus)
    teller.appear(entry("a.pt"))
    await bus.publish(teller.outbox)
    await redis.xtrim(bus.keys.events, maxlen=0, approximate=False)
    await bus.publish([tick(teller)])
    async with asyncio.timeout(20):
        async for _, told in tail(redis, bus.keys, "0"):
            assert isinstance(told, Envelope)
            assert told.seq == 4
            break
    whole = await inventory(redis, bus.keys, M1)
    assert whole is not None
    assert (whole.seq, whole.digest, whole.entries) == (4, told.digest, (entry("a.pt"),))


async def test_no_inventory_is_none_and_a_damaged_one_is_a_reason(bus: Bus, redis: Redis) -> None:
    assert await inventory(redis, bus.keys, M1) is None
    await introduced(bus, entry("a.pt"))
    for broken in ("{", "[]", '{"loras":[{"name":"a"}]}'):
        await redis.hset(bus.keys.models("m1"), "models", broken)
        with pytest.raises(BadRecord):
            await inventory(redis, bus.keys, M1)
    await redis.set(bus.keys.models("m1"), "foo")
    with pytest.raises(BadRecord):
        await inventory(redis, bus.keys, M1)


async def test_e1_a_lost_server_ends_it_with_our_error(own: Server, own_redis: Redis) -> None:
    bus = Bus(own_redis, M1, "here", "", 100, 60.0)
    await introduced(bus)
    reader = tail(own_redis, bus.keys, "0")
    await anext(reader)
    await anext(reader)
    own.kill()
    with pytest.raises(BusUnavailable):
        await anext(reader)
