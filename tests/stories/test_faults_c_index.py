"""The index is lost, damaged or locked: the disk is the truth, nothing is fetched again, nobody exits in a loop."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from tests.stories import mirror
from tests.stories.machine import Machine, catalog, record, safetensors, sha256, workflow
from tests.stories.origin import FaultyOrigin

PINNED, BARE = safetensors(700_000, 1), safetensors(500_000, 2)
RIGHT = {"checkpoints/pinned.safetensors": sha256(PINNED), "vae/bare.safetensors": sha256(BARE)}


@asynccontextmanager
async def opened(home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]) -> AsyncIterator[Machine]:
    """A machine that is ready, and told Redis so."""
    records = {
        "models": [
            record("pinned", origin.put("pinned.safetensors", PINNED), "checkpoints/pinned.safetensors", PINNED),
            record("bare", origin.put("bare.safetensors", BARE), "vae/bare.safetensors"),
        ],
        "workflows": [workflow("flux", "pinned", "bare")],
    }
    async with catalog(home / "c", records) as url:
        machine = machine_of(url, WORKFLOW_IDS="flux", MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        machine.start()
        await machine.until_ready()
        await machine.until(lambda: mirror.converged(machine), "Redis says what the disk has")
        yield machine


async def as_before(machine: Machine, origin: FaultyOrigin) -> None:
    await machine.until_ready()
    await machine.until(lambda: mirror.converged(machine), "Redis says what the disk has")
    assert machine.files() == RIGHT
    assert dict(origin.asked) == {"/pinned.safetensors": 1, "/bare.safetensors": 1}
    assert machine.leaks() == []


def delete(index: Path) -> None:
    for path in index.parent.glob("index.sqlite*"):
        path.unlink()


def spoil(index: Path) -> None:
    index.write_bytes(os.urandom(40_000))


def halve(index: Path) -> None:
    os.truncate(index, index.stat().st_size // 2)


def lose_log(index: Path) -> None:
    for name in ("index.sqlite-wal", "index.sqlite-shm"):
        (index.parent / name).unlink(missing_ok=True)


@pytest.mark.parametrize("damage", [delete, spoil, halve, lose_log], ids=lambda damage: str(damage.__name__))
async def test_c11_a_lost_index_is_rebuilt_from_the_disk_without_a_download(
    damage: Callable[[Path], None], home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with opened(home, origin, machine_of) as machine:
        machine.kill()
        await machine.exited()
        damage(machine.state / "index.sqlite")
        machine.start()
        await as_before(machine, origin)
        vanished = [entry for entry in mirror.stream(machine) if entry["kind"] == b"model.vanished"]
        assert vanished == []


async def test_c11_an_index_that_is_deleted_under_a_running_machine_does_no_harm(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with opened(home, origin, machine_of) as machine:
        delete(machine.state / "index.sqlite")
        extra = machine.store / "loras" / "extra.safetensors"
        extra.parent.mkdir()
        extra.write_bytes(BARE)
        await machine.until(lambda: mirror.converged(machine), "the new file is told")
        extra.unlink()
        await machine.until(lambda: mirror.converged(machine), "its end is told")
        assert await machine.stop() == 0
        machine.start()
        await as_before(machine, origin)


@pytest.mark.parametrize("seconds", [3, pytest.param(16, marks=pytest.mark.slow)])
async def test_c11_an_index_that_another_process_locks_is_waited_for_and_readiness_stays_true_to_the_disk(
    seconds: int, home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with opened(home, origin, machine_of) as machine:
        with closing(sqlite3.connect(machine.state / "index.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            until = time.monotonic() + seconds
            # A change that cannot be told comes first; the gate must still see the second.
            aside = machine.store / "vae" / "aside.txt"
            (machine.store / "vae" / "bare.safetensors").rename(aside)
            await machine.until(lambda: not machine.ready(), "the gate is closed", at_most=5)
            aside.rename(machine.store / "vae" / "bare.safetensors")
            await machine.until(machine.ready, "the gate is open again", at_most=5)
            (machine.store / "vae" / "bare.safetensors").rename(aside)
            await machine.until(lambda: not machine.ready(), "the gate is closed again", at_most=5)
            aside.rename(machine.store / "vae" / "bare.safetensors")
            await asyncio.sleep(max(0.0, until - time.monotonic()))
            assert machine.process is not None
            assert machine.process.poll() is None
            other.execute("ROLLBACK")
        await machine.until_ready()
        await machine.until(lambda: mirror.converged(machine), "Redis says what the disk has")
        assert machine.files() == RIGHT


async def test_c11_an_index_that_is_locked_at_the_start_is_waited_for(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with opened(home, origin, machine_of) as machine:
        await machine.stop()
        with closing(sqlite3.connect(machine.state / "index.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            machine.start()
            await asyncio.sleep(2)
            assert machine.process is not None
            assert machine.process.poll() is None
            other.execute("ROLLBACK")
        await as_before(machine, origin)


async def test_c11_an_index_that_is_damaged_under_a_running_machine_is_made_anew_by_it(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with opened(home, origin, machine_of) as machine:
        process = machine.process
        overwrite(machine.state / "index.sqlite")
        extra = machine.store / "loras" / "extra.safetensors"
        extra.parent.mkdir()
        extra.write_bytes(BARE)
        await machine.until(
            lambda: list(machine.state.glob("index.sqlite.corrupt-*")), "the damaged index is set aside"
        )
        extra.unlink()
        await as_before(machine, origin)
        assert machine.process is process
        assert process is not None
        assert process.poll() is None
        assert await machine.stop() == 0


def overwrite(index: Path) -> None:
    """What a dying disk or another program does to a file that is in use: every page, and the log. A change by another
    connection makes the machine read its pages anew."""
    with closing(sqlite3.connect(index, isolation_level=None)) as other:
        other.execute("INSERT INTO note (key, value) VALUES ('of', 'another')")
    for path in (index, Path(f"{index}-wal")):
        with path.open("r+b") as file:
            size = path.stat().st_size
            file.write(b"\xaa" * size)
