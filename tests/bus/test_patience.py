from __future__ import annotations

import asyncio
import threading

import pytest
from redis.asyncio import Redis

from model_manager.bus.connection import connect
from model_manager.bus.keys import Keys
from model_manager.bus.patience import Patience
from model_manager.errors import BadRequest, BusUnavailable
from tests.bus.servers import Server

ROOT = (Keys().routing,)
EMPTY = ("1",)
"""Arguments of mm_settle."""


async def settled(patience: Patience) -> bool:
    return await patience.call("mm_settle", ROOT, EMPTY) == ("OK", ["0"])


async def test_e6_a_library_that_is_missing_or_flushed_is_loaded(redis: Redis) -> None:
    await redis.function_flush()
    assert await settled(Patience(redis, 0))


async def test_e1_a_server_that_comes_back_is_asked_again(own: Server) -> None:
    redis = connect(own.url, timeout=5.0)
    assert await settled(Patience(redis, 5))
    own.kill()
    starting = threading.Timer(0.3, own.start)
    starting.start()
    try:
        assert await settled(Patience(redis, 60))
    finally:
        starting.join()
    await redis.aclose()


async def test_e1_a_server_that_stays_away_is_told_in_the_end(own: Server) -> None:
    redis = connect(own.url, timeout=5.0)
    own.kill()
    with pytest.raises(BusUnavailable):
        await settled(Patience(redis, 0.1))
    await redis.aclose()


async def test_e6_a_read_only_replica_is_waited_for(own: Server, own_redis: Redis) -> None:
    patience = Patience(own_redis, 60)
    assert await settled(patience)
    await own_redis.replicaof("127.0.0.1", "1")
    with pytest.raises(BusUnavailable, match="read-only replica"):
        await patience.call("mm_tune", ROOT, ("priority_ms", "1000"), patience=0.2)
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(patience.call("mm_tune", ROOT, ("priority_ms", "1000")))
        await asyncio.sleep(0.2)
        await own_redis.replicaof("NO", "ONE")
        assert (await asked)[0] == "OK"


async def test_what_a_function_cannot_take_is_refused_with_its_reason(redis: Redis) -> None:
    with pytest.raises(BadRequest, match=r"docs/routing\.md"):
        await Patience(redis, 0).call("mm_tune", ROOT, ("frobnicate", "1"))


async def test_a_bell_that_rings_ends_the_wait_and_one_that_does_not_ends_it_too(redis: Redis) -> None:
    patience = Patience(redis, 0)
    await redis.rpush("bell", "1")
    async with asyncio.timeout(20):
        assert await patience.rings("bell", 60)
        assert not await patience.rings("bell", 0.02)


async def test_a_wait_may_be_longer_than_what_the_connection_takes_for_a_hung_server(shared: Server) -> None:
    redis = connect(shared.url, timeout=2.0)
    assert not await Patience(redis, 0).rings("silent", 1.2)
    await redis.aclose()
