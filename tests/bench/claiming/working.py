"""Jobs taken and done, beside queues that match nothing: BullMQ in node, arq and taskiq in Python."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.claiming.crews import Crew
from tests.bench.claiming.matching import OPTIONS, used
from tests.bench.claiming.ours import Ours, crew_of_node, crew_of_python
from tests.bench.claiming.tools import HERE, Peers, obtained
from tests.bench.claiming.world import World, world
from tests.bench.fetching.running import CommandFailed
from tests.bench.row import Row
from tests.bus.servers import Server

Hands = tuple[int, ...]

ONE: Final[Hands] = (1,)
EIGHT: Final[tuple[Hands, ...]] = ((8,), (4, 4), (3, 3, 2))
"""Eight workers in one process, in two, or in three that leave the server a core; everybody's best arrangement counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    pending: int
    signatures: int
    machines: int
    seconds: float
    rounds: int
    alone: int
    """Further rounds of one worker, whose rate is decided by how fast the machine wakes who waits for an answer."""

    waiting: int
    """Jobs that are pending in these."""


FULL: Final = Sizes(pending=120_000, signatures=100, machines=300, seconds=2, rounds=3, alone=12, waiting=10_000)
SMOKE: Final = Sizes(pending=2_000, signatures=5, machines=8, seconds=0.2, rounds=1, alone=1, waiting=1_000)


@dataclass(slots=True)
class Figures:
    """Jobs a second by arrangement, and bytes a pending job, of each round."""

    done: dict[Hands, list[float]] = field(default_factory=dict)
    memory: list[float] = field(default_factory=list)

    def rate(self, *arrangements: Hands) -> float:
        """The median of the best arrangement."""
        return max(median(self.done[hands]) for hands in arrangements)


def rows(home: Path, smoke: bool) -> Iterator[Row]:
    sizes, peers = (SMOKE, Peers()) if smoke else (FULL, obtained())
    fleet = world(sizes.signatures, sizes.machines)
    server = Server("valkey", *OPTIONS)
    try:
        found = _measured(Field(server=server, fleet=fleet, sizes=sizes), _crews(home, fleet, peers))
    finally:
        server.close()
    yield from _beside_node(found)
    yield from _beside_python(found)


def _crews(home: Path, fleet: World, peers: Peers) -> list[tuple[Crew, Sequence[Hands]]]:
    """Everybody who is here, with the arrangements that are measured."""
    crews: list[tuple[Crew, Sequence[Hands]]] = [(crew_of_python(home, fleet), [()])]
    if peers.node:
        crews += [(crew_of_node(home, fleet, peers.node), [ONE, *EIGHT]), (_bullmq(peers.node), [ONE, *EIGHT])]
    if peers.python:
        crews += [(_queue(peers.python, "arq"), [()]), (_queue(peers.python, "taskiq"), [()])]
    return crews


def _bullmq(node: Path) -> Crew:
    command = ("node", str(HERE / "bullmq.mjs"))
    env = {"BENCH_NODE_MODULES": str(node / "node_modules")}
    return Crew(name="BullMQ", fill=(*command, "fill"), work=(*command, "work"), env=env)


def _queue(python: str, name: str) -> Crew:
    command = (python, str(HERE / "queues.py"), name)
    return Crew(name=name, fill=(*command, "fill"), work=(*command, "work"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """The server on which everybody works, one after the other."""

    server: Server
    fleet: World
    sizes: Sizes

    def pending(self, crew: Crew) -> int:
        """Queues in Python work off a fifth at most."""
        return self.sizes.pending // (1 if _is_of_node(crew) else 5)

    def filled(self, crew: Crew, pending: int) -> float:
        """Bytes that a pending job takes."""
        client = self.server.client()
        client.flushall()
        if crew.fill:
            before = used(client)
            crew.filled(str(self.server.socket), pending)
        else:
            ours = Ours(client, self.fleet)
            ours.introduce(self.fleet.machines)
            ours.submit(self.fleet.jobs(self.sizes.signatures, "first"))
            before = used(client)
            ours.submit(self.fleet.jobs(pending))
        return (used(client) - before) / pending

    def worked(self, crew: Crew, arrangements: Sequence[Hands], figures: Figures) -> None:
        """One arrangement after the other works at the same queue, which is longer than all of them get done."""
        figures.memory.append(self.filled(crew, self.pending(crew)))
        self.done(crew, arrangements, figures)

    def worked_alone(self, crew: Crew, figures: Figures) -> None:
        self.filled(crew, self.sizes.waiting)
        self.done(crew, (ONE,), figures)

    def done(self, crew: Crew, arrangements: Sequence[Hands], figures: Figures) -> None:
        for hands in arrangements:
            rate = crew.worked(str(self.server.socket), self.sizes.seconds, hands)
            figures.done.setdefault(hands, []).append(rate)
            print(f"routing: {crew.name} {hands or ''}: {rate:,.0f} jobs/s", file=sys.stderr, flush=True)


def _is_of_node(crew: Crew) -> bool:
    return "node" in crew.work[0]


def _measured(where: Field, crews: Sequence[tuple[Crew, Sequence[Hands]]]) -> dict[str, Figures]:
    """Round by round, everybody in each. Who fails is left out, and says why."""
    found = {crew.name: Figures() for crew, _ in crews}
    rounds = [(crew, partial(where.worked, crew, arrangements)) for crew, arrangements in crews] * where.sizes.rounds
    of_node = [crew for crew, _ in crews if _is_of_node(crew)]
    rounds += [(crew, partial(where.worked_alone, crew)) for crew in of_node] * where.sizes.alone
    for crew, work in rounds:
        if crew.name not in found:
            continue
        try:
            work(found[crew.name])
        except CommandFailed as error:
            print(f"routing: {crew.name} is left out: {error}", file=sys.stderr, flush=True)
            del found[crew.name]
    return found


def _beside_node(found: dict[str, Figures]) -> Iterator[Row]:
    ours, peer = found.get("ours in node"), found.get("BullMQ")
    for workers, arrangements, goal in (("1 worker", (ONE,), 1.3), ("8 workers", EIGHT, 1.0)):
        if ours and peer:
            theirs = peer.rate(*arrangements)
            yield Row(bench="routing", case=f"jobs done in node, {workers}; peer: BullMQ, which matches nothing",
                ours=round(ours.rate(*arrangements)), peer=round(theirs), unit="/s", goal=round(goal * theirs), more_is_better=True)  # fmt: skip
    if ours and peer:
        theirs = median(peer.memory)
        yield Row(bench="routing", case="memory of a pending job; peer: BullMQ",
            ours=round(median(ours.memory)), peer=round(theirs), unit="B", goal=round(0.8 * theirs))  # fmt: skip


def _beside_python(found: dict[str, Figures]) -> Iterator[Row]:
    ours = found["ours in Python"]
    yield Row(bench="routing", case="jobs done in Python, 1 process, 8 workers", ours=round(ours.rate(())), unit="/s")
    for name, goal in (("arq", 4), ("taskiq", 2)):
        if peer := found.get(name):
            yield Row(bench="routing", case=f"jobs done in Python, 1 process; peer: {name}, which matches nothing",
                ours=round(ours.rate(())), peer=round(peer.rate(())), unit="/s", goal=round(goal * peer.rate(())), more_is_better=True)  # fmt: skip
            yield Row(bench="routing", case=f"memory of a pending job; peer: {name}",
                ours=round(median(ours.memory)), peer=round(median(peer.memory)), unit="B")  # fmt: skip
