"""Who listens to the simulated fleet: a mirror in this process, and an aggregator that is asked over HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress

import aiohttp
from redis.asyncio import Redis

from model_manager.bus.following import Follower
from model_manager.bus.keys import Keys
from model_manager.bus.mirroring import Changed, Mirrors
from model_manager.decisions.folding import fold
from model_manager.errors import BusUnavailable
from tests.simulating.machine import Machine

AUDIT = 60.0


class Watcher:
    """Mirrors of all machines, and how long each event took from its machine to here."""

    def __init__(self, redis: Redis, keys: Keys, machines: Iterable[Machine]) -> None:
        self._redis = redis
        self._keys = keys
        self._machines = {machine.name: machine for machine in machines}
        self.mirrors = Mirrors(redis, keys, fold, listener=self._heard)
        self.took: list[float] = []
        self.folded = 0

    def _heard(self, changed: Changed) -> None:
        if changed.envelope is None:
            return
        self.folded += 1
        machine = self._machines.get(changed.machine_id)
        told = machine.told.pop(changed.envelope.seq, None) if machine else None
        if told is not None:
            self.took.append(time.perf_counter() - told)

    async def run(self) -> None:
        follower = Follower(self._redis, self._keys, await self.mirrors.start(), block_ms=100)
        audited = time.monotonic()
        async for batch in follower.batches():
            with suppress(BusUnavailable):
                await self.mirrors.take(batch.told)
                if time.monotonic() - audited > AUDIT:
                    await self.mirrors.audit()
                    audited = time.monotonic()

    @property
    def differing(self) -> list[str]:
        """Machines whose mirror is not what they hold."""
        known = self.mirrors.machines
        return [
            name
            for name, machine in self._machines.items()
            if name not in known or (known[name].digest, known[name].position) != (machine.digest, machine.position)
        ]


async def differing_at(url: str, machines: Iterable[Machine]) -> list[str]:
    """Machines of which an aggregator says something else than they hold."""
    few = asyncio.Semaphore(32)

    async def differs(session: aiohttp.ClientSession, machine: Machine) -> bool:
        async with few, session.get(f"{url}/machines/{machine.name}") as answer:
            return answer.status != 200 or (await answer.json())["digest"] != machine.digest

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        asked = {machine.name: group.create_task(differs(session, machine)) for machine in machines}
    return [name for name, task in asked.items() if task.result()]
