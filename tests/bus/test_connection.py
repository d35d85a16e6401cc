from __future__ import annotations

import asyncio

import pytest
from redis import exceptions
from redis.asyncio import Redis

from model_manager.bus.connection import connect, translate
from model_manager.errors import BadSetting, BusUnavailable
from tests.bus.servers import Server

RAISED = sorted(
    (each for each in vars(exceptions).values() if isinstance(each, type) and issubclass(each, Exception)),
    key=lambda each: each.__name__,
)


def made(kind: type[Exception]) -> Exception:
    """MOVED and ASK parse their own message."""
    return kind("1234 127.0.0.1:6379") if issubclass(kind, exceptions.AskError) else kind("no")


@pytest.mark.parametrize("kind", [*RAISED, OSError, TimeoutError, ConnectionResetError], ids=lambda kind: kind.__name__)
async def test_no_exception_of_the_library_gets_through(kind: type[Exception]) -> None:
    with pytest.raises(BusUnavailable) as raised, translate():
        raise made(kind)
    assert raised.value.facts["why"]


async def test_no_cancellation_is_swallowed(shared: Server) -> None:
    async def ping() -> None:
        client = connect(shared.url)
        with translate():
            await client.ping()
        await client.aclose()

    for steps in [*range(1, 30)] * 8:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(ping())
            for _ in range(steps):
                await asyncio.sleep(0)
            assert task.cancel() == (not task.done())
        assert task.cancelled() or not task.cancelling()


async def test_a_task_that_is_being_cancelled_can_still_say_goodbye(redis: Redis) -> None:
    async def leaving() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            with translate():
                await redis.set("bye", "1")

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(leaving())
        await asyncio.sleep(0)
        task.cancel()
    assert await redis.get("bye") == b"1"


def test_there_are_exceptions_to_translate() -> None:
    assert len(RAISED) > 20


async def test_ours_pass_untouched() -> None:
    with pytest.raises(ZeroDivisionError), translate():
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (exceptions.AuthenticationError, "password. Correct them in REDIS_URL"),
        (exceptions.NoPermissionError, "docs/redis.md"),
        (exceptions.BusyLoadingError, "loading"),
        (exceptions.ReadOnlyError, "replica"),
        (exceptions.OutOfMemoryError, "maxmemory"),
        (exceptions.TimeoutError, "in time"),
    ],
)
async def test_the_reason_says_what_to_do(kind: type[Exception], says: str) -> None:
    with pytest.raises(BusUnavailable, match=says), translate():
        raise kind("x")


async def test_e1_nobody_there_is_said_without_the_password() -> None:
    client = connect("redis://user:canary-pw@127.0.0.1:1/0")
    with pytest.raises(BusUnavailable) as raised, translate():
        await client.ping()
    assert "canary-pw" not in str(raised.value)
    await client.aclose()


@pytest.mark.parametrize("url", ["http://127.0.0.1", "127.0.0.1:6379", "", "redis://canary-pw@h:port/0"])
def test_another_address_is_a_bad_setting_and_not_repeated(url: str) -> None:
    with pytest.raises(BadSetting, match="REDIS_URL") as raised:
        connect(url)
    assert "canary-pw" not in str(raised.value)


@pytest.mark.parametrize("url", ["redis://h:1/0", "rediss://h:1/0", "unix:///tmp/s"])
def test_nothing_is_retried_behind_our_back(url: str) -> None:
    arguments = connect(url).connection_pool.connection_kwargs
    assert arguments["retry"]._retries == 0
    assert arguments["socket_timeout"] == 10.0
