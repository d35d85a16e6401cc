"""Claims at every length of the queue: ours, the scan with decoding, and the sketch that reads inventories."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.bench.claiming.measuring import Cost, cost, side_by_side
from tests.bench.claiming.ours import Ours
from tests.bench.claiming.shapes import Shape
from tests.bench.claiming.world import Machine, World, world
from tests.bench.row import Row
from tests.bus.servers import Server

SCANNED: Final = 100_000
"""Longer queues take the scan, which must look at all jobs to be right, half a minute a call."""

SKETCHED: Final = 10_000

OPTIONS: Final = ("--lazyfree-lazy-user-flush", "no", "--busy-reply-threshold", "0")
"""A flush has freed its memory when it is answered, and the scan may take as long as it takes."""

BEST, RANDOM, NOTHING = "best", "random machine", "nothing matches"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """`calls` and `seconds` bound each figure."""

    pending: Sequence[int]
    signatures: Sequence[int]
    machines: int
    calls: int
    seconds: float


FULL: Final = Sizes(
    pending=(1_000, 10_000, 100_000, 1_000_000), signatures=(100, 10_000), machines=300, calls=3_000, seconds=4
)
SMOKE: Final = Sizes(pending=(20, 50), signatures=(5,), machines=3, calls=10, seconds=1)

Spot = tuple[int, int, str]
"""Signatures, pending jobs, case."""


@dataclass(slots=True)
class Found:
    """Costs by place; of the shortest and the longest queue in turns; bytes a pending job and a machine by the number of signatures."""

    ours: dict[Spot, Cost] = field(default_factory=dict)
    lengths: dict[tuple[int, str], list[float]] = field(default_factory=dict)
    scan: dict[Spot, Cost] = field(default_factory=dict)
    sketch: dict[Spot, Cost] = field(default_factory=dict)
    job: dict[int, float] = field(default_factory=dict)
    machine: dict[int, float] = field(default_factory=dict)
    scan_job: dict[int, float] = field(default_factory=dict)
    sketch_machine: dict[int, float] = field(default_factory=dict)


def rows(home: Path, smoke: bool) -> Iterator[Row]:
    sizes = SMOKE if smoke else _chosen(os.environ.get("BENCH_PENDING", ""))
    server = Server("valkey", *OPTIONS)
    try:
        found = measured(patient(server), sizes)
    finally:
        server.close()
    for spot in found.ours:
        yield from _spot(found, spot)
    for count in sizes.signatures:
        yield from _memory(found, count)
        yield from _goals(found, sizes, count)


def patient(server: Server) -> redis.Redis:
    """A client that waits for a scan however long it takes, and never asks twice."""
    retry = Retry(NoBackoff(), 0)
    return redis.Redis(unix_socket_path=str(server.socket), protocol=2, socket_timeout=None, retry=retry)


def _chosen(pending: str) -> Sizes:
    """All of FULL, or only these lengths of the queue."""
    return replace(FULL, pending=tuple(int(each) for each in pending.split(","))) if pending else FULL


def measured(client: redis.Redis, sizes: Sizes) -> Found:
    found = Found()
    for count in sizes.signatures:
        fleet = world(count, sizes.machines)
        for contender in (_ours, _scan, _sketch):
            client.flushall()
            client.function_flush()
            contender(client, fleet, sizes, found)
    return found


def _ours(client: redis.Redis, fleet: World, sizes: Sizes, found: Found) -> None:
    ours, count = Ours(client, fleet), len(fleet.signatures)
    before, everybody = used(client), _everybody(fleet)
    ours.introduce(everybody)
    found.machine[count] = (used(client) - before) / len(everybody)
    have = 0
    for pending in sizes.pending:
        before = used(client)
        ours.submit(fleet.jobs(pending - have, f"j{pending}-"))
        found.job[count] = (used(client) - before) / (pending - have)
        have = pending
        for case, machines in _cases(fleet).items():
            _note(
                found.ours,
                "ours",
                (count, pending, case),
                cost(client, ours, machines, calls=sizes.calls, seconds=sizes.seconds),
            )
    _lengths(client, ours, fleet, sizes, found)


def _lengths(client: redis.Redis, longest: Ours, fleet: World, sizes: Sizes, found: Found) -> None:
    """A server with the shortest queue beside the one that has the longest by now."""
    server = Server("valkey", *OPTIONS)
    try:
        other = patient(server)
        shortest = Ours(other, fleet)
        shortest.introduce(_everybody(fleet))
        shortest.submit(fleet.jobs(min(sizes.pending), "few-"))
        for case, machines in _cases(fleet).items():
            both = ((other, shortest), (client, longest))
            found.lengths[len(fleet.signatures), case] = side_by_side(both, machines, calls=9 * sizes.calls)
    finally:
        server.close()


def _scan(client: redis.Redis, fleet: World, sizes: Sizes, found: Found) -> None:
    scan, count, have = Shape(client, fleet, "scan"), len(fleet.signatures), 0
    scan.introduce(_everybody(fleet))
    for pending in (each for each in sizes.pending if each <= SCANNED):
        before = used(client)
        scan.submit(fleet.jobs(pending - have, f"j{pending}-"))
        found.scan_job[count] = (used(client) - before) / (pending - have)
        have = scan.window = pending
        for case, machines in _cases(fleet).items():
            _note(
                found.scan,
                "scan",
                (count, pending, case),
                cost(client, scan, machines, calls=sizes.calls, seconds=sizes.seconds),
            )


def _sketch(client: redis.Redis, fleet: World, sizes: Sizes, found: Found) -> None:
    sketch, count, have = Shape(client, fleet, "sketch"), len(fleet.signatures), 0
    before, everybody = used(client), _everybody(fleet)
    sketch.introduce(everybody)
    found.sketch_machine[count] = (used(client) - before) / len(everybody)
    for pending in (each for each in sizes.pending if each <= SKETCHED):
        sketch.submit(fleet.jobs(pending - have, f"j{pending}-"))
        have = sketch.window = pending
        for case, machines in _cases(fleet).items():
            _note(
                found.sketch,
                "sketch",
                (count, pending, case),
                cost(client, sketch, machines, calls=sizes.calls, seconds=sizes.seconds),
            )


def _cases(fleet: World) -> Mapping[str, Sequence[Machine]]:
    return {BEST: [fleet.able], RANDOM: fleet.machines, NOTHING: [fleet.unable]}


def _everybody(fleet: World) -> list[Machine]:
    return [*fleet.machines, fleet.able, fleet.unable]


def used(client: redis.Redis) -> int:
    """Bytes that the server's data take."""
    return int(client.info("memory")["used_memory"])


