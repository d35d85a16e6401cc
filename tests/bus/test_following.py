from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from model_manager.bus.following import Batch, Follower, Gap, Lag
from model_manager.bus.keys import Keys
from model_manager.bus.publishing import Bus
from model_manager.errors import BadRecord
from model_manager.facts.event import Envelope
from model_manager.facts.identity import MachineId
from tests.bus.servers import Server
from tests.bus.test_publishing import introduced
from tests.bus.test_tailing import tick


def following(redis: Redis, since: str = "0", page: int = 10) -> Follower:
    """It does not wait at the end of the stream."""
    return Follower(redis, Keys(), since, page=page, block_ms=0)


async def taken(follower: Follower) -> Batch:
    async with asyncio.timeout(20):
        return await anext(follower.batches())


async def everything(follower: Follower) -> list[object]:
    told: list[object] = []
    quiet = 0
    while quiet < 2:
        batch = await taken(follower)
        told += [each for _, each in batch.told]
        quiet = 0 if batch.told else quiet + 1
    return told


def seqs(told: list[object]) -> list[int | str]:
    return [each.seq if isinstance(each, Envelope) else type(each).__name__ for each in told]


async def filled(bus: Bus, count: int) -> object:
    teller = await introduced(bus)
    await bus.publish([tick(teller) for _ in range(count)])
    return teller


async def test_all_that_is_there_comes_in_batches_and_the_lag_is_seen(bus: Bus, redis: Redis) -> None:
    await filled(bus, 33)
    follower = following(redis)
    first = await taken(follower)
    assert (len(first.told), first.cursor, follower.lag.entries) == (10, follower.cursor, 35)
    await taken(follower)
    assert follower.lag.entries <= 35
    assert seqs(await everything(follower)) == list(range(21, 36))
    assert follower.lag == Lag(0, 0.0)


async def test_once_the_end_was_seen_the_lag_is_exact(bus: Bus, redis: Redis) -> None:
    teller = await filled(bus, 3)
    follower = following(redis)
    await everything(follower)
    await bus.publish([tick(teller) for _ in range(37)])  # type: ignore[arg-type]
    await taken(follower)
    await taken(follower)
    assert (follower.lag.entries, follower.lag.seconds >= 0) == (17, True)


async def test_from_an_id_on_and_from_now_on(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus)
    late = following(redis, "$")
    assert await everything(late) == []
    follower = following(redis)
    batch = await taken(follower)
    await bus.publish([tick(teller)])
    assert seqs(await everything(following(redis, batch.told[0][0]))) == [2, 3]
    assert seqs(await everything(late)) == [3]


async def test_one_by_one_is_the_same(bus: Bus, redis: Redis) -> None:
    await filled(bus, 13)
    seen = []
    async with asyncio.timeout(20):
        async for identity, told in following(redis):
            seen.append((identity, told.seq))
            if len(seen) == 15:
                break
    assert [seq for _, seq in seen] == list(range(1, 16))


async def test_who_waits_hears_at_once(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus)
    follower = Follower(redis, Keys(), "$")
    batches = follower.batches()
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        assert (await anext(batches)).told == ()
        waiting = tasks.create_task(anext(batches))
        await asyncio.sleep(0)
        await bus.publish([tick(teller)])
        told = (await waiting).told or (await anext(batches)).told
        assert seqs([each for _, each in told]) == [3]


async def test_a_bad_entry_is_reported_and_passed(bus: Bus, redis: Redis) -> None:
    await redis.xadd(Keys().events, {"foo": "bar"})
    await introduced(bus)
    told = await everything(following(redis))
    assert isinstance(told[0], BadRecord)
    assert seqs(told[1:]) == [1, 2]


async def test_e9_entries_that_were_trimmed_before_they_were_read_are_a_gap_and_are_counted(
    bus: Bus, redis: Redis
) -> None:
    teller = await introduced(bus)
    follower = following(redis)
    await everything(follower)
    await bus.publish([tick(teller) for _ in range(7)])
    await redis.xtrim(Keys().events, maxlen=2, approximate=False)
    follower._checked_at = None
    told = await everything(follower)
    assert isinstance(told[0], Gap)
    assert (told[0].lost, "5 entries" in told[0].why) == (True, True)
    assert seqs(told[1:]) == [8, 9]


