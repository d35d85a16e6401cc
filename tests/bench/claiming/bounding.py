"""The worst that a client may send to each function, and the server's own time for it: nobody may keep others waiting."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import redis

from model_manager.bus import listing, staging
from model_manager.bus.connection import connect
from model_manager.bus.functions import Functions
from model_manager.bus.publishing import Bus, Delivered
from model_manager.facts.event import Entry
from model_manager.facts.identity import MachineId
from tests.bench.claiming.ours import DAY
from tests.bench.row import Row
from tests.bus import hostile
from tests.bus.servers import Server
from tests.bus.telling import Teller, entry

LONGEST: Final = 5_000
"""µs of the server that a call may take, whatever a client sends."""

ROUNDS: Final = 6
LOGGED: Final = 4_000
SHORT: Final = 200
"""µs below which a call is not in the slow log: it would have each command that a function does, and take longer for that."""

FILES: Final = (300, 3_000, 10_000)
"""Of a machine; the largest real inventories seen have about 300."""

DECLARING: Final = 1_500
"""Offers of workers without an agent, each with the models that it declares."""

Calls = Callable[[redis.Redis, int], Iterator[hostile.Call]]
"""Those of one round."""


@dataclass(slots=True)
class Times:
    """µs of each call by function: as the slow log has them, and of the server's processor.

    What a call keeps others waiting for by its own doing is the lesser of both: the slow log counts it when the whole machine stood still,
    and the processor also reads what was sent and writes what is answered.
    """

    wall: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    own: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, wall: float, processor: float) -> None:
        self.wall[name].append(wall)
        self.own[name].append(min(wall, processor))

    def rows(self, case: str) -> Iterator[Row]:
        for name in sorted(self.wall):
            yield self._row(f"{case}: {name}, p99 of {len(self.own[name])} calls", _p99(self.own[name]), LONGEST)
            yield self._row(f"{case}: {name}, with what held up the machine, p99", _p99(self.wall[name]), None)

    def _row(self, case: str, us: float, goal: float | None) -> Row:
        return Row(bench="routing", case=case, unit="µs", ours=round(us), goal=goal)


class Meter:
    """Calls one after the other, each alone on the server."""

    def __init__(self, server: Server) -> None:
        self.times = Times()
        self._server = server
        self._client = server.client()
        self._client.config_set("slowlog-log-slower-than", SHORT)
        self._client.config_set("slowlog-max-len", LOGGED)
        self._before = 0

    def begin(self) -> None:
        self._client.slowlog_reset()
        self._before = self._server.spent()

    def end(self, name: str) -> None:
        processor = (self._server.spent() - self._before) / 1e3
        logged = [float(each["duration"]) for each in self._client.slowlog_get(LOGGED)]
        self.times.add(name, max(logged, default=SHORT), processor)


def rows(home: Path, smoke: bool) -> Iterator[Row]:
    size = (
        {"machines": 5, "queued": 20, "large_offers": 4}
        if smoke
        else {"machines": 200, "queued": 5_000, "large_offers": 100}
    )
    rounds = 1 if smoke else ROUNDS
    yield from _declared(20 if smoke else DECLARING, rounds)
    server = Server("valkey")
    try:
        population = hostile.Population(server.client(), **size)
        yield from _asked(Meter(server), population, rounds, hostile.worst).rows("bounding, hostile calls")
        for files in (20, 200) if smoke else FILES:
            yield from asyncio.run(_told(server, files)).rows(f"bounding, a machine with {files:,} files")
    finally:
        server.close()


def _declared(offers: int, rounds: int) -> Iterator[Row]:
    server = Server("valkey")
    try:
        population = hostile.Population(server.client(), machines=max(3, offers // 25), queued=20, large_offers=0)
        population.declare(offers)
        times = _asked(Meter(server), population, rounds, hostile.among_declared)
        yield from times.rows(f"bounding, {offers:,} offers that declare their models")
    finally:
        server.close()


def _asked(meter: Meter, population: hostile.Population, rounds: int, calls: Calls) -> Times:
    """Every one of these calls, alone on the server."""
    for round_ in range(rounds):
        for call in calls(population.client, round_):
            meter.begin()
            population.ask(*call)
            meter.end(call[0])
    return meter.times


@contextmanager
def _metered(meter: Meter) -> Iterator[None]:
    """Every call of a function, and every listing that is put beside it by a plain write."""
    once, put = Functions._once, listing.put

    async def metered_once(self: Functions, name: str, *rest: Any) -> list[bytes]:
        meter.begin()
        try:
            return await once(self, name, *rest)
        finally:
            meter.end(name)

    async def metered_put(*given: Any, **place: str) -> None:
        meter.begin()
        await put(*given, **place)
        meter.end("the listing's HSET")

    with (
        patch.object(Functions, "_once", metered_once),
        patch.object(listing, "put", metered_put),
        patch.object(staging, "put", metered_put),
    ):
        yield


async def _told(server: Server, files: int) -> Times:
    """A machine comes, exchanges files, beats, tells all of it anew, and leaves."""
    meter, connection = Meter(server), connect(server.url, timeout=60)
    teller = Teller(f"large{files}")
    bus = Bus(connection, MachineId(teller.machine), "here", "", 10_000, DAY)
    held = [replace(entry(f"{n // 50}/{files}-{n}.safetensors"), hash=f"{files + n:064x}") for n in range(files)]
    try:
        with _metered(meter):
            await _lived(bus, teller, held)
        return meter.times
    finally:
        await connection.aclose()


async def _lived(bus: Bus, teller: Teller, held: Sequence[Entry]) -> None:
    await bus.beat(teller.beat(), {})
    await _replaced(bus, teller, held)
    for n in range(20):
        goes, comes = held[n], replace(held[n], path=f"/other/{n}", size=n)
        assert isinstance(await bus.publish([teller.vanish(goes), teller.appear(comes)]), Delivered)
        await bus.beat(teller.beat(), {})
    await _replaced(bus, teller, held[len(held) // 2 :])
    assert isinstance(await bus.bye(teller.bye()), Delivered)


async def _replaced(bus: Bus, teller: Teller, entries: Sequence[Entry]) -> None:
    teller.held = {each.path: each for each in entries}
    answer: Any = await bus.snapshot(teller.snapshot(), teller.entries)
    assert isinstance(answer, Delivered), answer


def _p99(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