def _note(where: dict[Spot, Cost], name: str, spot: Spot, cost: Cost) -> None:
    where[spot] = cost
    signatures, pending, case = spot
    print(
        f"routing: {signatures} signatures, {pending} pending, {case}, {name}: p50 {cost.p50:.0f} p99 {cost.p99:.0f} "
        f"server {cost.server:.1f} µs, {cost.claims:.0f} claims/s, {cost.share:.0%} got a job",
        file=sys.stderr,
        flush=True,
    )


def _spot(found: Found, spot: Spot) -> Iterator[Row]:
    signatures, pending, case = spot
    where = f"{case}, {pending:,} pending, {signatures:,} signatures"
    ours, scan = found.ours[spot], found.scan.get(spot)
    seen: tuple[tuple[str, str, Callable[[Cost], float]], ...] = (
        ("p50", "µs", lambda cost: cost.p50),
        ("p99", "µs", lambda cost: cost.p99),
        ("calls", "/s", lambda cost: cost.calls),
    )
    for name, unit, figure in seen:
        yield Row(bench="routing", case=f"claim {name}, {where}", ours=round(figure(ours), 1), unit=unit,
            peer=round(figure(scan), 1) if scan else None, more_is_better=unit == "/s")  # fmt: skip


def _memory(found: Found, count: int) -> Iterator[Row]:
    signatures = f"{count:,} signatures"
    yield Row(bench="routing", case=f"memory of a pending job, {signatures}; peer: the scan's", unit="B",
        ours=round(found.job[count]), peer=round(found.scan_job[count]))  # fmt: skip
    yield Row(bench="routing", case=f"memory of a machine, {signatures}; peer: the sketch's", unit="B",
        ours=round(found.machine[count]), peer=round(found.sketch_machine[count]))  # fmt: skip


def _goals(found: Found, sizes: Sizes, count: int) -> Iterator[Row]:
    few, many, signatures = min(sizes.pending), max(sizes.pending), f"{count:,} signatures"
    for case in (BEST, RANDOM, NOTHING):
        least, most = found.lengths[count, case]
        yield Row(bench="routing", case=f"server's time a claim at {many:,}, {case}, {signatures}; peer: ours at {few:,}, in turns",
            ours=round(most, 1), peer=round(least, 1), unit="µs", goal=round(1.5 * least, 1))  # fmt: skip
    scanned = max(pending for _, pending, _ in found.scan)
    right, ours = found.scan[count, scanned, RANDOM], found.ours[count, scanned, RANDOM]
    yield Row(bench="routing", case=f"right claims at {scanned:,} pending, {RANDOM}, {signatures}; peer: the scan of all",
        ours=round(ours.claims), peer=round(right.claims, 1), unit="/s", goal=round(200 * right.claims), more_is_better=True)  # fmt: skip
    full, none = found.scan[count, scanned, NOTHING], found.ours[count, scanned, NOTHING]
    yield Row(bench="routing", case=f"nothing matches at {scanned:,} pending: the full scan's time by ours, {signatures}",
        ours=round(full.server / none.server), unit="times", goal=100_000, more_is_better=True)  # fmt: skip
    for case in (BEST, RANDOM, NOTHING):
        spot = (count, max(pending for _, pending, _ in found.sketch), case)
        yield Row(bench="routing", case=f"server's time a claim at {spot[1]:,} pending, {case}, {signatures}; peer: the sketch",
            ours=round(found.ours[spot].server, 1), peer=round(found.sketch[spot].server, 1), unit="µs")  # fmt: skip
