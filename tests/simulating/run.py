"""A fleet in one process on a server of its own: it comes up, changes, loses its server with all that was in it, and must be known
again exactly."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from model_manager.bus.connection import connect
from model_manager.bus.keys import Keys
from tests.bus.servers import Server
from tests.simulating.machine import Machine, Pool
from tests.simulating.watcher import Watcher, differing_at

AT_ONCE = 64
"""Machines that speak at the same moment; each has a connection."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`seconds` of changes, each machine one in `every` seconds; `outage` in seconds, 0 = none; `url` of an aggregator to be
    compared, "" = one is started."""

    machines: int
    models: int
    seconds: float
    every: float
    outage: float
    heartbeat: float
    patience: float
    url: str | None


Line = tuple[str, str]


class NotExact(Exception):
    """Mirrors differ from what the machines hold, and the time is over."""


async def simulate(plan: Plan, say: Callable[[str], None]) -> list[Line]:
    """What was measured, as (what, how much). Raises NotExact when the mirrors are not exact within `patience` seconds."""
    server = Server("valkey")
    redis = connect(server.url, timeout=30)
    try:
        async with _aggregator(plan, server.url) as (url, pid), asyncio.TaskGroup() as group:
            fleet = Fleet(plan, redis, server, url, say)
            lines = await group.create_task(fleet.play(group))
            return [*lines, *_memory(pid)]
    finally:
        await redis.aclose()
        server.close()


class Fleet:
    def __init__(self, plan: Plan, redis: Redis, server: Server, url: str | None, say: Callable[[str], None]) -> None:
        pool, gate = Pool(plan.models), asyncio.Semaphore(AT_ONCE)
        self._plan = plan
        self._server = server
        self._url = url
        self._say = say
        self._machines = [Machine(redis, "", n, pool, gate, plan.heartbeat) for n in range(plan.machines)]
        self._watcher = Watcher(redis, Keys(), self._machines)

    async def play(self, group: asyncio.TaskGroup) -> list[Line]:
        loops = [group.create_task(self._watcher.run())]
        for machine in self._machines:
            loops += [group.create_task(machine.beat_for_ever()), group.create_task(machine.publish_for_ever())]
        try:
            return [line async for line in self._measured(group)]
        finally:
            for loop in loops:
                loop.cancel()

    async def _measured(self, group: asyncio.TaskGroup) -> AsyncIterator[Line]:
        self._say("machines introduce themselves")
        yield "all introduced and exact", _seconds(await self._exact())
        self._watcher.took.clear()
        self._say(f"{self._plan.seconds:g} s of changes")
        before, begun = self._events(), time.perf_counter()
        await self._changing(group, self._plan.seconds)
        spent = time.perf_counter() - begun
        yield "events told", f"{(self._events() - before) / spent:,.0f}/s"
        yield "exact after the last change", _seconds(await self._exact())
        yield "a change until it is in a mirror, p50", _ms(_quantile(self._watcher.took, 50))
        yield "the same, p99", _ms(_quantile(self._watcher.took, 99))
        yield "a heartbeat, p50", _ms(_quantile([each for m in self._machines for each in m.beaten], 50))
        if self._plan.outage:
            async for line in self._lost(group):
                yield line
        yield "snapshots", f"{sum(machine.snapshots for machine in self._machines):,}"
        yield "memory of all machines and the mirror here", _mebibytes(os.getpid())

    async def _lost(self, group: asyncio.TaskGroup) -> AsyncIterator[Line]:
        self._say(f"the server is killed with all that it had, for {self._plan.outage:g} s of changes")
        self._server.kill()
        await self._changing(group, self._plan.outage)
        self._server.start()
        yield "exact after the outage", _seconds(await self._exact())

    async def _changing(self, group: asyncio.TaskGroup, seconds: float) -> None:
        loops = [group.create_task(machine.change_for_ever(self._plan.every)) for machine in self._machines]
        await asyncio.sleep(seconds)
        for loop in loops:
            loop.cancel()

    async def _exact(self) -> float:
        """Seconds until every mirror is what its machine holds, and the aggregator says so too."""
        begun = time.perf_counter()
        await self._until(self._mirrored)
        mirrored = time.perf_counter() - begun
        if self._url:
            await self._until(self._told)
        return mirrored

    async def _mirrored(self) -> list[str]:
        return self._watcher.differing

    async def _told(self) -> list[str]:
        return await differing_at(self._url or "", self._machines)

    async def _until(self, differing: Callable[[], Awaitable[list[str]]]) -> None:
        deadline = time.monotonic() + self._plan.patience
        while names := await differing():
            if time.monotonic() > deadline:
                unsure = self._watcher.mirrors.unsure
                raise NotExact(f"{len(names)} differ, such as {names[0]} ({unsure.get(names[0], 'no reason')})")
            await asyncio.sleep(0.05)

    def _events(self) -> int:
        return sum(machine.events for machine in self._machines)


@contextlib.asynccontextmanager
async def _aggregator(plan: Plan, redis_url: str) -> AsyncIterator[tuple[str | None, int | None]]:
    """Its address and process; nothing of both when none is to be asked."""
    if plan.url != "":
        yield plan.url, None
        return
    environment = {**os.environ, "REDIS_URL": redis_url, "MODEL_MANAGER_FLEET_PORT": "0"}
    child = await asyncio.create_subprocess_exec(
        "model-manager",
        "fleet",
        "serve",
        env=environment,
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        assert child.stderr is not None
        url = await asyncio.wait_for(_address(child.stderr), 30)
        async with asyncio.TaskGroup() as group:
            rest = group.create_task(child.stderr.read())
            yield url, child.pid
            rest.cancel()
    finally:
        child.kill()
        await child.wait()


async def _address(words: asyncio.StreamReader) -> str:
    """`fleet at http://…`, among what else it says."""
    while line := (await words.readline()).decode():
        if line.startswith("fleet at "):
            return line.split()[-1]
    raise NotExact("the aggregator does not start: run model-manager fleet serve")


def _memory(pid: int | None) -> list[Line]:
    return [("memory of the aggregator", _mebibytes(pid))] if pid else []


def _mebibytes(pid: int) -> str:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return f"{pages * os.sysconf('SC_PAGE_SIZE') / 2**20:,.0f} MiB"


def _quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else 0.0


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
