"""Others change the directories: whatever the watcher missed, index, Redis and disk agree again, and nothing half is indexed."""

from __future__ import annotations

import asyncio
import mmap
import os
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_manager.facts import wire
from model_manager.facts.event import ModelAppeared, ModelChanged, ModelVanished
from tests.stories.machine import Machine, catalog, peak_memory, record, safetensors, sha256, workflow
from tests.stories.mirror import converged, stream
from tests.stories.origin import FaultyOrigin

ONE = safetensors(60_000, 1)
SEVERAL = {f"{n}.safetensors": safetensors(50_000 + n, n) for n in range(3)}
ROOM = 300_000_000
"""Bytes that the agent may ever have resident."""

BURST = 350_000_000
"""The same, when 20,000 files come or go at once: it has a few copies of them for a moment."""


def shop(origin: FaultyOrigin) -> dict[str, object]:
    return {
        "models": [record("one", origin.put("one.safetensors", ONE), "vae/one.safetensors", ONE)],
        "workflows": [workflow("flux", "one")],
    }


def events(machine: Machine) -> list[Any]:
    return [wire.unpack(entry["kind"].decode(), entry["data"]) for entry in stream(machine)]


def told(machine: Machine, kind: type, name: str) -> list[Any]:
    """Entries of that kind of event whose file has this name, in order."""
    return [item for event in events(machine) if isinstance(event, kind) for item in event.models if item.name == name]


def held(machine: Machine) -> int:
    return int(machine.status()["inventory"]["models"])


async def agrees(machine: Machine) -> None:
    await machine.until(
        lambda: machine.status()["inventory"]["unhashed"] == 0 and converged(machine), "Redis says what the disk has"
    )


def fill(directory: Path, count: int) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        with open(directory / f"{n}.safetensors", "xb") as file:
            file.write(b"x")


async def test_h1_after_an_overflow_index_and_disk_agree_within_a_reconcile(
    home: Path, machine_of: Callable[..., Machine]
) -> None:
    """20,000 creations and removals while it sleeps: more than the kernel's queue holds (16,384)."""
    async with catalog(home / "c", {}) as url:
        machine = machine_of(url)
        machine.start()
        await machine.until_ready()
        await machine.until_said("watching the model directories")
        machine.kill(signal.SIGSTOP)
        await asyncio.to_thread(fill, machine.store / "vae", 20_000)
        machine.kill(signal.SIGCONT)
        await machine.until(lambda: held(machine) == 20_000, "every creation is known")
        machine.kill(signal.SIGSTOP)
        for n in range(19_990):
            (machine.store / f"vae/{n}.safetensors").unlink()
        machine.kill(signal.SIGCONT)
        await machine.until(lambda: held(machine) == 10, "every removal is known")
        await agrees(machine)
        assert machine.process is not None
        assert peak_memory(machine.process.pid) < BURST


async def test_h3_nothing_is_indexed_while_it_grows_and_the_final_hash_is_right(
    home: Path, machine_of: Callable[..., Machine]
) -> None:
    whole = safetensors(2_000_000, 7)
    async with catalog(home / "c", {}) as url:
        machine = machine_of(url, MODEL_MANAGER_SETTLE_SECONDS="0.5")
        vae = machine.store / "vae"
        vae.mkdir(parents=True)
        (vae / "edited.safetensors").write_bytes(whole)
        machine.start()
        await machine.until_ready()
        await agrees(machine)
        for start in range(0, len(whole), 100_000):
            for name in ("slow.safetensors", ".rsynced.safetensors.Xy12Za"):
                with (vae / name).open("ab") as file:
                    file.write(whole[start : start + 100_000])
            await asyncio.sleep(0.1)
        (vae / ".rsynced.safetensors.Xy12Za").rename(vae / "rsynced.safetensors")
        os.link(vae / "slow.safetensors", vae / "linked.safetensors")
        edit_in_place(vae / "edited.safetensors")
        await machine.until(lambda: held(machine) == 4, "all are known")
        await agrees(machine)
        for name in ("slow.safetensors", "rsynced.safetensors", "linked.safetensors"):
            sizes = {item.size for kind in (ModelAppeared, ModelChanged) for item in told(machine, kind, name)}
            assert sizes == {len(whole)}, name
        hashes = [item.hash for item in told(machine, ModelChanged, "edited.safetensors") if item.hash]
        assert hashes[-1] == sha256((vae / "edited.safetensors").read_bytes())
        names = {item.name for event in events(machine) if isinstance(event, ModelAppeared) for item in event.models}
        assert names == {"edited.safetensors", "slow.safetensors", "rsynced.safetensors", "linked.safetensors"}


def edit_in_place(path: Path) -> None:
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[1000:1010] = b"edited now"
        memory.flush()


