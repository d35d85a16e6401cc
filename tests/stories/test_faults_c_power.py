"""The power goes at any instant: what has its name is whole, the index is sound, and the next start goes on from there."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.stories import mirror
from tests.stories.machine import Machine, Sampler, catalog, record, safetensors, sha256, workflow
from tests.stories.origin import FaultyOrigin, paced
from tests.stories.volumes import cut, ext4, mounted

DATA = {f"m{number}": safetensors(400_000 + 1_300_000 * number, number) for number in range(4)}
RIGHT = {f"checkpoints/{name}.safetensors": sha256(data) for name, data in DATA.items()}


def stock(origin: FaultyOrigin) -> dict[str, object]:
    return {
        "models": [
            record(name, origin.put(f"{name}.safetensors", data, paced(0.01)), f"checkpoints/{name}.safetensors", data)
            for name, data in DATA.items()
        ],
        "workflows": [workflow("flux", *DATA)],
    }


@pytest.mark.needs("loop")
@pytest.mark.parametrize(
    ("cuts", "restarts"), [(5, 2), pytest.param(100, 20, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
async def test_c8_after_a_power_cut_at_any_instant_finals_are_whole_and_the_machine_goes_on(
    cuts: int, restarts: int, home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with catalog(home / "c", stock(origin)) as url:
        machine = machine_of(url, WORKFLOW_IDS="flux", MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        copies: list[Path] = []
        while len(copies) < cuts:
            copies += await cut_during_one_life(machine, home, cuts - len(copies), len(copies))
        for copy in copies:
            insist_whole(copy, home / "look")
        for copy in random.sample(copies, restarts):
            await goes_on(copy, machine, origin)
            copy.unlink()


async def cut_during_one_life(machine: Machine, home: Path, wanted: int, number: int) -> list[Path]:
    """Images of the machine's disk at random instants between its start and a moment after it is ready."""
    copies = []
    image = home / f"image{number}"
    with ext4(image, machine.directory, 64):
        machine.start()
        for _ in range(min(wanted, 25)):
            await asyncio.sleep(random.uniform(0, 0.5 if wanted < 25 else 0.15))
            copies.append(home / f"cut{number + len(copies)}")
            await asyncio.to_thread(cut, image, copies[-1])
        machine.end()
    return copies


def insist_whole(copy: Path, point: Path) -> None:
    with mounted(copy, point):
        there = Machine(point, "").files()
        assert there.items() <= RIGHT.items()
        index = point / "state" / "index.sqlite"
        if index.exists() and index.stat().st_size:
            with closing(sqlite3.connect(index)) as database:
                assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                rows = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
                held = database.execute("SELECT file FROM held").fetchall() if rows else []
            # What the index says was synced before it said so.
            assert {str(Path(file).relative_to(Path(file).parents[1])) for (file,) in held} <= there.keys()


async def goes_on(copy: Path, machine: Machine, origin: FaultyOrigin) -> None:
    with mounted(copy, machine.directory):
        before = set(machine.files())
        asked = dict(origin.asked)
        sampler = Sampler(machine, {name: {digest} for name, digest in RIGHT.items()})
        sampler.start()
        machine.start()
        await machine.until_ready()
        assert machine.files() == RIGHT
        sampler.finish()
        again = {f"/{Path(name).name}" for name in before}
        assert not {path for path in again if origin.asked[path] != asked.get(path, 0)}
        await machine.until(lambda: mirror.converged(machine), "Redis says what the disk has")
        assert machine.log().count("Traceback") == 0
        machine.end()