async def test_what_was_read_may_be_trimmed_without_a_gap(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus)
    follower = following(redis)
    await everything(follower)
    await redis.xtrim(Keys().events, maxlen=0, approximate=False)
    await bus.publish([tick(teller)])
    follower._checked_at = None
    assert seqs(await everything(follower)) == [3]


async def test_e9_a_slow_reader_is_looked_after_by_itself(bus: Bus, redis: Redis) -> None:
    now = [0.0]
    teller = await introduced(bus)
    follower = Follower(redis, Keys(), "0", block_ms=0, clock=lambda: now[0])
    await everything(follower)
    await bus.publish([tick(teller) for _ in range(7)])
    await redis.xtrim(Keys().events, maxlen=2, approximate=False)
    now[0] += 60
    assert seqs(await everything(follower)) == ["Gap", 8, 9]


async def test_a_cursor_older_than_the_first_entry_is_a_gap(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus)
    first = (await redis.xrange(Keys().events, count=1))[0][0].decode()
    await bus.publish([tick(teller) for _ in range(7)])
    await redis.xtrim(Keys().events, maxlen=2, approximate=False)
    assert seqs(await everything(following(redis, first))) == ["Gap", 8, 9]
    assert seqs(await everything(following(redis, "0"))) == [8, 9], "who wants all that is there misses nothing"


async def test_e4_a_stream_that_is_gone_is_a_gap_and_the_next_one_is_read_from_its_start(
    bus: Bus, redis: Redis
) -> None:
    await introduced(bus)
    follower = following(redis)
    await everything(follower)
    await redis.flushall()
    follower._checked_at = None
    assert seqs(await everything(follower)) == ["Gap"]
    await introduced(bus)
    assert seqs(await everything(follower)) == [1, 2]


async def test_e3_a_stream_that_ends_before_the_cursor_is_read_again_from_somewhat_earlier(
    bus: Bus, redis: Redis
) -> None:
    await introduced(bus)
    ahead = following(redis, f"{2**45}-0")
    assert seqs(await everything(ahead)) == ["Gap", 1, 2]


async def test_e1_an_outage_is_waited_for_and_nothing_of_the_stream_is_missed(own: Server, own_redis: Redis) -> None:
    own.kill()
    own._command += ["--appendonly", "yes", "--appendfsync", "always"]
    own.start()
    bus = Bus(own_redis, MachineId("m1"), "here", "", 1_000, 60.0)
    teller = await introduced(bus)
    follower = following(own_redis)
    await everything(follower)
    await bus.publish([tick(teller)])
    own.kill()
    assert (await taken(follower)).told == ()
    assert follower.away is not None
    assert "Redis is not available" in follower.away
    own.start()
    told: list[object] = []
    async with asyncio.timeout(20):
        while not told:
            told = [each for _, each in (await taken(follower)).told]
    assert seqs(told) == ["Gap", 3]
    assert isinstance(told[0], Gap)
    assert (told[0].lost, follower.away) == (False, None)


@pytest.mark.parametrize("since", ["5", "5-3", "0"])
def test_a_cursor_may_be_written_short(redis: Redis, since: str) -> None:
    assert following(redis, since).cursor == (since if "-" in since else f"{since}-0")


async def test_who_is_behind_reads_page_after_page_and_looks_after_its_cursor_only_when_something_left(
    bus: Bus, redis: Redis
) -> None:
    await filled(bus, 60)
    follower = Follower(redis, Keys(), "0", page=10, block_ms=0, clock=lambda: 0.0)
    pages = [await taken(follower) for _ in range(3)]
    assert [len(page.told) for page in pages] == [10, 10, 10]
    await redis.xdel(Keys().events, follower.cursor)
    assert len((await taken(follower)).told) == 10, "the entry at the cursor is gone, and none that was not read"
    await redis.xtrim(Keys().events, maxlen=5, approximate=False)
    late = (await taken(follower)).told
    assert isinstance(late[0][1], Gap)
    assert len(late) == 6
    assert await everything(follower) == []


