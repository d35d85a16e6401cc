"""From what was measured to the rows that are shown, and to the limits that we set ourselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from model_manager.facts.quota import Quotas
from tests.bench.fetching.cells import LARGE, MANY, MIB, RATE, SEVERAL, Algorithm, Cell, Shape
from tests.bench.fetching.running import Run
from tests.bench.row import Row

SHARES: Final[Mapping[tuple[Shape, Algorithm], float]] = {
    (LARGE, "sha256"): 0.55,
    (LARGE, "blake3"): 0.45,
    (SEVERAL, "sha256"): 0.45,
    (MANY, "sha256"): 0.45,
}
"""The part of the best peer's time that we may take, on a plain, fast line to the disk."""

OVER_HASH: Final = 1.1
"""How much longer than the hash alone one file may take."""

OVER_PLAIN: Final = 1.3
"""How much longer than without TLS it may take."""

OF_THE_SUM: Final = 0.9
"""The part of what all connections give together that we want, the first seconds included."""

MEMORY: Final = 150 * MIB
LAG: Final = 0.05


@dataclass(slots=True, kw_only=True)
class Found:
    """All runs in one cell for one digest. `alone` hashed only, `disk` wrote only; `plain` is ours without TLS; `synced` are the
    peers with what it takes until their bytes are on the disk; `absent` peers took no part."""

    ours: list[Run] = field(default_factory=list)
    plain: list[Run] = field(default_factory=list)
    alone: list[Run] = field(default_factory=list)
    disk: list[Run] = field(default_factory=list)
    synced: dict[str, list[Run]] = field(default_factory=dict)
    peers: dict[str, list[Run]] = field(default_factory=dict)
    absent: tuple[str, ...] = ()

    def leave_out(self, peer: str) -> None:
        """It could not do this work: what it did before does not count either."""
        self.peers = {name: runs for name, runs in self.peers.items() if not name.startswith(f"{peer} + ")}
        self.synced = {name: runs for name, runs in self.synced.items() if not name.startswith(f"{peer} + ")}
        self.absent = (*self.absent, peer)

    def best(self) -> str | None:
        """The peer that was quickest, verification included."""
        return min(self.peers, key=lambda name: seconds(self.peers[name]), default=None)

    def curl(self) -> list[Run]:
        return next((runs for name, runs in self.peers.items() if name.startswith("curl ")), [])


def seconds(runs: Sequence[Run]) -> float:
    return median(run.seconds for run in runs)


def cpu(runs: Sequence[Run]) -> float:
    return median(run.cpu for run in runs)


def memory(runs: Sequence[Run]) -> float:
    return max(run.memory for run in runs) / MIB


def rows(cell: Cell, algorithm: Algorithm, found: Found) -> Iterator[Row]:
    """Ours beside each peer; then the goals."""
    for name, theirs in found.peers.items():
        yield _row(cell, algorithm, f"seconds / {name}", "s", seconds(found.ours), seconds(theirs))
    for name, theirs in found.peers.items():
        gib = cell.shape.gib
        yield _row(cell, algorithm, f"processor / {name}", "s/GiB", cpu(found.ours) / gib, cpu(theirs) / gib)
    for name, theirs in found.peers.items():
        yield _row(cell, algorithm, f"memory / {name}", "MiB", memory(found.ours), memory(theirs))
    for goal in GOALS:
        yield from goal(cell, algorithm, found)


def _best(cell: Cell, algorithm: Algorithm, found: Found) -> Iterator[Row]:
    name = found.best()
    if name is None:
        yield _row(cell, algorithm, "seconds", "s", seconds(found.ours))
        return
    share = SHARES.get((cell.shape, algorithm)) if not (cell.tls or cell.throttled) else None
    theirs = seconds(found.peers[name])
    without = f" (without {', '.join(found.absent)})" if found.absent else ""
    limit = share * theirs if share else None
    yield _row(cell, algorithm, f"seconds / best: {name}{without}", "s", seconds(found.ours), theirs, limit)


