"""The catalog with a million models and fifty thousand workflows, in SQLite and in PostgreSQL, asked by a second process.

Look-ups, batches and an agent's whole discovery, memory, and the import. There is no peer: no package of ours or of the
registries serves such a catalog.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from model_manager.facts.model import Assignment
from model_manager.sources.catalog import catalog_at
from model_manager.sources.catalog_cache import CachedCatalog
from tests.bench.cataloguing.asking import Times, batch, single, steadily
from tests.bench.cataloguing.records import workflow_name, write
from tests.bench.cataloguing.server import loaded, postgres, resident, served
from tests.bench.row import Row

MODELS = "MM_BENCH_CATALOG_MODELS"
DATABASES = "MM_BENCH_CATALOG_DATABASES"
RATE = 500.0
WORKFLOWS = 20
FLAT = 1.1
"""Memory after all of it, by that after the first of each kind of question, which fill the caches to their bounds."""

IMPORT = 10_000
"""Records a second: a million in two minutes."""


def run(smoke: bool) -> Iterator[Row]:
    models = 2_000 if smoke else int(os.environ.get(MODELS, "1000000"))
    names = os.environ.get(DATABASES, "sqlite,postgresql").split(",")
    with tempfile.TemporaryDirectory(prefix="mm-") as scratch:
        file = Path(scratch) / "records.ndjson"
        with file.open("wb") as stream:
            write(stream, models, models // 20)
        for name in names:
            with ExitStack() as stack:
                home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mm-")))
                database = stack.enter_context(postgres()) if name == "postgresql" else str(home / "catalog.sqlite")
                yield from _measured(f"{name}, {models} models", database, file, home, models, smoke)


def _measured(case: str, database: str, file: Path, home: Path, models: int, smoke: bool) -> Iterator[Row]:
    records = models + models // 20
    seconds = loaded(database, file, home)
    yield Row(bench="catalog", case=f"{case}: import of {records} records", ours=seconds, unit="s")
    yield Row(
        bench="catalog",
        case=f"{case}: import",
        ours=records / seconds,
        unit="records/s",
        goal=IMPORT,
        more_is_better=True,
    )
    with served(database, home) as (url, pid):
        yield from _discovered(case, url, home, 2 if smoke else 15)
        yield from _asked(case, url, pid, models, smoke)
    several = max(2, min(3, len(os.sched_getaffinity(0)) - 1))
    with served(database, home, processes=several) as (url, _):
        yield from _asked_of_several(f"{case}, {several} processes", url, models, smoke)


def _asked(case: str, url: str, pid: int, models: int, smoke: bool) -> Iterator[Row]:
    seconds = 0.2 if smoke else 10.0
    for each in (single, batch(100), batch(1000)):
        asyncio.run(steadily(url, each, models, 20, 40))
    begun = resident(pid)
    one = asyncio.run(steadily(url, single, models, RATE, int(RATE * seconds)))
    slower = asyncio.run(steadily(url, batch(100), models, 50, int(50 * seconds)))
    thousand = asyncio.run(steadily(url, batch(1000), models, 4, max(4, int(4 * seconds))))
    yield _row(f"{case}: look-up, p99 at 500/s", one, 10)
    yield Row(bench="catalog", case=f"{case}: look-up, median at 500/s", ours=one.median, unit="ms")
    yield _row(f"{case}: batch of 100, p99 at 50/s", slower, 10)
    yield _row(f"{case}: batch of 1,000, p99 at 4/s", thousand, 50)
    yield Row(
        bench="catalog", case=f"{case}: memory after it, by before", ours=resident(pid) / begun, unit="×", goal=FLAT
    )


def _asked_of_several(case: str, url: str, models: int, smoke: bool) -> Iterator[Row]:
    seconds = 0.2 if smoke else 10.0
    for each in (single, batch(100)):
        asyncio.run(steadily(url, each, models, 50, 40 if smoke else 200))
    one = asyncio.run(steadily(url, single, models, RATE, int(RATE * seconds)))
    hundred = asyncio.run(steadily(url, batch(100), models, RATE, int(RATE * seconds)))
    yield _row(f"{case}: look-up, p99 at 500/s", one, 10)
    yield _row(f"{case}: batch of 100, p99 at 500/s", hundred, 10)
    yield Row(bench="catalog", case=f"{case}: batch of 100, median at 500/s", ours=hundred.median, unit="ms")


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
