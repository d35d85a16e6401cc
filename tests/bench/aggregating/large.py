"""A machine with many files: what a change of few of them, and a heartbeat, take of the server and of the machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from model_manager.bus.connection import connect
from model_manager.bus.publishing import Bus, Delivered
from model_manager.facts.identity import MachineId
from tests.bench.row import Row
from tests.bus.servers import Server
from tests.bus.telling import Teller, entry

TOGETHER = 12


@dataclass(frozen=True, slots=True)
class _Cost:
    """ms of processor: of the server, and of the process that asks."""

    server: float
    machine: float


async def large_machine(files: int, rounds: int) -> list[Row]:
    server = Server("valkey")
    redis = connect(server.url, timeout=60)
    try:
        return list(_rows(files, *await _measured(server, redis, files, rounds)))
    finally:
        await redis.aclose()
        server.close()


async def _measured(server: Server, redis: Any, files: int, rounds: int) -> tuple[_Cost, _Cost, _Cost, _Cost]:
    teller = Teller()
    made = (entry(f"set{n % 20}/model-{n:05d}.safetensors", size=10**9 + n) for n in range(files))
    teller.held = {each.path: each for each in made}
    bus = Bus(redis, MachineId(teller.machine), "here", "", 10**6, 60.0)
    await bus.beat(teller.beat(), {})
    assert isinstance(await bus.snapshot(teller.snapshot(), teller.entries), Delivered)
    first = await _cost(server, 1, lambda: bus.beat(teller.beat(), {}))
    await _cost(server, 1 + files // 2_000, lambda: bus.beat(teller.beat(), {}))
    later = await _cost(server, rounds, lambda: bus.beat(teller.beat(), {}))
    return (
        first,
        later,
        await _changing(server, bus, teller, rounds, 1),
        await _changing(server, bus, teller, rounds, TOGETHER),
    )


async def _changing(server: Server, bus: Bus, teller: Teller, rounds: int, count: int) -> _Cost:
    """So many files come, or go, in one event; `rounds` are even, so that all are there at the end."""
    some = teller.entries[:count]
    told = iter([teller.appear(*some) if n % 2 else teller.vanish(*some) for n in range(rounds)])

    async def change() -> None:
        assert isinstance(await bus.publish([next(told)]), Delivered)

    return await _cost(server, rounds, change)


async def _cost(server: Server, rounds: int, do: Callable[[], Awaitable[object]]) -> _Cost:
    """The median of these."""
    ours, theirs = [], []
    for _ in range(rounds):
        begun, spent = time.process_time(), server.spent()
        await do()
        ours.append((time.process_time() - begun) * 1000)
        theirs.append((server.spent() - spent) / 1e6)
    return _Cost(statistics.median(theirs), statistics.median(ours))


def _rows(files: int, first: _Cost, later: _Cost, one: _Cost, some: _Cost) -> Iterator[Row]:
    for cost, what in (
        (one, "one of them comes or goes"),
        (some, f"{TOGETHER} of them come or go in one event"),
        (first, "a process's first heartbeat"),
        (later, "later heartbeats"),
    ):
        case = f"a machine with {files:,} files, {what}, processor time"
        yield Row(bench="bus", case=f"{case} of the server", ours=round(cost.server, 2), unit="ms")
        yield Row(bench="bus", case=f"{case} of the machine", ours=round(cost.machine, 2), unit="ms")
