"""The worst that a client may send to each function, and the server's own time for it: nobody may keep others waiting."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import redis

from model_manager.bus.connection import connect
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


@dataclass(slots=True)
class Times:
    """µs of each call by function: as the slow log has them, and of the processor for those that were made one by one."""

    wall: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    processor: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def rows(self, case: str) -> Iterator[Row]:
        for name in sorted(self.wall):
            yield self._row(f"{case}: {name}, p99 of {len(self.wall[name])} calls", _p99(self.wall[name]), LONGEST)
            if spent := self.processor.get(name):
                yield self._row(f"{case}: {name}, processor's time of the server, p99", _p99(spent), None)

    def _row(self, case: str, us: float, goal: float | None) -> Row:
        return Row(bench="routing", case=case, unit="µs", ours=round(us), goal=goal)


def rows(home: Path, smoke: bool) -> Iterator[Row]:
    size = (
        {"machines": 5, "queued": 20, "large_offers": 4}
        if smoke
        else {"machines": 200, "queued": 5_000, "large_offers": 100}
    )
    server = Server("valkey")
    try:
        client = _logging(server)
        population = hostile.Population(client, **size)
        yield from _asked(server, population, 1 if smoke else ROUNDS).rows("bounding, hostile calls")
        for files in (20, 200) if smoke else FILES:
            yield from asyncio.run(_told(server, files)).rows(f"bounding, a machine with {files:,} files")
    finally:
        server.close()


def _logging(server: Server) -> redis.Redis:
    client = server.client()
    client.config_set("slowlog-log-slower-than", SHORT)
    client.config_set("slowlog-max-len", LOGGED)
    return client


def _asked(server: Server, population: hostile.Population, rounds: int) -> Times:
    """Every call of `hostile.worst`, alone on the server."""
    times, client = Times(), population.client
    for round_ in range(rounds):
        for call in hostile.worst(client, round_):
            client.slowlog_reset()
            before = server.spent()
            population.ask(*call)
            times.processor[call[0]].append((server.spent() - before) / 1e3)
            if not _logged(client, times):
                times.wall[call[0]].append(SHORT)
    return times


def _logged(client: redis.Redis, times: Times) -> int:
    """Takes what the slow log has, and says how many calls that were."""
    number = 0
    for each in client.slowlog_get(LOGGED):
        words = bytes(each["command"]).split(b" ", 2)
        if words[0].upper() == b"FCALL":
            times.wall[words[1].decode().rpartition("_")[0]].append(float(each["duration"]))
            number += 1
    client.slowlog_reset()
    return number


async def _told(server: Server, files: int) -> Times:
    """A machine comes, exchanges files, beats, tells all of it anew, and leaves."""
    times, client, connection = Times(), server.client(), connect(server.url, timeout=60)
    teller = Teller(f"large{files}")
    bus = Bus(connection, MachineId(teller.machine), "here", "", 10_000, DAY)
    held = [replace(entry(f"{n // 50}/{files}-{n}.safetensors"), hash=f"{files + n:064x}") for n in range(files)]
    try:
        client.slowlog_reset()
        await bus.beat(teller.beat(), {})
        await _replaced(bus, teller, held)
        _logged(client, times)
        for n in range(20):
            goes, comes = held[n], replace(held[n], path=f"/other/{n}", size=n)
            assert isinstance(await bus.publish([teller.vanish(goes), teller.appear(comes)]), Delivered)
            await bus.beat(teller.beat(), {})
            _logged(client, times)
        await _replaced(bus, teller, held[files // 2 :])
        _logged(client, times)
        assert isinstance(await bus.bye(teller.bye()), Delivered)
        _logged(client, times)
        return times
    finally:
        await connection.aclose()


async def _replaced(bus: Bus, teller: Teller, entries: Sequence[Entry]) -> None:
    teller.held = {each.path: each for each in entries}
    answer: Any = await bus.snapshot(teller.snapshot(), teller.entries)
    assert isinstance(answer, Delivered), answer


def _p99(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
