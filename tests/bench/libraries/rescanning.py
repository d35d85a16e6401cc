"""A full look at a library in which nothing changed, beside `find` that prints the same facts: the agent's own reconcile, with its
comparison against the index. The best of the rounds counts: whatever else runs here only adds."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from model_manager.agent.holdings.noticing import Noticing
from model_manager.agent.holdings.roots import Roots
from model_manager.library.watching import Watcher
from tests.agent.stage import Stage, stage
from tests.bench.libraries.trees import planted, warm
from tests.bench.row import Row


@dataclass
class Found:
    """Seconds; `lag` and `first_lag` are the longest that the event loop stood still, `step` and `first_step` the most processor
    time that it took in one go: what a machine with nothing else to do would stand still at least."""

    first: float = 0.0
    first_lag: float = 0.0
    ours: list[float] = field(default_factory=list)
    find: list[float] = field(default_factory=list)
    lag: float = 0.0
    first_step: float = 0.0
    step: float = 0.0


def rows(home: Path, smoke: bool) -> Iterator[Row]:
    files, directories, rounds = (2_000, 20, 2) if smoke else (100_000, 1_000, 9)
    planted(home / "models", files, directories, 8)
    found = asyncio.run(_measured(home, files, rounds))
    shutil.rmtree(home / "models")
    ours, find = min(found.ours), min(found.find)
    tree = f"{files:,} files in {directories:,} directories"
    yield Row(bench="library", case=f"unchanged rescan, {tree}", ours=ours, peer=find, unit="s", goal=1.5 * find)
    yield Row(
        bench="library", case="the same", ours=files / ours, peer=files / find, unit="files/s",
        goal=100_000, more_is_better=True,
    )  # fmt: skip
    yield Row(bench="library", case="the same, event loop stands still", ours=found.lag * 1000, unit="ms", goal=50)
    yield Row(bench="library", case=f"first look into rows, {tree}", ours=found.first, unit="s")
    yield Row(
        bench="library", case="the same, event loop stands still", ours=found.first_lag * 1000, unit="ms", goal=50
    )
    case = "the same, most processor time of the event loop in one go"
    yield Row(bench="library", case=case, ours=found.first_step * 1000, unit="ms")


async def _measured(home: Path, files: int, rounds: int) -> Found:
    found = Found()
    async with stage(home) as scene:
        eyes = _eyes(scene)
        async with asyncio.TaskGroup() as group:
            heart = group.create_task(_heartbeat(found))
            found.first = await _timed(eyes)
            heart.cancel()
        found.first_lag, found.lag = found.lag, 0.0
        found.first_step, found.step = found.step, 0.0
        assert len(scene.shelves.held) == files
        scene.board.scanned = True
        warm(scene.store)
        for _ in range(rounds):
            found.find.append(await asyncio.to_thread(_find, scene.store))
            found.ours.append(await _timed(eyes))
        async with asyncio.TaskGroup() as group:
            heart = group.create_task(_heartbeat(found))
            await _timed(eyes)
            heart.cancel()
        assert len(scene.shelves.held) == files
    return found


def _eyes(scene: Stage) -> Noticing:
    return Noticing(scene.board, scene.shelves, Roots([scene.root], scene.index), Watcher([scene.root.path]))


async def _timed(eyes: Noticing) -> float:
    started = time.perf_counter()
    await eyes.reconcile()
    return time.perf_counter() - started


async def _heartbeat(found: Found) -> None:
    while True:
        before, worked = time.perf_counter(), time.thread_time()
        await asyncio.sleep(0.001)
        found.step = max(found.step, time.thread_time() - worked)
        found.lag = max(found.lag, time.perf_counter() - before - 0.001)


def _find(directory: Path) -> float:
    started = time.perf_counter()
    subprocess.run(["find", str(directory), "-printf", "%s %T@ %i %p\n"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started
