from __future__ import annotations

import asyncio
import contextlib

import pytest
from redis.asyncio import Redis

from model_manager.bus.ahead import Ahead
from model_manager.errors import BusUnavailable
from tests.bus.servers import Server


def given_out(redis: Redis) -> int:
    """Connections that somebody has."""
    return len(redis.connection_pool._in_use_connections)


async def test_an_answer_is_that_of_its_question_and_the_connection_goes_back(redis: Redis) -> None:
    await redis.set("a", "1")
    ahead = Ahead(redis)
    assert not ahead.asked
    await ahead.ask("GET", "a")
    await redis.set("a", "2")
    assert ahead.asked
    assert await ahead.answer() == b"1"
    assert (ahead.asked, given_out(redis)) == (False, 0)


async def test_what_is_dropped_is_read_by_nobody(redis: Redis) -> None:
    ahead = Ahead(redis)
    for _ in range(3):
        await ahead.ask("ECHO", "of somebody else")
        await ahead.drop()
        assert (ahead.asked, given_out(redis)) == (False, 0)
        assert await redis.echo("mine") == b"mine"
    await ahead.drop()
    await ahead.ask("ECHO", "again")
    assert await ahead.answer() == b"again"


async def test_what_the_server_refuses_is_raised_to_who_takes_the_answer(redis: Redis) -> None:
    await redis.set("a", "1")
    ahead = Ahead(redis)
    await ahead.ask("XRANGE", "a", "-", "+")
    with pytest.raises(BusUnavailable, match="WRONGTYPE"):
        await ahead.answer()
    assert (ahead.asked, given_out(redis)) == (False, 0)


async def test_e1_a_server_that_is_away_or_leaves_in_between_is_said_once(own: Server, own_redis: Redis) -> None:
    ahead = Ahead(own_redis)
    await ahead.ask("BLPOP", "nothing", 0)
    own.kill()
    with pytest.raises(BusUnavailable):
        await ahead.answer()
    await ahead.ask("PING")
    assert (ahead.asked, given_out(own_redis)) == (True, 0)
    with pytest.raises(BusUnavailable):
        await ahead.answer()
    assert not ahead.asked
    await ahead.ask("PING")
    await ahead.drop()
    assert not ahead.asked
    own.start()
    await ahead.ask("PING")
    assert await ahead.answer() in (b"PONG", True)


@pytest.mark.parametrize("turns", range(8))
async def test_who_is_cancelled_at_any_moment_leaves_no_answer_behind(redis: Redis, turns: int) -> None:
    ahead = Ahead(redis)

    async def asked() -> None:
        try:
            await ahead.ask("ECHO", "of somebody else")
            await ahead.answer()
        finally:
            await ahead.drop()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(asked())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        task.result()
    assert (ahead.asked, given_out(redis)) == (False, 0)
    assert [await redis.echo(str(n)) for n in range(3)] == [b"0", b"1", b"2"]
