"""Jobs submitted, claimed and completed with and without an append-only file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final

from tests.bench.claiming.measuring import PIPELINED
from tests.bench.claiming.ours import Ours
from tests.bench.claiming.world import world
from tests.bench.row import Row
from tests.bus.servers import Server

JOURNALS: Final = {
    "no journal": ("--appendonly", "no"),
    "AOF, fsync each second": ("--appendonly", "yes", "--appendfsync", "everysec"),
    "AOF, fsync each write": ("--appendonly", "yes", "--appendfsync", "always"),
}
ROUNDS: Final = 3
JOBS: Final = 6_000


def rows(home: Path, smoke: bool) -> Iterator[Row]:
    signatures, machines, jobs, rounds = (5, 3, 100, 1) if smoke else (100, 300, JOBS, ROUNDS)
    fleet = world(signatures, machines)
    found: dict[str, list[float]] = {name: [] for name in JOURNALS}
    for _ in range(rounds):
        for name, options in JOURNALS.items():
            found[name].append(_rate(options, fleet, jobs))
    bare = median(found["no journal"])
    for name, rates in found.items():
        yield Row(bench="routing", case=f"jobs submitted, claimed, completed, {name}; peer: no journal", unit="/s",
            ours=round(median(rates)), peer=round(bare), more_is_better=True)  # fmt: skip


def _rate(options: tuple[str, ...], fleet: Any, jobs: int) -> float:
    """Jobs a second through one connection, 100 calls in a pipeline."""
    server = Server("valkey", *options)
    client = server.client()
    try:
        ours = Ours(client, fleet)
        ours.introduce(fleet.machines)
        ours.submit(fleet.jobs(jobs, "first"))
        begun = time.perf_counter()
        for first in range(0, jobs, PIPELINED):
            machines = [fleet.machines[(first + n) % len(fleet.machines)] for n in range(PIPELINED)]
            pipe = client.pipeline(transaction=False)
            for machine in machines:
                pipe.execute_command(*ours.command(machine))
            claimed = [ours.claimed(reply) for reply in pipe.execute()]
            ours.settle([(machine, job) for machine, job in zip(machines, claimed, strict=True) if job is not None])
        return jobs / (time.perf_counter() - begun)
    finally:
        server.close()
