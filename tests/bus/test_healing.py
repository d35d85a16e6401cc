from __future__ import annotations

import math

import pytest
from redis.asyncio import Redis

from model_manager.bus.healing import PAGE, PAGES_AT_ONCE, TURN, Healing
from model_manager.bus.keys import Keys
from model_manager.bus.publishing import Bus
from tests.bus.telling import entry, indexed, insist
from tests.bus.test_publishing import introduced

KEYS = Keys()


def named(number: int) -> list[str]:
    return [f"{n}.pt" for n in range(number)]


async def listed(redis: Redis, names: list[str]) -> Healing:
    """Of a machine m1 that stands in each of these sets, beside another one; what it began with is looked at."""
    await redis.hset(KEYS.names("m1"), mapping=dict.fromkeys(names, "1"))
    for name in names:
        await redis.sadd(KEYS.index(name), "m1", "m2")
    healing = Healing(redis, KEYS, "m1")
    assert await healing.doubted("0") == []
    return healing


async def test_a_machine_without_an_inventory_lacks_nothing(redis: Redis) -> None:
    healing = Healing(redis, KEYS, "m1")
    assert (await healing.lacking(), await healing.doubted("0")) == ([], [])
    await redis.set(KEYS.names("m1"), "garbage")
    assert (await healing.lacking(), await healing.doubted("7")) == ([], [])


async def test_a_process_begins_with_a_look_at_everything(redis: Redis) -> None:
    names = named(300)
    await listed(redis, names)
    await redis.srem(KEYS.index("299.pt"), "m1")
    assert await Healing(redis, KEYS, "m1").doubted("0") == ["299.pt"]


@pytest.mark.parametrize("number", [TURN, 7 * TURN, PAGE * 3 + 17])
async def test_e4_whoever_was_taken_out_of_one_set_is_missed_within_the_promised_beats(
    redis: Redis, number: int
) -> None:
    names = named(number)
    healing = await listed(redis, names)
    for lost in (names[0], names[-1], names[number // 2]):
        await redis.srem(KEYS.index(lost), "m1")
        found: list[str] = []
        for _ in range(math.ceil(number / TURN) + math.ceil(number / PAGE) + 1):
            found = await healing.lacking()
            if found:
                break
        assert found == [lost]
        await redis.sadd(KEYS.index(lost), "m1")
        while await healing.doubted("0"):
            continue


async def test_e4_one_loss_has_everything_looked_at(redis: Redis) -> None:
    names = named(PAGE * PAGES_AT_ONCE + 300)
    healing = await listed(redis, names)
    for _ in range(3):
        assert await healing.doubted("0") == []
    for name in names:
        await redis.srem(KEYS.index(name), "m1")
    missed = set(await healing.lacking())
    assert 0 < len(missed) < len(names)
    beats = 0
    while missed < set(names):
        missed |= {*await healing.doubted("0")}
        beats += 1
    assert beats == 2


async def test_e4_an_eviction_that_the_server_counted_has_everything_looked_at(redis: Redis) -> None:
    names = named(4 * TURN)
    healing = await listed(redis, names)
    await redis.srem(KEYS.index("399.pt"), "m1")
    assert await healing.doubted("0") == []
    assert await healing.doubted("") == []
    assert await healing.doubted("1") == ["399.pt"]


async def test_e4_a_key_that_is_gone_is_missed_at_once(redis: Redis) -> None:
    names = named(PAGE - 50)
    healing = await listed(redis, names)
    assert await healing.lacking() == []
    for lost in (names[0], names[-1]):
        await redis.delete(KEYS.index(lost))
        assert await healing.lacking() == [lost]
        await redis.sadd(KEYS.index(lost), "m1")


async def test_e8_what_is_no_set_lacks_it(redis: Redis) -> None:
    healing = await listed(redis, named(3))
    await redis.set(KEYS.index("1.pt"), "garbage")
    assert await healing.lacking() == ["1.pt"]


async def test_e4_a_machine_that_somebody_took_out_of_every_set_is_in_all_of_them_again(bus: Bus, redis: Redis) -> None:
    names = named(3 * TURN + 20)
    teller = await introduced(bus, *map(entry, names))
    await bus.beat(teller.beat(), {})
    for name in names:
        await redis.sadd(KEYS.index(name), "m2")
        await redis.srem(KEYS.index(name), "m1")
    await bus.beat(teller.beat(), {})
    assert await indexed(redis, "m1") == set(names)
    for name in names:
        await redis.srem(KEYS.index(name), "m2")
    await insist(redis, teller)
