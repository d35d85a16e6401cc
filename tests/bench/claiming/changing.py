"""What inventories cost the server while jobs wait. The peer is the same while none waits: what telling alone costs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Final

from model_manager.bus.connection import connect
from model_manager.bus.publishing import Bus, Delivered
from model_manager.facts.event import Entry, Envelope
from model_manager.facts.identity import MachineId
from tests.bench.claiming.metering import Meter
from tests.bench.claiming.ours import DAY, Ours, teller_of
from tests.bench.claiming.world import Machine, World, entry, path_of, world
from tests.bench.row import Row
from tests.bus.servers import Server
from tests.bus.telling import Teller

SIGNATURES: Final = (100, 10_000)
MACHINES: Final = 300
PENDING: Final = 20_000
CHANGES: Final = 200

LONGEST: Final = 5_000
"""µs of the server that a call may take, whatever it is."""

SNAPSHOT, ONE, HOTTEST = "a snapshot", "one model goes, another comes", "the most wanted model goes or comes"


def rows(home: Path, smoke: bool) -> Iterator[Row]:
    for signatures, machines, changes in ((5, 3, 4),) if smoke else ((each, MACHINES, CHANGES) for each in SIGNATURES):
        server = Server("valkey")
        try:
            yield from _rows(server, world(signatures, machines), changes)
        finally:
            server.close()


def _rows(server: Server, fleet: World, changes: int) -> Iterator[Row]:
    client = server.client()
    ours = Ours(client, fleet)
    ours.introduce(fleet.machines)
    fresh = [Machine(f"fresh{n}", each.gpu, each.models) for n, each in enumerate(fleet.machines)]
    half = len(fresh) // 2
    alone = _measured(server, ours, fleet, fresh[:half], changes)
    ours.submit(fleet.jobs(max(PENDING if changes == CHANGES else 50, len(fleet.signatures))))
    ours.indexed()
    beside = _measured(server, ours, fleet, fresh[half:], changes)
    where = f"{len(fleet.machines[0].models)} models a machine, {len(fleet.signatures):,} signatures waiting"
    for case, calls in beside.calls.items():
        yield Row(bench="routing", case=f"{case}, server's time of its calls, {where}; peer: none waiting", unit="µs",
            ours=round(mean(calls)), peer=round(mean(alone.calls[case])))  # fmt: skip
        longest = sorted(beside.longest[case])
        yield Row(bench="routing", case=f"{case}, p99 of its longest call, those that go on with it among them, {where}", unit="µs",
            ours=round(longest[int(len(longest) * 0.99)]), peer=round(max(alone.longest[case])), goal=LONGEST)  # fmt: skip
        yield Row(bench="routing", case=f"{case}, what it leaves for later calls, {where}", unit="µs",
            ours=round(mean(beside.follows[case])))  # fmt: skip


def _measured(server: Server, ours: Ours, fleet: World, fresh: Sequence[Machine], changes: int) -> Meter:
    return asyncio.run(_told(server, ours, fleet, fresh, changes))


async def _told(server: Server, ours: Ours, fleet: World, fresh: Sequence[Machine], changes: int) -> Meter:
    """Fresh machines tell all they have; then they exchange single models."""
    redis, chance = connect(server.url, timeout=60), random.Random(len(fresh))
    meter = Meter(server.client(), ours.indexed)
    pairs = [(teller_of(machine), Bus(redis, MachineId(machine.name), "here", "", 10_000, DAY)) for machine in fresh]
    wanted = entry(fleet.catalog[1])
    try:
        for teller, bus in pairs:
            await bus.beat(teller.beat(), {})
            ours.offer(Machine(teller.machine, 24, frozenset()))
            snapshot = teller.snapshot()
            with meter.reading(SNAPSHOT):
                assert isinstance(await bus.snapshot(snapshot, teller.entries), Delivered)
        for n in range(changes):
            teller, bus = pairs[n % len(pairs)]
            exchanged = _exchanged(teller, chance, fleet)
            with meter.reading(ONE):
                assert isinstance(await bus.publish(exchanged), Delivered)
            toggled = _toggled(teller, wanted)
            with meter.reading(HOTTEST):
                assert isinstance(await bus.publish(toggled), Delivered)
        return meter
    finally:
        await redis.aclose()


def _exchanged(teller: Teller, chance: random.Random, fleet: World) -> list[Envelope]:
    goes = chance.choice(teller.entries)
    comes = entry(chance.choice([name for name in fleet.catalog if path_of(name) not in teller.held]))
    return [teller.vanish(goes), teller.appear(comes)]


def _toggled(teller: Teller, wanted: Entry) -> list[Envelope]:
    return [teller.vanish(wanted) if wanted.path in teller.held else teller.appear(wanted)]