async def ranges(redis: Redis) -> int:
    """Pages that the server was asked for."""
    stats = await redis.info("commandstats")
    return int(stats.get("cmdstat_xrange", {"calls": 0})["calls"])


async def asked_for(redis: Redis, pages: int) -> None:
    async with asyncio.timeout(20):
        while await ranges(redis) != pages:
            await asyncio.sleep(0.01)


async def test_while_a_page_is_folded_the_next_is_on_its_way_and_at_the_end_none_is(bus: Bus, redis: Redis) -> None:
    teller = await filled(bus, 43)
    before = await ranges(redis)
    batches = Follower(redis, Keys(), "0", page=10, block_ms=0, clock=lambda: 0.0).batches()
    told = [*(await anext(batches)).told]
    for page in (1, 2, 3, 4):
        await asked_for(redis, before + page)
        told += (await anext(batches)).told
    assert seqs([each for _, each in told]) == list(range(1, 46))
    await bus.publish([tick(teller)])  # type: ignore[arg-type]
    assert seqs([each for _, each in (await anext(batches)).told]) == [46]
    assert await ranges(redis) == before + 4, "nothing is asked ahead at the end"
    await batches.aclose()


async def test_who_leaves_in_the_middle_leaves_no_answer_for_others(bus: Bus, redis: Redis) -> None:
    await filled(bus, 60)
    before = await ranges(redis)
    follower = Follower(redis, Keys(), "0", page=10, block_ms=0, clock=lambda: 0.0)
    batches = follower.batches()
    first = await anext(batches)
    await asked_for(redis, before + 1)
    await batches.aclose()
    assert len(redis.connection_pool._in_use_connections) == 0
    assert [await redis.echo(str(n)) for n in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
    assert follower.cursor == first.cursor
    assert seqs(await everything(follower)) == list(range(11, 63))


@pytest.mark.parametrize("turns", range(0, 60, 5))
async def test_who_is_cancelled_at_any_moment_goes_on_where_the_last_batch_ended(
    bus: Bus, redis: Redis, turns: int
) -> None:
    await filled(bus, 60)
    follower = Follower(redis, Keys(), "0", page=10, block_ms=0, clock=lambda: 0.0)
    told: list[object] = []

    async def read() -> None:
        async for batch in follower.batches():
            told.extend(each for _, each in batch.told)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(read())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
    told += await everything(follower)
    assert seqs(told) == list(range(1, 63))
    assert await redis.echo("mine") == b"mine"


async def test_e9_what_was_read_ahead_is_told_before_the_gap_behind_it(bus: Bus, redis: Redis) -> None:
    await filled(bus, 60)
    before = await ranges(redis)
    batches = Follower(redis, Keys(), "0", page=10, block_ms=0, clock=lambda: 0.0).batches()
    told = [each for _, each in (await anext(batches)).told]
    await asked_for(redis, before + 1)
    await redis.xtrim(Keys().events, maxlen=5, approximate=False)
    for _ in range(2):
        told += [each for _, each in (await anext(batches)).told]
    assert seqs(told) == [*range(1, 21), "Gap", *range(58, 63)]
    await batches.aclose()


async def test_e1_an_outage_while_a_page_is_on_its_way_loses_nothing_and_is_said(own: Server, own_redis: Redis) -> None:
    own.kill()
    own._command += ["--appendonly", "yes", "--appendfsync", "always"]
    own.start()
    await filled(Bus(own_redis, MachineId("m1"), "here", "", 1_000, 60.0), 60)
    follower = Follower(own_redis, Keys(), "0", page=10, block_ms=0, clock=lambda: 0.0)
    batches = follower.batches()
    told: list[object] = []
    async with asyncio.timeout(20):
        told += [each for _, each in (await anext(batches)).told]
        own.kill()
        while follower.away is None:
            told += [each for _, each in (await anext(batches)).told]
        own.start()
        while len(told) < 63:
            told += [each for _, each in (await anext(batches)).told]
    assert [each for each in seqs(told) if each != "Gap"] == list(range(1, 63))
    (gap,) = [each for each in told if isinstance(each, Gap)]
    assert gap.lost is False
    await batches.aclose()
