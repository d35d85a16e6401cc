from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from model_manager.bus.assignments import Pushed, push, pushed
from model_manager.bus.keys import Keys
from model_manager.errors import BadRecord, BusUnavailable
from model_manager.facts.identity import MachineId
from model_manager.facts.model import Assignment
from tests.bus.servers import Server

KEYS, M1 = Keys(), MachineId("m1")
KEY = KEYS.assignment("m1")
Said = Pushed | BadRecord | None
FLUX = Pushed(Assignment(workflows=("flux", "sd15")), "replace")


async def following(redis: Redis) -> AsyncIterator[Said]:
    async for said in pushed(redis, KEYS, M1, every=0.05):
        yield said


async def coming(said: AsyncIterator[Said]) -> Said:
    async with asyncio.timeout(20):
        return await anext(said)


async def first(redis: Redis) -> Said:
    said = following(redis)
    try:
        return await coming(said)
    finally:
        await said.aclose()  # type: ignore[attr-defined]


async def test_nothing_pushed_is_said_at_once(redis: Redis) -> None:
    assert await first(redis) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"workflows": "flux, sd15,,flux"},
        {"workflows": '["flux", "sd15"]', "mode": "replace"},
        {"assignment": '{"workflows": ["flux", "sd15"]}'},
        {"assignment": '{"workflows": "flux,sd15", "mode": "replace"}'},
    ],
)
@pytest.mark.parametrize("kind", ["hash", "stream"])
async def test_every_spelling_is_understood(redis: Redis, fields: dict[str, str], kind: str) -> None:
    await (redis.hset(KEY, mapping=fields) if kind == "hash" else redis.xadd(KEY, fields))
    assert await first(redis) == FLUX


async def test_of_a_stream_the_last_entry_counts(redis: Redis) -> None:
    await redis.xadd(KEY, {"workflows": "old"})
    await redis.xadd(KEY, {"models": "a", "mode": "add"})
    assert await first(redis) == Pushed(Assignment(models=("a",)), "add")


@pytest.mark.parametrize(
    "fields",
    [
        {"workflows": "", "mode": "replace"},
        {"mode": "replace"},
        {"workflows": "[1, 2]"},
        {"workflows": '{"a": 1}[', "assignment": "{"},
        {"workflows": "[oops"},
        {"workflows": "flux", "mode": "subtract"},
        {"assignment": "[]"},
        {"assignment": '{"workflows": {"a": 1}}'},
        {"workflows": b"\xff\xfe"},
        {"workflows": "a\x1b[31m"},
        {"workflows": "x" * 600},
        {"workflows": ",".join(map(str, range(10_001)))},
    ],
)
async def test_f3_what_cannot_be_read_is_a_reason_and_never_an_empty_assignment(redis: Redis, fields: dict) -> None:
    await redis.hset(KEY, mapping=fields)
    assert isinstance(await first(redis), BadRecord)


async def test_e8_another_type_is_a_reason(redis: Redis) -> None:
    await redis.set(KEY, "flux")
    assert isinstance(await first(redis), BadRecord)


@pytest.mark.parametrize("kind", ["hash", "stream"])
async def test_changes_are_followed_and_a_deletion_says_nothing(redis: Redis, kind: str) -> None:
    async def write(name: str) -> None:
        await (redis.hset(KEY, "workflows", name) if kind == "hash" else redis.xadd(KEY, {"workflows": name}))

    await write("a")
    said = following(redis)
    assert await coming(said) == Pushed(Assignment(workflows=("a",)), "replace")
    await write("b")
    assert await coming(said) == Pushed(Assignment(workflows=("b",)), "replace")
    await redis.delete(KEY)
    waiting = asyncio.ensure_future(anext(said))  # noqa: TID251
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await write("c")
    assert await asyncio.wait_for(waiting, 20) == Pushed(Assignment(workflows=("c",)), "replace")


async def test_what_was_refused_and_is_deleted_is_said(redis: Redis) -> None:
    await redis.set(KEY, "flux")
    said = following(redis)
    assert isinstance(await coming(said), BadRecord)
    await redis.delete(KEY)
    assert await coming(said) is None


@pytest.mark.parametrize("kind", ["hash", "stream", "string", "none"])
async def test_a_push_arrives_whatever_stood_there(redis: Redis, kind: str) -> None:
    if kind == "hash":
        await redis.hset(KEY, mapping={"components": "old", "mode": "add"})
    if kind == "stream":
        await redis.xadd(KEY, {"components": "old"})
    if kind == "string":
        await redis.set(KEY, "old")
    assignment = Assignment(workflows=("a, b",), collections=("c",), components=("d",), models=("e",))
    await push(redis, KEYS, M1, assignment, "add")
    assert await first(redis) == Pushed(assignment, "add")


async def test_an_empty_push_is_refused(redis: Redis) -> None:
    with pytest.raises(BadRecord):
        await push(redis, KEYS, M1, Assignment(), "replace")
    assert await redis.exists(KEY) == 0


async def test_e1_a_lost_server_ends_it_with_our_error(own: Server, own_redis: Redis) -> None:
    said = following(own_redis)
    assert await coming(said) is None
    own.kill()
    with pytest.raises(BusUnavailable):
        await coming(said)
