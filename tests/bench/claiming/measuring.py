"""What a claim costs: as its caller waits for it, and as the server works on it."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import redis

from tests.bench.claiming.world import Machine

PIPELINED: Final = 100

Claim = tuple[Machine, str]


class Contender(Protocol):
    """A way to hand out jobs. `settle` ends the claims and puts as many jobs back, so that the queue keeps its length."""

    def command(self, machine: Machine) -> Sequence[Any]: ...

    def claimed(self, reply: Any) -> str | None: ...

    def settle(self, claims: Sequence[Claim]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """µs that a caller waits, alone on the server; through one pipeline µs of the server a call (the median of pages), and calls
    and claims a second; the share of calls that got a job."""

    p50: float
    p99: float
    server: float
    calls: float
    claims: float
    share: float


@dataclass(slots=True)
class Tally:
    """Seconds of each wait; calls and claims; µs a call that the server counted, page by page."""

    waits: list[float] = field(default_factory=list)
    calls: int = 0
    claims: int = 0
    usec: list[float] = field(default_factory=list)

    @property
    def spent(self) -> float:
        return sum(self.waits)


def cost(
    client: redis.Redis, contender: Contender, machines: Sequence[Machine], *, calls: int, seconds: float
) -> Cost:  # fmt: skip
    """One call after the other, then through a pipeline; `calls` of each, or what the seconds allow (one at least)."""
    turn = itertools.cycle(machines)
    alone, together = Tally(), Tally()
    while not alone.calls or (alone.calls < calls and alone.spent < seconds / 2):
        _alone(client, contender, turn, alone, seconds / 2)
    while alone.calls > 1 and together.calls < calls and together.spent < seconds / 2:
        _together(client, contender, turn, together, min(PIPELINED, alone.calls))
    rate = together if together.calls else alone
    waits = sorted(alone.waits)
    return Cost(
        p50=statistics.median(waits) * 1e6,
        p99=waits[min(len(waits) - 1, int(len(waits) * 0.99))] * 1e6,
        server=statistics.median(rate.usec),
        calls=rate.calls / rate.spent,
        claims=rate.claims / rate.spent,
        share=(alone.claims + together.claims) / (alone.calls + together.calls),
    )


def side_by_side(
    contenders: Sequence[tuple[redis.Redis, Contender]], machines: Sequence[Machine], *, calls: int
) -> list[float]:
    """µs of each one's server a call, the median of pages that take turns: whenever the machine is slower, it is so for all of them."""
    turns, tallies = [itertools.cycle(machines) for _ in contenders], [Tally() for _ in contenders]
    while tallies[0].calls < calls:
        for (client, contender), turn, tally in zip(contenders, turns, tallies, strict=True):
            _together(client, contender, turn, tally, min(PIPELINED, calls))
    return [statistics.median(tally.usec) for tally in tallies]


def _alone(
    client: redis.Redis, contender: Contender, turn: Iterator[Machine], tally: Tally, seconds: float
) -> None:  # fmt: skip
    claims: list[Claim] = []
    client.config_resetstat()
    for machine in itertools.islice(turn, PIPELINED):
        command = contender.command(machine)
        begun = time.perf_counter()
        reply = client.execute_command(*command)
        tally.waits.append(time.perf_counter() - begun)
        if (job := contender.claimed(reply)) is not None:
            claims.append((machine, job))
        if tally.spent > seconds:
            break
    _count(client, tally, claims)
    contender.settle(claims)


def _together(client: redis.Redis, contender: Contender, turn: Iterator[Machine], tally: Tally, page: int) -> None:
    machines = list(itertools.islice(turn, page))
    pipe = client.pipeline(transaction=False)
    for machine in machines:
        pipe.execute_command(*contender.command(machine))
    client.config_resetstat()
    begun = time.perf_counter()
    replies = pipe.execute()
    tally.waits.append(time.perf_counter() - begun)
    jobs = [contender.claimed(reply) for reply in replies]
    claims = [(machine, job) for machine, job in zip(machines, jobs, strict=True) if job is not None]
    _count(client, tally, claims)
    contender.settle(claims)


def _count(client: redis.Redis, tally: Tally, claims: Sequence[Claim]) -> None:
    stat = client.info("commandstats")["cmdstat_fcall"]
    tally.usec.append(stat["usec"] / stat["calls"])
    tally.calls, tally.claims = tally.calls + stat["calls"], tally.claims + len(claims)
