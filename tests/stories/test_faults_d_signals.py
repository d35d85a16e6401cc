"""Signals in every phase: we leave before a supervisor's patience ends, and take nothing with us that was paid for."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.stories.injecting import injecting
from tests.stories.machine import Machine, catalog, record, safetensors, sha256, workflow
from tests.stories.origin import CHUNK, FaultyOrigin, Reply, Request, Thing, held_at

BASE = safetensors(6_000_000, 1)
HELD = 5_000_000
KILL_TIMEOUT = 8
"""Seconds. It leaves within 1.3, whatever hangs, for PM2 sends SIGKILL after 1.6 unless it is told otherwise; a host that runs
other tests beside it may see that later."""


@dataclass
class Scene:
    machine: Machine
    origin: FaultyOrigin
    release: asyncio.Event

    @property
    def part(self) -> int:
        """Bytes of the unfinished file on disk."""
        return sum(path.stat().st_size for path in self.machine.store.glob(".model_manager_partial/*.part"))


Phase = Callable[[Scene], Awaitable[None]]


async def starting(scene: Scene) -> None:
    await scene.machine.until(lambda: (scene.machine.state / "lock").exists(), "the lock is taken")


async def resolving(scene: Scene) -> None:
    await scene.machine.until(lambda: scene.origin.asked["/base.safetensors"] == 1, "the origin was asked")


async def fetching(scene: Scene) -> None:
    await scene.machine.until(lambda: scene.part > 1_000_000, "bytes are on the disk")


async def waiting(scene: Scene) -> None:
    await scene.machine.until_said("download interrupted")


async def hashing(scene: Scene) -> None:
    await scene.machine.until(
        lambda: bool(scene.machine.status()["inventory"]["hashing"]), "a large file is being read"
    )


async def opened(scene: Scene) -> None:
    scene.release.set()
    await scene.machine.until_ready()


async def mute(request: Request, thing: Thing, reply: Reply) -> None:
    while not reply.writer.transport.is_closing():
        await asyncio.sleep(0.01)


async def busy(request: Request, thing: Thing, reply: Reply) -> None:
    await reply.head(503, {"Content-Length": "0"})


@asynccontextmanager
async def scene_in(
    phase: Phase, home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> AsyncIterator[Scene]:
    release = asyncio.Event()
    behaviours: Mapping[Phase, Any] = {resolving: mute, waiting: busy}
    address = origin.put("base.safetensors", BASE, behaviours.get(phase, held_at(HELD, release)))
    records = {
        "models": [record("base", address, "checkpoints/base.safetensors", BASE)],
        "workflows": [workflow("flux", "base")],
    }
    async with catalog(home / "c", records) as url:
        machine = machine_of(url, WORKFLOW_IDS="flux", MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        if phase is hashing:
            large = machine.store / "checkpoints" / "large.safetensors"
            large.parent.mkdir(parents=True)
            with large.open("wb") as file:
                file.truncate(20_000_000_000)
        machine.start()
        scene = Scene(machine, origin, release)
        await phase(scene)
        yield scene


async def left_in_time(scene: Scene) -> int:
    code = await scene.machine.exited(KILL_TIMEOUT)
    assert not (scene.machine.state / "ready.json").exists()
    return code


PHASES = [starting, resolving, fetching, waiting, hashing, opened]


@pytest.mark.parametrize(
    ("phase", "number"),
    [(phase, signal.SIGINT) for phase in PHASES] + [(phase, signal.SIGTERM) for phase in (starting, fetching, opened)],
    ids=lambda each: str(getattr(each, "name", getattr(each, "__name__", each))),
)
async def test_d8_it_leaves_in_time_in_every_phase(
    phase: Phase, number: int, home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(phase, home, origin, machine_of) as scene:
        scene.machine.kill(number)
        assert await left_in_time(scene) == 0
        assert scene.machine.leaks() == []


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: str(phase.__name__))
async def test_d8_a_hangup_only_reloads_in_every_phase(
    phase: Phase, home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(phase, home, origin, machine_of) as scene:
        scene.machine.kill(signal.SIGHUP)
        if phase is not starting:
            await scene.machine.until_said("settings read again")
        await scene.machine.until(lambda: bool(scene.machine.status()), "it answers")
        if phase is opened:
            assert scene.machine.ready()
            assert scene.origin.asked["/base.safetensors"] == 1


async def test_d8_a_second_interrupt_changes_nothing(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(fetching, home, origin, machine_of) as scene:
        for _ in range(3):
            scene.machine.kill(signal.SIGINT)
            await asyncio.sleep(0.02)
        assert await left_in_time(scene) == 0
        assert scene.part > 1_000_000


async def test_d8_what_was_fetched_is_kept_and_not_fetched_again(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(fetching, home, origin, machine_of) as scene:
        kept = scene.part
        scene.machine.kill(signal.SIGTERM)
        await left_in_time(scene)
        assert scene.part >= kept
        scene.release.set()
        scene.machine.start()
        await scene.machine.until_ready()
        assert scene.machine.files() == {"checkpoints/base.safetensors": sha256(BASE)}
        assert (
            origin.sent["/base.safetensors"] <= len(BASE) + HELD - kept + CHUNK
        )  # one may be written to a closed socket
        assert [request.start for request in origin.seen][-1] >= kept


async def test_d8_a_listener_of_events_does_not_hold_it(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(opened, home, origin, machine_of) as scene:
        with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as silent:
            listener.connect(str(scene.machine.socket))
            listener.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            assert listener.recv(100)
            silent.connect(str(scene.machine.socket))
            silent.sendall(b"GET /rea")
            scene.machine.kill(signal.SIGTERM)
            assert await left_in_time(scene) == 0


async def test_d8_a_hung_server_does_not_hold_it(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(opened, home, origin, machine_of) as scene:
        child = child_of(scene.machine)
        os.kill(child, signal.SIGSTOP)
        try:
            scene.machine.kill(signal.SIGTERM)
            assert await left_in_time(scene) == 0
        finally:
            os.kill(child, signal.SIGKILL)


async def test_d8_a_locked_index_does_not_hold_it(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(opened, home, origin, machine_of) as scene:
        with closing(sqlite3.connect(scene.machine.state / "index.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            scene.machine.kill(signal.SIGTERM)
            assert await left_in_time(scene) == 0


@pytest.mark.needs("strace")
async def test_d8_a_disk_that_hangs_in_a_sync_does_not_hold_it(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(fetching, home, origin, machine_of) as scene:
        assert scene.machine.process is not None
        with injecting(scene.machine.process.pid, home / "trace", "fsync,fdatasync", "delay_enter=30000000") as slow:
            scene.machine.kill(signal.SIGTERM)
            await asyncio.sleep(KILL_TIMEOUT)
            assert slow.left
        assert await scene.machine.exited(20) == 0
        scene.release.set()
        scene.machine.start()
        await scene.machine.until_ready()
        assert scene.machine.files() == {"checkpoints/base.safetensors": sha256(BASE)}


def child_of(machine: Machine) -> int:
    assert machine.process is not None
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        text = Path(f"/proc/{machine.process.pid}/task/{machine.process.pid}/children").read_text()
        if text.split():
            return int(text.split()[0])
        time.sleep(0.05)
    raise AssertionError("it has no child")