async def test_h4_a_tree_that_moves_leaves_and_appears_once_and_costs_no_download(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with catalog(home / "c", shop(origin)) as url:
        machine = machine_of(
            url, WORKFLOW_IDS="flux", MODEL_MANAGER_ALLOW_HOSTS=origin.host, MODEL_MANAGER_RECONCILE_SECONDS="3600"
        )
        deep = machine.store / "loras/deep"
        deep.mkdir(parents=True)
        for name, data in SEVERAL.items():
            (deep / name).write_bytes(data)
        machine.start()
        await machine.until_ready()
        await machine.until_said("watching the model directories")
        await agrees(machine)
        (machine.store / "embeddings").mkdir()
        deep.rename(machine.store / "embeddings/moved")
        await machine.until(
            lambda: set(machine.files()) == {"vae/one.safetensors", *(f"embeddings/moved/{name}" for name in SEVERAL)},
            "moved",
        )
        await agrees(machine)
        for name, data in SEVERAL.items():
            assert len(told(machine, ModelVanished, f"deep/{name}")) == 1
            (appeared,) = told(machine, ModelAppeared, f"moved/{name}")
            assert appeared.hash == sha256(data), "it was not read again"


async def test_h4_a_root_that_goes_and_comes_back_loses_nothing_and_is_watched_again(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with catalog(home / "c", shop(origin)) as url:
        machine = machine_of(
            url, WORKFLOW_IDS="flux", MODEL_MANAGER_ALLOW_HOSTS=origin.host, MODEL_MANAGER_RECONCILE_SECONDS="3600"
        )
        machine.start()
        await machine.until_ready()
        await machine.until_said("watching the model directories")
        await agrees(machine)
        aside = home / "aside"
        machine.store.rename(aside)
        machine.store.mkdir()
        await machine.until(lambda: not machine.ready(), "not ready", 5)
        await machine.until(lambda: str(machine.store) in machine.status()["lost_roots"], "it is said to be away")
        await asyncio.sleep(1)
        assert [*machine.store.iterdir()] == []
        assert held(machine) == 1
        machine.store.rmdir()
        aside.rename(machine.store)
        await machine.until_ready()
        assert not [event for event in events(machine) if isinstance(event, ModelVanished)]
        assert origin.sent["/one.safetensors"] == len(ONE)
        (machine.store / "vae/new.safetensors").write_bytes(SEVERAL["1.safetensors"])
        await machine.until(lambda: held(machine) == 2, "the watch was armed again", 10)
        await agrees(machine)


@pytest.mark.needs("root")
async def test_h6_strange_entries_end_no_scan_and_hang_nobody(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with catalog(home / "c", shop(origin)) as url:
        machine = machine_of(url, WORKFLOW_IDS="flux", MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        strange = machine.store / "vae"
        strange.mkdir(parents=True)
        before_the_start(strange)
        machine.start()
        await machine.until_ready()
        os.mkfifo(strange / "later.safetensors")
        (strange / "loop-later").symlink_to(machine.store)
        (strange / "closed").chmod(0o000)
        (strange / "real.safetensors").write_bytes(SEVERAL["0.safetensors"])
        await machine.until(lambda: held(machine) >= 2, "what is a file is known")
        await machine.until(lambda: machine.status()["inventory"]["unhashed"] == 0, "and was read")
        assert machine.ready()
        assert {name for name in machine.files() if "loop" not in name} == {
            "vae/one.safetensors",
            "vae/real.safetensors",
        }
        assert await machine.stop() == 0


def before_the_start(directory: Path) -> None:
    os.mkfifo(directory / "fifo.safetensors")
    os.mknod(directory / "device.safetensors", 0o666 | 0o020000, os.makedev(1, 5))
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(directory)
        listener.bind("socket.safetensors")
        os.chdir(here)
    (directory / "loop").symlink_to(directory)
    (directory / "nowhere.safetensors").symlink_to(directory / "missing.safetensors")
    (directory / "self.safetensors").symlink_to(directory / "self.safetensors")
    (directory / "dir.safetensors").mkdir()
    (directory / "closed").mkdir()
    (directory / ".hidden.safetensors").write_bytes(b"x")


@pytest.mark.slow
async def test_h6_a_hundred_thousand_files_in_a_thousand_directories_are_indexed_and_watched_in_bounded_memory(
    home: Path, machine_of: Callable[..., Machine]
) -> None:
    async with catalog(home / "c", {}) as url:
        machine = machine_of(url, MODEL_MANAGER_RECONCILE_SECONDS="3600")
        loras = machine.store / "loras"
        for number in range(1000):
            await asyncio.to_thread(fill, loras / str(number), 100)
        machine.start()
        await machine.until(lambda: held(machine) == 100_000, "all are known", 60)
        await machine.until_said("watching the model directories")
        (loras / "999" / "new.safetensors").write_bytes(b"x")
        await machine.until(lambda: held(machine) == 100_001, "a new one in the last directory is known", 10)
        (loras / "500").rename(machine.store / "vae")
        (loras / "501" / "7.safetensors").unlink()
        await machine.until(lambda: held(machine) == 100_000, "a directory moved and one file left", 10)
        assert machine.process is not None
        assert peak_memory(machine.process.pid) < 2 * ROOM
        shutil.rmtree(loras)
        await machine.until(lambda: held(machine) == 100, "all that did not move are gone", 60)
