from __future__ import annotations

from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from model_manager.bus.keys import Keys
from model_manager.bus.publishing import Bus
from model_manager.bus.recalling import recalled, recalled_before
from model_manager.errors import BadRecord, BusUnavailable
from model_manager.facts.event import Envelope
from tests.bus.servers import Server
from tests.bus.telling import Teller


async def test_pages_follow_each_other_without_a_hole(bus: Bus, redis: Redis) -> None:
    teller = Teller()
    teller.hello()
    await bus.snapshot(teller.snapshot(), [], teller.outbox[:-1])
    first = await recalled(redis, Keys(), after="0-0", count=1)
    rest = await recalled(redis, Keys(), after=first[-1][0], count=10)
    assert [told.seq for _, told in first + rest if isinstance(told, Envelope)] == [1, 2]
    assert await recalled(redis, Keys(), after=rest[-1][0], count=10) == []


async def test_an_entry_that_is_no_event_says_why(redis: Redis) -> None:
    await redis.xadd(Keys().events, {"x": "y"})
    ((_, told),) = await recalled(redis, Keys(), after="0-0", count=10)
    assert isinstance(told, BadRecord)


async def test_a_redis_that_is_away_is_no_empty_past(own: Server, own_redis: Redis, bus_of: Callable[..., Bus]) -> None:
    own.kill()
    with pytest.raises(BusUnavailable):
        await recalled(own_redis, Keys(), after="0-0", count=10)


async def test_pages_read_backwards_meet_the_beginning_and_hold_everything_once(bus: Bus, redis: Redis) -> None:
    teller = Teller()
    teller.hello()
    await bus.snapshot(teller.snapshot(), [], teller.outbox[:-1])
    whole = await recalled(redis, Keys(), after="0-0", count=10)
    last = await recalled_before(redis, Keys(), before="", count=1)
    rest = await recalled_before(redis, Keys(), before=last[0][0], count=10)
    assert [*rest, *last] == whole
    assert await recalled_before(redis, Keys(), before=rest[0][0], count=10) == []
