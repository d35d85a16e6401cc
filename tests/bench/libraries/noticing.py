"""How soon a change on disk is a row in the index, and what a burst of them costs."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from watchfiles import awatch

from model_manager.agent.clock import Clock
from model_manager.agent.holdings.noticing import Noticing
from model_manager.agent.holdings.roots import Roots
from model_manager.agent.holdings.shelves import Shelves
from model_manager.facts.event import ModelAppeared
from model_manager.library.watching import Watcher
from tests.agent.stage import stage, until
from tests.bench.row import Row
from tests.stories.machine import Machine, catalog, peak_memory, safetensors

SETTLE = 0.1
"""Seconds that a file rests before it is taken up."""

PAUSE = 0.06
"""Seconds between two changes: each is told alone."""

RECONCILE = 30


def rows(home: Path, smoke: bool) -> Iterator[Row]:
    samples, files = (10, 300) if smoke else (300, 20_000)
    ours = asyncio.run(_ours(home / "ours", samples))
    peer = asyncio.run(_bare(home / "bare", samples))
    case = "file change to row in the index, beyond the settle time"
    yield Row(
        bench="library", case=f"{case}, p99 (bare watchfiles)", ours=_p99(ours), peer=_p99(peer), unit="ms", goal=100
    )
    yield Row(
        bench="library", case="the same, median", ours=statistics.median(ours), peer=statistics.median(peer), unit="ms"
    )
    yield from asyncio.run(_burst(home / "burst", files))


def _p99(values: list[float]) -> float:
    return sorted(values)[round(0.99 * (len(values) - 1))]


async def _ours(home: Path, samples: int) -> list[float]:
    home.mkdir()
    async with stage(home, MODEL_MANAGER_SETTLE_SECONDS=str(SETTLE)) as scene:
        scene.board.clock = Clock()
        roots = Roots([scene.root], scene.index)
        eyes = Noticing(scene.board, scene.shelves, roots, Watcher([scene.root.path]))
        folder = scene.store / "loras"
        folder.mkdir()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(eyes.run())
            await until(lambda: scene.board.watch_mode == "inotify")
            told: dict[str, float] = {}
            hearing = group.create_task(_hear(scene.shelves, told))
            put = await _put(folder, samples, lambda: len(told))
            running.cancel()
            hearing.cancel()
    return [1000 * (told[path] - at - SETTLE) for path, at in put.items()]


async def _hear(shelves: Shelves, told: dict[str, float]) -> None:
    with shelves.listening() as queue:
        while envelopes := await queue.get():
            now = time.monotonic()
            for envelope in envelopes:
                if isinstance(envelope.event, ModelAppeared):
                    told |= dict.fromkeys((entry.path for entry in envelope.event.models), now)


async def _bare(home: Path, samples: int) -> list[float]:
    home.mkdir()
    told: dict[str, float] = {}
    stop = asyncio.Event()

    async def hear() -> None:
        async for changes in awatch(home, stop_event=stop):
            now = time.monotonic()
            for _, path in changes:
                told.setdefault(path, now)

    async with asyncio.TaskGroup() as group:
        group.create_task(hear())
        await asyncio.sleep(1)
        put = await _put(home, samples, lambda: len(told))
        stop.set()
    return [1000 * (told[path] - at) for path, at in put.items()]


async def _put(folder: Path, samples: int, heard: Callable[[], int]) -> dict[str, float]:
    """Files, one after the other: path → when it was complete. Returns when all were heard of."""
    at: dict[str, float] = {}
    for number in range(samples):
        path = folder / f"{number}.safetensors"
        path.write_bytes(b"x" * 1000)
        at[str(path)] = time.monotonic()
        await asyncio.sleep(PAUSE)
    await until(lambda: heard() == samples)
    return at


async def _burst(home: Path, files: int) -> list[Row]:
    """The whole agent, while somebody copies thousands of files at once."""
    async with catalog(home / "c", {}) as url:
        machine = Machine(home / "m", url, {"MODEL_MANAGER_RECONCILE_SECONDS": str(RECONCILE)})
        try:
            machine.start()
            await machine.until_ready()
            await machine.until_said("watching the model directories")
            return await _bursting(machine, files)
        finally:
            machine.end()


async def _bursting(machine: Machine, files: int) -> list[Row]:
    assert machine.process is not None
    before = peak_memory(machine.process.pid)
    await asyncio.to_thread(_fill, machine.store, files)
    done = time.monotonic()
    with suppress(AssertionError):
        await machine.until(lambda: _known(machine) == files, "every file is known", RECONCILE)
    seconds = time.monotonic() - done
    missing, grown = files - _known(machine), peak_memory(machine.process.pid) - before
    case = f"{files:,} files created in a burst"
    return [
        Row(bench="library", case=f"{case}: missing after one reconcile", ours=missing, unit="files", goal=0),
        Row(bench="library", case=f"{case}: all known after the last", ours=seconds, unit="s", goal=RECONCILE),
        Row(bench="library", case=f"{case}: memory grows by", ours=grown / 2**20, unit="MiB", goal=150),
    ]


def _known(machine: Machine) -> int:
    return int(machine.status()["inventory"]["models"])


def _fill(store: Path, files: int) -> None:
    content = safetensors(1000)
    for number in range(files):
        folder = store / f"loras/set{number % 20}"
        if number < 20:
            folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.safetensors").write_bytes(content)
