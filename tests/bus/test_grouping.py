from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from model_manager.bus.grouping import Group, Taken, Waiting
from model_manager.bus.keys import Keys
from model_manager.bus.publishing import Bus
from model_manager.errors import BadRecord, BusUnavailable
from model_manager.facts.event import Envelope
from tests.bus.servers import Server
from tests.bus.test_publishing import introduced
from tests.bus.test_tailing import tick


def reading(redis: Redis, reader: str = "one", **options: object) -> Group:
    """It does not wait for entries."""
    return Group(redis, Keys(), "indexers", reader, **{"page": 4, "block_ms": 1, **options})  # type: ignore[arg-type]


def seqs(taken: Taken) -> list[int]:
    return [each.seq for _, each in taken.told if isinstance(each, Envelope)]


async def filled(bus: Bus, count: int) -> None:
    teller = await introduced(bus)
    await bus.publish([tick(teller) for _ in range(count - 2)])


async def test_what_was_done_with_does_not_come_again(bus: Bus, redis: Redis) -> None:
    await filled(bus, 6)
    group = reading(redis)
    for expected in ([1, 2, 3, 4], [5, 6], []):
        async with group.take() as taken:
            assert (seqs(taken), taken.again) == (expected, False)
    assert await group.lag() == Waiting(0, 0)


async def test_two_readers_share_the_work(bus: Bus, redis: Redis) -> None:
    await filled(bus, 8)
    async with reading(redis, "one").take() as one, reading(redis, "two").take() as two:
        assert seqs(one) + seqs(two) == [1, 2, 3, 4, 5, 6, 7, 8]
        assert await reading(redis).lag() == Waiting(0, 8)


async def test_what_failed_comes_again_before_anything_new(bus: Bus, redis: Redis) -> None:
    await filled(bus, 6)
    group = reading(redis)
    with pytest.raises(ZeroDivisionError):
        async with group.take():
            raise ZeroDivisionError
    for expected, again in (([1, 2, 3, 4], True), ([5, 6], False)):
        async with group.take() as taken:
            assert (seqs(taken), taken.again) == (expected, again)


async def test_a_reader_that_was_killed_goes_on_with_what_it_had(bus: Bus, redis: Redis) -> None:
    await filled(bus, 6)
    with pytest.raises(asyncio.CancelledError):
        async with reading(redis).take():
            raise asyncio.CancelledError
    async with reading(redis).take() as taken:
        assert (seqs(taken), taken.again) == ([1, 2, 3, 4], True)


async def test_what_a_dead_reader_had_is_taken_over(bus: Bus, redis: Redis) -> None:
    await filled(bus, 6)
    await reading(redis, "dead")._next()
    async with reading(redis, "heir").take() as taken:
        assert seqs(taken) == [5, 6], "it might still be at work"
    async with reading(redis, "heir", idle_ms=0).take() as taken:
        assert (seqs(taken), taken.again) == ([1, 2, 3, 4], True)
    assert await reading(redis).lag() == Waiting(0, 0)


async def test_e9_entries_that_were_trimmed_in_somebodys_hands_are_counted_and_done_with(
    bus: Bus, redis: Redis
) -> None:
    await filled(bus, 4)
    group = reading(redis)
    await group._next()
    await redis.xtrim(Keys().events, maxlen=1, approximate=False)
    async with group.take() as taken:
        assert (seqs(taken), taken.lost) == ([4], 3)
    assert (await group.lag()).pending == 0


async def test_e4_a_group_that_is_gone_begins_again_with_all_that_is_there(bus: Bus, redis: Redis) -> None:
    group = reading(redis, since="$")
    async with group.take() as taken:
        assert taken.told == ()
    await redis.flushall()
    await filled(bus, 3)
    async with group.take() as taken:
        assert seqs(taken) == [1, 2, 3]


async def test_a_new_group_may_begin_with_what_comes(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus)
    group = reading(redis, since="$")
    async with group.take() as taken:
        assert taken.told == ()
    await bus.publish([tick(teller)])
    async with group.take() as taken:
        assert seqs(taken) == [3]


async def test_many_readers_may_make_the_group_at_once(bus: Bus, redis: Redis) -> None:
    await filled(bus, 8)
    groups = [reading(redis, f"r{n}") for n in range(8)]
    found = await asyncio.gather(*(group._next() for group in groups))
    assert sorted(seq for _, taken in found for seq in seqs(taken)) == list(range(1, 9))


async def test_a_bad_entry_is_reported_and_done_with(bus: Bus, redis: Redis) -> None:
    await redis.xadd(Keys().events, {"foo": "bar"})
    group = reading(redis)
    async with group.take() as taken:
        assert isinstance(taken.told[0][1], BadRecord)
    assert await group.lag() == Waiting(0, 0)


async def test_without_a_group_nothing_is_known(redis: Redis) -> None:
    assert await reading(redis).lag() == Waiting(None, 0)


async def test_e1_redis_away_is_said_and_what_was_taken_comes_again(own: Server, own_redis: Redis) -> None:
    await own_redis.xadd(Keys().events, {"foo": "bar"})
    group = reading(own_redis)
    with pytest.raises(BusUnavailable):
        async with group.take():
            own.kill()
    with pytest.raises(BusUnavailable):
        async with group.take():
            pass
    own.start()
    await own_redis.xadd(Keys().events, {"foo": "bar"})
    async with group.take() as taken:
        assert len(taken.told) == 1
