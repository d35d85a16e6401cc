"""The catalog with a million models and fifty thousand workflows, in SQLite and in PostgreSQL, asked by a second process.

Look-ups, batches and an agent's whole discovery, memory, and the import. No package of ours or of the registries serves such a
catalog; beside the batches stands a bare server that computes nothing, for what the load itself takes.
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
from tests.bench.cataloguing.asking import authorization, batch, listed, single, steadily
from tests.bench.cataloguing.records import workflow_name, write
from tests.bench.cataloguing.server import (
    Held,
    all_there,
    answering,
    doctored,
    forgotten,
    loaded,
    postgres,
    resident,
    served,
    settled,
)
from tests.bench.cataloguing.windows import Asked, Question, asked
from tests.bench.row import Row

MODELS = "MM_BENCH_CATALOG_MODELS"
DATABASES = "MM_BENCH_CATALOG_DATABASES"
HOME = "MM_BENCH_CATALOG_HOME"
"""A directory in which the filled databases stay: whoever measures again has no import to wait for, and gets no row of one."""

FILLED = "filled"
RATE = 500.0
LOOK_UP = Question("look-up", single, RATE, 10)
WORKFLOWS = 20
SETTLED = 15.0
"""Milliseconds that a second's 99th percentile may be where the file lies in memory."""

NEVER = 60
"""Seconds after which nobody waits for that any longer."""

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
            file = (kept or home) / "catalog.sqlite"
            held = stack.enter_context(postgres(kept)) if name == "postgresql" else Held(str(file), file)
            case = f"{name}, {models} models"
            if kept is None or not (kept / FILLED).exists():
                yield from _imported(case, held.address, home, models)
                if kept is not None:
                    (kept / FILLED).touch()
            settled(held)
            yield from _measured(case, held, home, models, smoke)


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


def _measured(case: str, held: Held, home: Path, models: int, smoke: bool) -> Iterator[Row]:
    database = held.address
    with served(database, home) as (url, pid):
        yield from _discovered(case, url, home, 2 if smoke else 15)
        yield from _asked(case, Asked(url, pid, held.pid), home, models, smoke)
    with served(database, home, processes=SEVERAL) as (url, pid):
        yield from _asked_of_several(f"{case}, {SEVERAL} processes", Asked(url, pid, held.pid), home, models, smoke)
    if held.pid is None and held.files is not None:
        yield from _from_the_disk(f"{case}, {SEVERAL} processes", held.files, home, models, smoke)
    with served(database, home) as (url, _):
        yield from _looked_for(case, url, models, 50 if smoke else 1)
    seconds, memory = doctored(database, home)
    yield Row(bench="catalog", case=f"{case}: the doctor without visits", ours=seconds, unit="s", goal=60)
    yield Row(bench="catalog", case=f"{case}: its memory at most", ours=memory, unit="MiB")


def _looked_for(case: str, url: str, models: int, rate: float) -> Iterator[Row]:
    """The slowest of a few, one after the other."""
    questions = {
        "a name that one model has": (listed("search={}"), 100),
        "a word that all have": (listed("search=model"), 100),
        "a word that none has": (listed("search=x{}"), 100),
        "those that need a token": (listed("auth_only=true"), 100),
        "those of a type": (listed("model_type=loras"), 100),
        "who needs a token, half of all": (authorization, None),
    }
    for what, (make, goal) in questions.items():
        times = asyncio.run(steadily(url, make, models, rate, 5))
        yield Row(bench="catalog", case=f"{case}: {what}, slowest of 5", ours=times.taken[-1], unit="ms", goal=goal)


def _from_the_disk(case: str, file: Path, home: Path, models: int, smoke: bool) -> Iterator[Row]:
    """Batches at once after a start with nothing of the file in memory, a second at a time, until one is as good as any."""
    forgotten(file)
    begun, seconds, first = time.perf_counter(), 0, 0.0
    with answering(str(file), home, processes=SEVERAL) as (url, pid):
        asyncio.run(steadily(url, batch(100), models, RATE, 1))
        answered = time.perf_counter() - begun
        all_there(url, pid, SEVERAL)
        ready = time.perf_counter() - begun
        for seconds in range(1, NEVER + 1):
            times = asyncio.run(steadily(url, batch(100), models, RATE, 20 if smoke else int(RATE), seconds))
            first = first or times.p99
            if times.p99 <= SETTLED:
                break
    what = f"{case}: the file not in memory"
    yield Row(bench="catalog", case=f"{what}, start until the first batches are answered", ours=answered, unit="s")
    yield Row(bench="catalog", case=f"{what}, start until all processes answer", ours=ready, unit="s")
    yield Row(bench="catalog", case=f"{what}, batch of 100 at 500/s, p99 of the first second", ours=first, unit="ms")
    yield Row(
        bench="catalog",
        case=f"{what}, first second with a p99 of {SETTLED:g} ms ({NEVER}: none)",
        ours=seconds,
        unit="s",
    )


def _asked(case: str, who: Asked, home: Path, models: int, smoke: bool) -> Iterator[Row]:
    url = who.url
    for each in (single, batch(100), batch(1000)):
        asyncio.run(steadily(url, each, models, 20, 4 if smoke else 40))
    begun = resident(who.pid)
    for question in (
        LOOK_UP,
        Question("batch of 100", batch(100), 50, 10),
        Question("batch of 1,000", batch(1000), 10, 50),
    ):
        yield from asked(case, who, home, models, question, smoke=smoke)
    yield Row(
        bench="catalog", case=f"{case}: memory after it, by before", ours=resident(who.pid) / begun, unit="×", goal=FLAT
    )


def _asked_of_several(case: str, who: Asked, home: Path, models: int, smoke: bool) -> Iterator[Row]:
    for question in (LOOK_UP, Question("batch of 100", batch(100), RATE, 10)):
        yield from asked(case, who, home, models, question, smoke=smoke)


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
