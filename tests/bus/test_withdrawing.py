from __future__ import annotations

import asyncio

from redis.asyncio import Redis

from model_manager.bus.functions import Functions
from model_manager.bus.keys import Keys
from model_manager.bus.publishing import Bus
from model_manager.bus.withdrawing import BURIED_PER_CALL, Withdrawing
from tests.bus.telling import entry, indexed
from tests.bus.test_publishing import introduced

KEYS = Keys()


def withdrawing(redis: Redis) -> Withdrawing:
    return Withdrawing(redis, KEYS, Functions(redis))


async def test_the_living_are_left_alone(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus, entry("a.pt"))
    await bus.beat(teller.beat(), {})
    assert (await withdrawing(redis).withdraw("m1", "dead"))[0] == "ALIVE"
    assert await withdrawing(redis).bury() == ()
    assert await indexed(redis, "m1") == {"a.pt"}


async def test_more_names_than_it_says_of_itself_are_asked_for(bus: Bus, redis: Redis) -> None:
    await introduced(bus, *(entry(f"{n}.pt") for n in range(2_500)))
    await redis.delete(KEYS.names("m1"))
    await redis.zadd(KEYS.alive, {"m1": 1})
    assert await withdrawing(redis).stored_names("m1") == []
    assert (await withdrawing(redis).withdraw("m1", "dead"))[0] == "OK"
    assert await indexed(redis, "m1") == set()


async def test_an_inventory_of_any_size_is_withdrawn_to_its_end(redis: Redis) -> None:
    """Once, Redis looked at nothing but what was empty already, and the calls never ended."""
    for first in range(0, 12_000, 1_000):
        await redis.hset(KEYS.inventory("m1"), mapping={f"/models/{n}": "{}" for n in range(first, first + 1_000)})
    await redis.hset(KEYS.names("m1"), "a.pt", "1")
    await redis.zadd(KEYS.alive, {"m1": 1})
    assert (await asyncio.wait_for(withdrawing(redis).withdraw("m1", "dead"), 60))[0] == "OK"
    assert await redis.exists(KEYS.inventory("m1"), KEYS.names("m1")) == 0


async def test_the_dead_are_buried_a_hundred_at_a_time(redis: Redis) -> None:
    await redis.zadd(KEYS.alive, {f"m{n}": n + 1 for n in range(BURIED_PER_CALL + 5)})
    assert len(await withdrawing(redis).bury()) == BURIED_PER_CALL
    assert len(await withdrawing(redis).bury()) == 5


async def test_e8_names_that_are_no_hash_are_none(redis: Redis) -> None:
    await redis.set(KEYS.names("m1"), "foo")
    assert await withdrawing(redis).stored_names("m1") == []
