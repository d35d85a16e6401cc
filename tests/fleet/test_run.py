"""The aggregator as a program: it serves before Redis is there, through its absence, and beside others."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from model_manager.bus.connection import connect
from model_manager.errors import BadSetting, BusUnavailable
from model_manager.fleet.run import looking, run, serve
from model_manager.fleet.watching import BREATH
from tests.bus.servers import Server
from tests.bus.telling import indexed
from tests.fleet.conftest import Join
from tests.fleet.stage import DEADLINE, Client, Player, files, served, settings_for
from tests.house.tree import ROOT


async def test_l7_without_redis_it_answers_and_says_since_when(own: Server, tmp_path: Path) -> None:
    redis = connect(own.url)
    await Player(redis, "m1").begin(*files("a.safetensors"), flux=True)
    await redis.aclose()
    settings = settings_for(own.url, tmp_path, MODEL_MANAGER_HEARTBEAT_SECONDS="0.2")
    async with served(settings) as client:
        await client.exact()
        own.kill()
        fleet = await client.until("/fleet", lambda body: body["redis"]["away"] is not None)
        assert fleet["models"]["copies"] == 1
        stale = await client.until("/machines", lambda body: body["items"][0]["state"] == "stale")
        assert stale["items"][0]["ready"] is False
        assert (await client.get("/who-has?name=a.safetensors"))["total"] == 1
        assert (await client.get("/health"))["state"] == "away"
        own.start()
        back = await client.until("/fleet", lambda body: body["redis"]["away"] is None)
        assert back["redis"]["age"] < 5


async def test_e1_it_starts_while_redis_is_away(own: Server, tmp_path: Path) -> None:
    own.kill()
    async with served(settings_for(own.url, tmp_path)) as client:
        assert (await client.get("/health"))["state"] == "starting"
        assert (await client.get("/fleet"))["exact"] is False
        own.start()
        await client.exact()


async def test_l1_a_machine_that_died_unseen_leaves_the_reverse_index(own: Server, tmp_path: Path) -> None:
    redis = connect(own.url)
    machine = Player(redis, "m1")
    await machine.begin(*files("a.safetensors"))
    await redis.delete("machine:m1:model_manager")
    await redis.zadd("model_manager:alive", {"m1": 1})
    async with served(settings_for(own.url, tmp_path)) as client:
        await client.exact()
        await client.until("/machines", lambda body: body["items"] and body["items"][0]["state"] == "away")
        deadline = time.monotonic() + DEADLINE
        while await indexed(redis, "m1"):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        await client.until("/who-has?name=a.safetensors", lambda body: body["total"] == 0)
    await redis.aclose()


async def test_several_side_by_side_say_the_same(own: Server, tmp_path: Path) -> None:
    redis = connect(own.url)
    settings = settings_for(own.url, tmp_path)
    async with AsyncExitStack() as stack:
        both = [await stack.enter_async_context(served(settings)) for _ in range(2)]
        await Player(redis, "m1").begin(*files("a.safetensors"))
        for client in both:
            await client.until("/models", lambda body: body["total"] == 1)
    await redis.aclose()


async def test_one_look_at_redis_needs_no_server(own: Server, tmp_path: Path, join: Join) -> None:
    redis = connect(own.url)
    await Player(redis, "m1").begin(*files("a.safetensors"), flux=True)
    await redis.aclose()
    async with looking(settings_for(own.url, tmp_path)) as questions:
        body = await questions.answer("who_has", {"name": "a.safetensors", "limit": "1"})
    assert [each["machine_id"] for each in body["items"]] == ["m1"]
    own.kill()
    with pytest.raises(BusUnavailable):
        async with looking(settings_for(own.url, tmp_path)):
            raise AssertionError("there is nothing to look at")


async def test_a_signal_ends_it_while_somebody_listens(own: Server, tmp_path: Path) -> None:
    started: asyncio.Queue[str] = asyncio.Queue()
    async with asyncio.TaskGroup() as group, aiohttp.ClientSession() as session:
        group.create_task(run(settings_for(own.url, tmp_path), started.put_nowait))
        url = await started.get()
        async with session.get(f"{url}/events/stream") as answer:
            assert await answer.content.readline() == b"retry: 2000\n"
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(20):
                await answer.content.read()


async def test_an_address_that_is_taken_is_a_setting_to_correct(own: Server, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = settings_for(own.url, tmp_path, MODEL_MANAGER_FLEET_PORT=str(port))
        with pytest.raises(BadSetting, match=f"127.0.0.1:{port} cannot be listened on"):
            async with serve(settings):
                raise AssertionError("it listens on a taken port")


async def test_without_a_redis_to_watch_it_says_what_to_set(tmp_path: Path) -> None:
    settings = settings_for("redis://h", tmp_path).model_copy(update={"redis_url": None})
    with pytest.raises(BadSetting, match="REDIS_URL"):
        async with serve(settings):
            raise AssertionError("there is nothing to serve")


async def test_with_the_rights_of_a_reader_everything_but_writes_works(own: Server, tmp_path: Path) -> None:
    """The rights are those of docs/redis.md; burying the dead is left to the agents."""
    redis = connect(own.url)
    page = (ROOT / "docs" / "redis.md").read_text()
    block = next(each for each in page.split("```") if "SETUSER model-manager-reader on" in each)
    for line in block.strip().splitlines():
        await redis.execute_command(*line.split())
    await Player(redis, "m1").begin(*files("a.safetensors"), flux=True)
    await redis.zadd("model_manager:alive", {"dead": 1})
    reader = f"unix://model-manager-reader@{own.socket}?password=secret"
    async with served(settings_for(reader, tmp_path)) as client:
        await client.until("/fleet", lambda body: body["exact"] and body["machines"]["ready"] == 1)
        await asyncio.sleep(3 * BREATH)
        for path in ("/health", "/events?after=0-0", "/who-has?name=a.safetensors", "/metrics"):
            async with client.session.get(client.url + path) as answer:
                assert answer.status == 200, await answer.text()
        assert (await client.get("/health"))["state"] == "ok"
        problem = await client.post("/machines/m1/assignment", {"workflows": ["flux"]}, 503)
        assert "docs/redis.md" in problem["detail"]
        assert "secret" not in str(problem)
    await redis.aclose()


async def test_what_did_not_change_is_not_sent_again_while_machines_beat(fleet: Client, join: Join) -> None:
    machine = join("m1")
    await machine.begin(*files("a.safetensors"), flux=True)
    await fleet.until("/machines", lambda told: told["total"] == 1 and told["items"][0]["models"] == 1)
    for path in ("/machines", "/machines/m1", "/fleet", "/models", "/workflows", "/missing", "/who-can?workflow=flux"):
        answers = []
        while 304 not in answers:  # the first may be that of a minute which has just ended
            async with fleet.session.get(fleet.url + path) as answer:
                tag = answer.headers["ETag"]
            await machine.beat(flux=True)
            async with fleet.session.get(fleet.url + path, headers={"If-None-Match": tag}) as answer:
                answers.append(answer.status)
            assert len(answers) < 3, (path, answers)
