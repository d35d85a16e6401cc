"""Models on a file server, mounted for real: it is polled, it hangs, it goes away, and it is slow."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from model_manager.library.devices import device_of
from model_manager.library.filesystems import identity
from model_manager.settings import load
from model_manager.workbench.run import workbench
from tests.stories.machine import Machine, catalog, sha256
from tests.stories.nas import hang, served
from tests.workbench.making import put

pytestmark = pytest.mark.needs("fuse")

EMPTY = {"models": [], "workflows": []}


async def track(machine: Machine, directory: Path) -> None:
    async with workbench(load({"MODEL_MANAGER_STATE_DIR": str(machine.state), "MACHINE_ID": "m1"})) as bench:
        await bench.tracking.add(str(directory))


def known(machine: Machine) -> dict[str, str]:
    """Path → SHA-256, or "" of what nobody has read."""
    with closing(sqlite3.connect(f"file:{machine.state}/index.sqlite?mode=ro", uri=True)) as database:
        rows = database.execute(
            "SELECT file, coalesce(sha256, '') FROM location JOIN content ON content.id = location.content_id"
        )
        return dict(rows.fetchall())


async def test_h2_a_file_server_is_polled_says_so_and_what_is_laid_there_is_found(
    home: Path, machine_of: Callable[..., Machine]
) -> None:
    async with catalog(home / "c", EMPTY) as url:
        machine, shelf, point = machine_of(url, MODEL_MANAGER_RECONCILE_SECONDS="3600"), home / "shelf", home / "nas"
        put(shelf, "loras/a.safetensors", 1)
        with served(shelf, point):
            assert device_of(str(point)).kind == "network"
            assert identity(str(point))[1] == ""
            await track(machine, point)
            machine.start()
            await machine.until(lambda: known(machine).get(f"{point}/loras/a.safetensors", "") != "", "it is read")
            await machine.until(lambda: machine.status()["watching"] == "polling", "it polls")
            await machine.until_said("is on a network file system (fuse.sshfs)")
            data = put(shelf, "loras/new/b.safetensors", 2).read_bytes()
            file = f"{point}/loras/new/b.safetensors"
            await machine.until(
                lambda: known(machine).get(file) == sha256(data), "a poll found what nobody told of", 60
            )
            assert await machine.stop() == 0


async def test_c10_a_file_server_that_dies_loses_nothing_and_one_that_comes_back_is_known_again(
    home: Path, machine_of: Callable[..., Machine]
) -> None:
    async with catalog(home / "c", EMPTY) as url:
        machine, shelf, point = machine_of(url), home / "shelf", home / "nas"
        for seed in range(5):
            put(shelf, f"loras/{seed}.safetensors", seed)
        with served(shelf, point) as server:
            await track(machine, point)
            machine.start()
            await machine.until(lambda: len(known(machine)) == 5 and all(known(machine).values()), "all are read")
            before = known(machine)
            server.kill()
            await machine.until(lambda: str(point) in machine.status()["lost_roots"], "it is said to be away")
            assert known(machine) == before
            assert machine.ready()
        with served(shelf, point):
            await machine.until(lambda: machine.status()["lost_roots"] == {}, "it is back")
            await machine.until(lambda: known(machine) == before, "everything is known")
            assert await machine.stop() == 0


async def test_c10_a_file_server_that_hangs_keeps_nobody_from_an_answer_or_from_leaving(
    home: Path, machine_of: Callable[..., Machine]
) -> None:
    async with catalog(home / "c", EMPTY) as url:
        machine, shelf, point = machine_of(url, MODEL_MANAGER_RECONCILE_SECONDS="1"), home / "shelf", home / "nas"
        put(shelf, "loras/a.safetensors", 1)
        put(machine.store, "loras/own.safetensors", 9)
        with served(shelf, point) as server:
            await track(machine, point)
            machine.start()
            await machine.until(lambda: len(known(machine)) == 2 and all(known(machine).values()), "all are read")
            await asyncio.to_thread(hang, server)
            await asyncio.sleep(3)
            begun = time.monotonic()
            for path in ("/ready", "/status"):
                assert await asyncio.to_thread(machine.ask, path)
            assert time.monotonic() - begun < 10
            server.send_signal(signal.SIGCONT)
            put(shelf, "loras/b.safetensors", 2)
            await machine.until(lambda: known(machine).get(f"{point}/loras/b.safetensors", "") != "", "it goes on", 60)
            await asyncio.to_thread(hang, server)
            await asyncio.sleep(3)
            machine.kill(signal.SIGTERM)
            try:
                assert await machine.exited(10) == 0
            finally:
                server.send_signal(signal.SIGCONT)
