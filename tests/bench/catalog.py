"""The catalog with a million models and fifty thousand workflows, in SQLite and in PostgreSQL, asked by a second process.

Look-ups, batches and an agent's whole discovery, memory, and the import. No package of ours or of the registries serves such a
catalog; beside the batches stands a bare server that computes nothing, for what the load itself takes.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from model_manager.facts.model import Assignment
from model_manager.sources.catalog import catalog_at
from model_manager.sources.catalog_cache import CachedCatalog
from tests.bench.cataloguing.asking import Ask, Times, authorization, batch, listed, single, steadily
from tests.bench.cataloguing.records import workflow_name, write
from tests.bench.cataloguing.server import bare, doctored, loaded, postgres, processor, resident, served
from tests.bench.row import Row

MODELS = "MM_BENCH_CATALOG_MODELS"
DATABASES = "MM_BENCH_CATALOG_DATABASES"
HOME = "MM_BENCH_CATALOG_HOME"
"""A directory in which the filled databases stay: whoever measures again has no import to wait for, and gets no row of one."""

FILLED = "filled"
RATE = 500.0
WORKFLOWS = 20
FLAT = 1.1
"""Memory after all of it, by that after the first of each kind of question, which fill the caches to their bounds."""

SEVERAL = max(2, min(4, len(os.sched_getaffinity(0))))
"""Processes that serve one database together. Together they take a good core; the load takes a quarter of one."""


def run(smoke: bool) -> Iterator[Row]:
    models = 2_000 if smoke else int(os.environ.get(MODELS, "1000000"))
    names = os.environ.get(DATABASES, "sqlite,postgresql").split(",")
    for name in names:
        with ExitStack() as stack:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mm-")))
            kept = None if smoke else _kept(name, models)
            address = stack.enter_context(postgres(kept)) if name == "postgresql" else (kept or home) / "catalog.sqlite"
            case = f"{name}, {models} models"
            if kept is None or not (kept / FILLED).exists():
                yield from _imported(case, str(address), home, models)
                if kept is not None:
                    (kept / FILLED).touch()
            yield from _measured(case, str(address), home, models, smoke)


def _kept(name: str, models: int) -> Path | None:
    """Where this database is kept from run to run, None for one that is made anew each time."""
    if not (given := os.environ.get(HOME)):
        return None
    home = Path(given) / f"{name}-{models}"
    home.mkdir(parents=True, exist_ok=True)
    return home


def _imported(case: str, database: str, home: Path, models: int) -> Iterator[Row]:
    records = models + models // 20
    file = home / "records.ndjson"
    with file.open("wb") as stream:
        write(stream, models, models // 20)
    seconds = loaded(database, file, home)
    file.unlink()
    yield Row(bench="catalog", case=f"{case}: import of {records} records", ours=seconds, unit="s")
    yield Row(
        bench="catalog",
        case=f"{case}: import",
        ours=records / seconds,
        unit="records/s",
        more_is_better=True,
    )


def _measured(case: str, database: str, home: Path, models: int, smoke: bool) -> Iterator[Row]:
    with served(database, home) as (url, pid):
        yield from _discovered(case, url, home, 2 if smoke else 15)
        yield from _asked(case, url, pid, models, smoke)
    with served(database, home, processes=SEVERAL) as (url, pid):
        yield from _asked_of_several(f"{case}, {SEVERAL} processes", url, pid, home, models, smoke)
    with served(database, home) as (url, _):
        yield from _looked_for(case, url, models, 50 if smoke else 1)
    seconds, memory = doctored(database, home)
    yield Row(bench="catalog", case=f"{case}: the doctor without visits", ours=seconds, unit="s", goal=60)
    yield Row(bench="catalog", case=f"{case}: its memory at most", ours=memory, unit="MiB")


def _looked_for(case: str, url: str, models: int, rate: float) -> Iterator[Row]:
    """The slowest of a few, one after the other."""
    asked = {
        "a name that one model has": (listed("search={}"), 100),
        "a word that all have": (listed("search=model"), 100),
        "a word that none has": (listed("search=x{}"), 100),
        "those that need a token": (listed("auth_only=true"), 100),
        "those of a type": (listed("model_type=loras"), 100),
        "who needs a token, half of all": (authorization, None),
    }
    for what, (make, goal) in asked.items():
        times = asyncio.run(steadily(url, make, models, rate, 5))
        yield Row(bench="catalog", case=f"{case}: {what}, slowest of 5", ours=times.taken[-1], unit="ms", goal=goal)


def _asked(case: str, url: str, pid: int, models: int, smoke: bool) -> Iterator[Row]:
    seconds = 0.2 if smoke else 10.0
    for each in (single, batch(100), batch(1000)):
        asyncio.run(steadily(url, each, models, 20, 40))
    begun = resident(pid)
    one, took = _taken(url, pid, single, models, RATE, seconds)
    yield _row(f"{case}: look-up, p99 at 500/s", one, 10)
    yield Row(bench="catalog", case=f"{case}: look-up, median at 500/s", ours=one.median, unit="ms")
    yield Row(bench="catalog", case=f"{case}: look-up, processor time of the server", ours=took, unit="ms")
    hundred, took = _taken(url, pid, batch(100), models, 50, seconds)
    yield _row(f"{case}: batch of 100, p99 at 50/s", hundred, 10)
    yield Row(bench="catalog", case=f"{case}: batch of 100, processor time of the server", ours=took, unit="ms")
    thousand, took = _taken(url, pid, batch(1000), models, 4, max(1.0, seconds))
    yield _row(f"{case}: batch of 1,000, p99 at 4/s", thousand, 50)
    yield Row(
        bench="catalog", case=f"{case}: memory after it, by before", ours=resident(pid) / begun, unit="×", goal=FLAT
    )


def _asked_of_several(case: str, url: str, pid: int, home: Path, models: int, smoke: bool) -> Iterator[Row]:
    """The peer is a bare server that is asked the same at the same rate, and answers with as many bytes."""
    seconds = 0.2 if smoke else 10.0
    for each in (single, batch(100)):
        asyncio.run(steadily(url, each, models, 50, 40 if smoke else 200))
    one, _ = _taken(url, pid, single, models, RATE, seconds)
    yield _row(f"{case}: look-up, p99 at 500/s", one, 10)
    hundred, took = _taken(url, pid, batch(100), models, RATE, seconds)
    with bare(hundred.received // len(hundred.taken), home) as control:
        load = asyncio.run(steadily(control, batch(100), models, RATE, int(RATE * seconds)))
    yield Row(
        bench="catalog", case=f"{case}: batch of 100, p99 at 500/s", ours=hundred.p99, peer=load.p99, unit="ms", goal=10
    )
    yield Row(
        bench="catalog", case=f"{case}: batch of 100, median at 500/s", ours=hundred.median, peer=load.median, unit="ms"
    )
    yield Row(bench="catalog", case=f"{case}: batch of 100, processor time of all", ours=took, unit="ms")


def _taken(
    url: str, pid: int, make: Callable[[int, random.Random], Ask], models: int, rate: float, seconds: float
) -> tuple[Times, float]:
    """And the processor time that the server took for each, in ms."""
    count, before = max(4, int(rate * seconds)), processor(pid)
    times = asyncio.run(steadily(url, make, models, rate, count))
    return times, (processor(pid) - before) / count * 1000


def _discovered(case: str, url: str, home: Path, rounds: int) -> Iterator[Row]:
    assignment = Assignment(workflows=tuple(workflow_name(n) for n in range(WORKFLOWS)))

    async def describe() -> list[float]:
        taken = []
        async with catalog_at(url, per_minute=100_000) as client:
            cached = CachedCatalog(client, home / "cache")
            for _ in range(rounds + 1):
                begin = time.perf_counter()
                described = await cached.describe(assignment)
                taken.append((time.perf_counter() - begin) * 1000)
                if len(described.models) != WORKFLOWS * 10 or described.doubts:
                    raise ValueError(f"{len(described.models)} models: {described.doubts}")
        return taken

    first, *again = asyncio.run(describe())
    what = f"{case}: discovery of 20 workflows, 200 models"
    yield Row(bench="catalog", case=f"{what}, the first", ours=first, unit="ms", goal=100)
    yield Row(bench="catalog", case=f"{what}, again", ours=statistics.median(again), unit="ms", goal=100)


def _row(case: str, times: Times, goal: float) -> Row:
    return Row(bench="catalog", case=case, ours=times.p99, unit="ms", goal=goal)
