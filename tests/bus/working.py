"""Machines that hold models and offer themselves to jobs, as tests play them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis

from model_manager.bus.claims import Claims
from model_manager.bus.publishing import Bus, Delivered
from model_manager.facts.event import Entry
from model_manager.facts.identity import MachineId
from model_manager.facts.job import Asks, Job
from model_manager.facts.machine import Disk
from tests.bus.telling import Teller, entry

DEADLINE = 30.0
COMFY = {"services": ["comfyui"], "hardware": {"gpu_memory_gb": 24, "ram_gb": 64}}


class Rig:
    """A machine: its disk, its agent's side of Redis, and its offer."""

    def __init__(self, redis: Redis, machine: str = "m1", lease: float = 60.0, prefix: str = "") -> None:
        self.machine = machine
        self.teller = Teller(machine)
        self.bus = Bus(redis, MachineId.parse(machine), "here", prefix, 10_000, lease)
        self.claims = Claims(redis, prefix, patience=5.0)

    async def begin(self, *models: str, offer: dict[str, Any] | None = None) -> Rig:
        """Beats, tells its inventory, and offers comfyui."""
        await self.beat()
        self.teller.hello()
        self.teller.appear(*map(file, models))
        told = await self.bus.snapshot(self.teller.snapshot(), self.teller.entries, self.teller.outbox[:-1])
        assert isinstance(told, Delivered)
        self.teller.outbox.clear()
        await self.claims.offer(self.machine, offer or COMFY)
        return self

    async def beat(self, free: int = 500_000_000_000) -> None:
        disk = Disk(root="/models", free=free, total=10**12, floor=10**9)
        await self.bus.beat(self.teller.beat(disks=(disk,)), {})

    async def gain(self, *models: str) -> None:
        self.teller.appear(*map(file, models))
        await self._tell()

    async def lose(self, *models: str) -> None:
        self.teller.vanish(*map(file, models))
        await self._tell()

    async def _tell(self) -> None:
        assert isinstance(await self.bus.publish(self.teller.outbox), Delivered)
        self.teller.outbox.clear()


def file(model: str) -> Entry:
    """`a.pt` lies in loras, `vae/a.pt` in vae; a tenth of a gigabyte each."""
    folder, _, name = model.partition("/") if "/" in model else ("loras", "", model)
    return entry(name, folder, size=100_000_000)


def job(id: str, *models: str, **more: Any) -> Job:
    return Job(id=id, asks=Asks(service="comfyui", models=models), **more)


async def until(condition: Callable[[], Awaitable[bool]], what: str, at_most: float = DEADLINE) -> None:
    deadline = time.monotonic() + at_most
    while not await condition():
        assert time.monotonic() < deadline, f"never: {what}"
        await asyncio.sleep(0.02)
