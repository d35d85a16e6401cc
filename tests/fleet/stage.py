"""A fleet as tests play it: machines that tell Redis what they hold, and an aggregator that listens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
from redis.asyncio import Redis

from model_manager.bus.publishing import Bus
from model_manager.facts.event import Entry
from model_manager.facts.identity import MachineId
from model_manager.facts.machine import Disk, Readiness, WorkflowReadiness
from model_manager.facts.transfer import Total, Transfer
from model_manager.fleet.run import serve
from model_manager.settings import Settings, load
from tests.bus.telling import Teller, entry

DEADLINE = 20.0
DISK = Disk(root="/models", free=50_000_000, total=100_000_000, floor=10_000_000)
TOKEN = "a-token-for-writes"


class Player:
    """A machine: what it holds, and its side of Redis."""

    def __init__(self, redis: Redis, machine_id: str) -> None:
        self.teller = Teller(machine_id)
        self.bus = Bus(redis, MachineId.parse(machine_id), "here", "", 10_000, 60.0)

    async def begin(self, *entries: Entry, **flows: bool) -> None:
        """Beats and tells its whole inventory; `flows`: workflow → whether it is ready for it."""
        await self.beat(**flows)
        self.teller.hello()
        if entries:
            self.teller.appear(*entries)
        await self.bus.snapshot(self.teller.snapshot(), self.teller.entries, self.teller.outbox[:-1])
        self.teller.outbox.clear()

    async def beat(self, **flows: bool) -> None:
        told = tuple(
            WorkflowReadiness(name=name, ready=ready, reasons=() if ready else ("vae/x.safetensors is missing",))
            for name, ready in flows.items()
        )
        ready = all(flows.values())
        readiness = Readiness(ready=ready, reasons=(), workflows=told, required=3, present=3 if ready else 1)
        await self.bus.beat(self.teller.beat(readiness=readiness, disks=(DISK,)), {})

    async def tell(self) -> None:
        """What was told since the last time."""
        await self.bus.publish(self.teller.outbox)
        self.teller.outbox.clear()

    async def move(self, *transfers: Transfer, speed: float = 2e6) -> None:
        await self.bus.progress(transfers, Total(models=1, moving=len(transfers), speed=speed, eta=10.0))

    async def bye(self) -> None:
        await self.bus.bye(self.teller.bye())


def settings_for(url: str, state: Path, **more: str) -> Settings:
    plain = {
        "REDIS_URL": url,
        "MODEL_MANAGER_STATE_DIR": str(state),
        "MODEL_MANAGER_FLEET_PORT": "0",
        "MODEL_MANAGER_FLEET_TOKEN": TOKEN,
    }
    return load({**plain, **more})


class Client:
    """The HTTP API of a served fleet."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def get(self, path: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Any:
        async with self.session.get(self.url + path, headers=headers) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json(content_type=None)

    async def post(self, path: str, body: Any, status: int = 200, token: str | None = TOKEN, **headers: str) -> Any:
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with self.session.post(self.url + path, json=body, headers=headers) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json(content_type=None)

    async def until(self, path: str, true: Callable[[Any], bool]) -> Any:
        """The answer, once it is as it should be."""
        deadline = time.monotonic() + DEADLINE
        while True:
            body = await self.get(path)
            if true(body):
                return body
            assert time.monotonic() < deadline, body
            await asyncio.sleep(0.02)

    async def exact(self) -> None:
        await self.until("/fleet", lambda fleet: fleet["exact"] and fleet["redis"]["away"] is None)


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[Client]:
    """The aggregator, and what it knows once it has read everything."""
    async with serve(settings) as url, aiohttp.ClientSession() as session:
        yield Client(session, url)


def files(*names: str, folder: str = "loras", **more: Any) -> tuple[Entry, ...]:
    hashed = {"hash": more.pop("hash")} if "hash" in more else {}
    return tuple(replace(entry(name, folder, **more), **hashed) for name in names)