def _synced(cell: Cell, algorithm: Algorithm, found: Found) -> Iterator[Row]:
    """Ours has promised that the bytes survive a power cut: the same of the peers."""
    name = min(found.synced, key=lambda name: seconds(found.synced[name]), default=None)
    if name is not None:
        theirs = seconds(found.synced[name])
        yield _row(cell, algorithm, f"seconds / best, synced: {name}", "s", seconds(found.ours), theirs)


def _disk(cell: Cell, algorithm: Algorithm, found: Found) -> Iterator[Row]:
    if found.disk:
        case = "seconds / the disk alone, same calls"
        yield _row(cell, algorithm, case, "s", seconds(found.ours), seconds(found.disk))


def _alone(cell: Cell, algorithm: Algorithm, found: Found) -> Iterator[Row]:
    if found.alone:
        theirs = seconds(found.alone)
        yield _row(cell, algorithm, "seconds / openssl alone", "s", seconds(found.ours), theirs, OVER_HASH * theirs)


def _processor(cell: Cell, algorithm: Algorithm, found: Found) -> Iterator[Row]:
    if found.curl() and algorithm == "sha256" and not (cell.tls or cell.throttled):
        mine, theirs = cpu(found.ours) / cell.shape.gib, cpu(found.curl()) / cell.shape.gib
        yield _row(cell, algorithm, "processor / curl and the hash", "s/GiB", mine, theirs, theirs)


def _memory(cell: Cell, algorithm: Algorithm, found: Found) -> Iterator[Row]:
    if cell.shape == SEVERAL:
        yield _row(cell, algorithm, "memory, eight in flight", "MiB", memory(found.ours), goal=MEMORY / MIB)


def _lag(cell: Cell, algorithm: Algorithm, found: Found) -> Iterator[Row]:
    worst = max(run.lag for run in found.ours)
    yield _row(cell, algorithm, "loop lag, worst of all runs", "ms", worst * 1000, goal=LAG * 1000)
    beside = max(run.beside for run in found.ours)
    yield _row(cell, algorithm, "the same of an idle process beside it", "ms", beside * 1000)


def _over_plain(cell: Cell, algorithm: Algorithm, found: Found) -> Iterator[Row]:
    if found.plain:
        plain = seconds(found.plain)
        yield _row(cell, algorithm, "seconds / ours plain", "s", seconds(found.ours), plain, OVER_PLAIN * plain)


def _sum_of_rates(cell: Cell, algorithm: Algorithm, found: Found) -> Iterator[Row]:
    """A host gets so many connections at most, and each of them RATE."""
    connections = Quotas().connections.each
    if not cell.throttled or not connections:
        return
    size = cell.shape.count * cell.shape.size / 1e6
    best = found.best()
    yield Row(
        bench="fetch",
        case=f"{cell.case(algorithm)}: rate / best, of {connections} connections' sum",
        ours=round(size / seconds(found.ours)),
        peer=round(size / seconds(found.peers[best])) if best else None,
        unit="MB/s",
        goal=OF_THE_SUM * connections * RATE / 1e6,
        more_is_better=True,
    )


Goal = Callable[[Cell, Algorithm, Found], Iterator[Row]]
GOALS: Final[tuple[Goal, ...]] = (_best, _synced, _disk, _alone, _processor, _memory, _lag, _over_plain, _sum_of_rates)


def _row(
    cell: Cell,
    algorithm: Algorithm,
    what: str,
    unit: str,
    ours: float,
    peer: float | None = None,
    goal: float | None = None,
) -> Row:
    return Row(
        bench="fetch",
        case=f"{cell.case(algorithm)}: {what}",
        ours=round(ours, 3),
        peer=None if peer is None else round(peer, 3),
        unit=unit,
        goal=None if goal is None else round(goal, 3),
    )
