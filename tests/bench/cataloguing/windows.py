"""A figure that one pause of the machine does not decide: the same question in several windows, each followed by the load alone.

The rule is the same for every row and every goal, and was fixed before anything was measured by it: five windows of six seconds, or of
a hundred questions where those take longer; after each the same load asks a bare server that computes nothing and answers with as many
bytes. The figure is the median of the five 99th percentiles, and all ten are printed. So is the 99th percentile of all windows
together, which has no goal: there a pause of a tenth of a second counts in full.
"""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.bench.cataloguing.asking import Ask, Times, steadily
from tests.bench.cataloguing.server import bare, processor
from tests.bench.row import Row

WINDOWS = 5
SECONDS = 6.0
LEAST = 100
"""Questions of a window, however slow they come."""

WARMING = 300
"""Questions before the first window."""

Make = Callable[[int, random.Random], Ask]


@dataclass(frozen=True, slots=True)
class Question:
    """`what` is asked by `make`, so many a second; `goal` is what its 99th percentile is held to, in ms."""

    what: str
    make: Make
    rate: float
    goal: float | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is asked: where, the server's first process, and the database's where it has one of ours."""

    url: str
    pid: int
    database: int | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """`alone` is the load by itself. `server`, `database` and `load` are processor time in ms a question; `busy` and `stolen` the cores that the
    whole machine was at work with meanwhile, and that others had of it."""

    ours: Times
    alone: Times
    server: float
    database: float
    load: float
    busy: float
    stolen: float


def asked(case: str, who: Asked, home: Path, models: int, question: Question, *, smoke: bool) -> Iterator[Row]:
    """Rows of one question."""
    count = 4 if smoke else max(LEAST, int(question.rate * SECONDS))
    warmed = asyncio.run(steadily(who.url, question.make, models, question.rate, 4 if smoke else WARMING))
    with bare(warmed.received // len(warmed.taken), home) as control:
        windows = [_window(who, control, models, question, count, seed) for seed in range(2 if smoke else WINDOWS)]
    yield from _rows(f"{case}: {question.what}", question, windows)


def _window(who: Asked, control: str, models: int, question: Question, count: int, seed: int) -> Window:
    before, machine = _spent(who), psutil.cpu_times()
    ours = asyncio.run(steadily(who.url, question.make, models, question.rate, count, seed))
    after, now = _spent(who), psutil.cpu_times()
    alone = asyncio.run(steadily(control, question.make, models, question.rate, count, seed))
    seconds = sum(now) - sum(machine) - (now.guest - machine.guest) - (now.guest_nice - machine.guest_nice)
    cores = (psutil.cpu_count() or 1) / seconds if seconds else 0.0
    idle = (now.idle - machine.idle) + (now.iowait - machine.iowait)
    stolen = now.steal - machine.steal
    return Window(
        ours=ours,
        alone=alone,
        server=(after[0] - before[0]) / count * 1000,
        database=(after[1] - before[1]) / count * 1000,
        load=ours.spent / count * 1000,
        busy=(seconds - idle - stolen) * cores,
        stolen=stolen * cores,
    )


def _spent(who: Asked) -> tuple[float, float]:
    """Seconds of processor time of the server, and of its database."""
    return processor(who.pid), processor(who.database) if who.database is not None else 0.0


def _rows(case: str, question: Question, windows: Sequence[Window]) -> Iterator[Row]:
    ours, alone = [each.ours for each in windows], [each.alone for each in windows]
    at = f"at {question.rate:g}/s"
    yield _row(
        f"{case}, p99 {at}, median of windows {_all(ours)}; alone {_all(alone)}", _p99(ours), _p99(alone), question.goal
    )
    together, both = _together(ours), _together(alone)
    yield _row(f"{case}, p99 {at}, all windows together", together.p99, both.p99)
    yield _row(f"{case}, median {at}", together.median, both.median)
    late = statistics.median(each.ours.late for each in windows)
    told = f"{_mean(windows, 'busy'):.2f} cores busy, {_mean(windows, 'stolen'):.2f} stolen, load late by {late:.0f} ms"
    server, load = _mean(windows, "server"), _mean(windows, "load")
    yield _row(f"{case} {at}, processor time of the server, beside it of the load; {told}", server, load)
    if database := _mean(windows, "database"):
        yield _row(f"{case} {at}, processor time of the database", database)


def _mean(windows: Sequence[Window], what: str) -> float:
    return statistics.fmean(getattr(each, what) for each in windows)


def _row(case: str, ours: float, peer: float | None = None, goal: float | None = None) -> Row:
    return Row(bench="catalog", case=case, ours=ours, peer=peer, unit="ms", goal=goal)


def _p99(windows: Sequence[Times]) -> float:
    return statistics.median(each.p99 for each in windows)


def _all(windows: Sequence[Times]) -> str:
    return " ".join(f"{each.p99:.1f}" for each in windows)


def _together(windows: Sequence[Times]) -> Times:
    return Times(tuple(sorted(taken for each in windows for taken in each.taken)))
