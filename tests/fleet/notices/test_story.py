"""Two aggregators in processes of their own, and one of them dies in the middle of a delivery."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from redis.asyncio import Redis

from tests.bus.servers import Server
from tests.fleet.conftest import Join
from tests.fleet.stage import TOKEN, Client, files
from tests.sources.serving import served

PROGRAM = str(Path(sys.executable).with_name("model-manager"))
DEADLINE = 60.0


class Receiver:
    """A webhook. While `held`, it takes what comes and never answers."""

    def __init__(self) -> None:
        self.got: list[tuple[str, list[str]]] = []
        self.held = False

    async def __call__(self, request: web.Request) -> web.Response:
        told = json.loads(await request.read())["data"]
        self.got.append((request.headers["webhook-id"], [each["model"] for each in told["subjects"]]))
        while self.held:
            await asyncio.sleep(0.05)
        return web.Response()

    def of(self, model: str) -> list[str]:
        """Under which ids it was told of."""
        return [identity for identity, models in self.got if model in models]

    async def until(self, model: str, times: int = 1) -> None:
        async with asyncio.timeout(DEADLINE):
            while len(self.of(model)) < times:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def aggregator(environment: dict[str, str], log: Path) -> AsyncIterator[tuple[subprocess.Popen[bytes], Client]]:
    with log.open("wb") as out:
        child = subprocess.Popen([PROGRAM, "fleet", "serve"], env=environment, stdout=out, stderr=out)
    try:
        async with asyncio.timeout(DEADLINE):
            while "fleet at " not in (text := log.read_text()):
                assert child.poll() is None, text
                await asyncio.sleep(0.02)
        url = text.partition("fleet at ")[2].split()[0]
        async with aiohttp.ClientSession() as session:
            client = Client(session, url)
            await client.exact()
            yield child, client
    finally:
        child.kill()
        child.wait()


async def test_a_leader_that_is_killed_loses_no_notice_and_tells_none_under_another_id(
    redis: Redis, shared: Server, join: Join, tmp_path: Path
) -> None:
    receiver = Receiver()
    machine = join("m1")
    await machine.begin(*files("old.pt"))

    async def appears(name: str) -> None:
        machine.teller.appear(*files(name))
        await machine.tell()

    async with served(receiver) as host, AsyncExitStack() as stack:
        environment = {
            **os.environ, "REDIS_URL": shared.url, "MODEL_MANAGER_STATE_DIR": str(tmp_path / "state"), "MODEL_MANAGER_FLEET_PORT": "0",
            "MODEL_MANAGER_FLEET_TOKEN": TOKEN, "MODEL_MANAGER_NOTIFY_HOSTS": host,
        }  # fmt: skip
        first, one = await stack.enter_async_context(aggregator(environment, tmp_path / "one.log"))
        rule = {"name": "new ones", "kind": "model.appeared", "gather": 0, "cooldown": 0, "url": f"http://{host}/hook"}
        await one.post("/notifications/rules", rule, 201)
        number = 0
        while not receiver.got:  # what is there when the rule is first looked at is nothing new
            number += 1
            await appears(f"first-{number}.pt")
            await asyncio.sleep(0.5)
        _, two = await stack.enter_async_context(aggregator(environment, tmp_path / "two.log"))
        receiver.held = True
        await appears("under-way.pt")
        await receiver.until("loras/under-way.pt")
        first.kill()
        first.wait()
        await appears("while-nobody-leads.pt")
        receiver.held = False
        await receiver.until("loras/while-nobody-leads.pt")
        await receiver.until("loras/under-way.pt", 2)
        history = await two.until("/notifications", _settled)
    assert len(set(receiver.of("loras/under-way.pt"))) == 1, "told again under the same id"
    told: list[str] = [each["model"] for notice in history["items"] for each in notice["subjects"]]
    assert len(told) == len(set(told)), "each in one notice"
    assert {"loras/under-way.pt", "loras/while-nobody-leads.pt"} <= set(told)


def _settled(history: Any) -> bool:
    return all(each["delivery"]["state"] == "delivered" for each in history["items"])
