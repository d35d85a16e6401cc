"""Killed at one instruction or another: the next start goes on, tells each thing once, and pays for nothing twice."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.stories import mirror
from tests.stories.injecting import injecting
from tests.stories.machine import PROGRAM, Machine, Sampler, catalog, record, safetensors, sha256, workflow
from tests.stories.origin import Behaviour, FaultyOrigin, Reply, Request, Thing, held_at

BASE, OTHER = safetensors(5_000_000, 1), safetensors(400_000, 2)
HELD = 4_900_000
FINAL = "checkpoints/base.safetensors"


@dataclass
class Scene:
    machine: Machine
    origin: FaultyOrigin
    release: asyncio.Event
    trace: Path

    @property
    def final(self) -> Path:
        return self.machine.store / FINAL

    @property
    def staging(self) -> Path:
        return self.machine.store / ".model_manager_partial"

    async def almost(self) -> None:
        """Started, and all but the last bytes are here; nothing else moves."""
        self.machine.start()
        await self.machine.until(
            lambda: any(part.stat().st_size > 4_000_000 for part in self.staging.glob("*.part")), "almost all is here"
        )
        await self.machine.until(lambda: bool(mirror.stream(self.machine)), "Redis was told what there is so far")
        await asyncio.sleep(0.5)

    async def killed_at(self, calls: str, *paths: Path, turn: int = 1) -> None:
        """SIGKILL as the machine begins the call, once the last bytes may come."""
        assert self.machine.process is not None
        with injecting(self.machine.process.pid, self.trace, calls, f"signal=SIGKILL:when={turn}", *paths):
            self.release.set()
            assert await self.machine.exited(20) == -signal.SIGKILL

    async def ends_well(self, requests: int = 1) -> None:
        sampler = Sampler(self.machine, {FINAL: {sha256(BASE)}})
        sampler.start()
        self.machine.start()
        await self.machine.until_ready()
        sampler.finish()
        assert self.machine.files()[FINAL] == sha256(BASE)
        assert self.origin.asked["/base.safetensors"] <= requests
        await self.machine.until(lambda: mirror.converged(self.machine), "Redis says what the disk has")
        await asyncio.sleep(0.6)
        insist_told_once(self.machine)
        assert self.machine.leaks() == []


def insist_told_once(machine: Machine) -> None:
    """Each (epoch, seq) once and without a hole after an epoch's first; the model appeared once, and never vanished."""
    entries = mirror.stream(machine)
    places = [(int(entry["epoch"]), int(entry["seq"])) for entry in entries]
    assert places == sorted(places)
    assert max(Counter(places).values()) == 1
    for epoch in {epoch for epoch, _ in places}:
        seqs = [seq for e, seq in places if e == epoch]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    appeared = [
        model["name"]
        for entry in entries
        if entry["kind"] == b"model.appeared"
        for model in json.loads(entry["data"])["models"]
    ]
    assert appeared.count("base.safetensors") == 1
    assert b"model.vanished" not in {entry["kind"] for entry in entries}


def silent_until(release: asyncio.Event) -> Behaviour:
    """No answer before `release`, and then all of it at once."""

    async def behave(request: Request, thing: Thing, reply: Reply) -> None:
        await release.wait()
        await reply.honest(request, thing)

    return behave


@asynccontextmanager
async def scene_in(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine], **environ: str
) -> AsyncIterator[Scene]:
    release = asyncio.Event()
    records = {
        "models": [
            record("base", origin.put("base.safetensors", BASE, held_at(HELD, release)), FINAL, BASE),
            record("other", origin.put("other.safetensors", OTHER), "vae/other.safetensors", OTHER),
        ],
        "workflows": [workflow("flux", "base"), workflow("style", "other")],
    }
    async with catalog(home / "c", records) as url:
        machine = machine_of(url, WORKFLOW_IDS="flux", MODEL_MANAGER_ALLOW_HOSTS=origin.host, **environ)
        yield Scene(machine, origin, release, home / "trace")


@pytest.mark.needs("strace")
async def test_d2_killed_at_the_rename_the_next_start_places_without_the_network(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(home, origin, machine_of) as scene:
        await scene.almost()
        await scene.killed_at("renameat2")
        assert not scene.final.exists()
        await scene.ends_well()


@pytest.mark.needs("strace")
async def test_d2_killed_at_the_rename_of_a_file_that_came_whole_at_once_it_is_not_fetched_again(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(home, origin, machine_of) as scene:
        origin.behaviours["/base.safetensors"] = silent_until(scene.release)
        scene.machine.start()
        await scene.machine.until(lambda: bool(origin.asked["/base.safetensors"]), "it was asked for")
        await scene.killed_at("renameat2")
        assert not scene.final.exists()
        await scene.ends_well()


@pytest.mark.needs("strace")
async def test_d3_killed_between_the_rename_and_its_row_the_model_is_told_once_and_not_fetched_again(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    # The file is young at the next start: it has to settle first, and must not be fetched meanwhile.
    async with scene_in(home, origin, machine_of, MODEL_MANAGER_SETTLE_SECONDS="4") as scene:
        await scene.almost()
        await scene.killed_at("pwrite64", scene.machine.state / "index.sqlite-wal")
        assert sha256(scene.final.read_bytes()) == sha256(BASE)
        await scene.ends_well()


@pytest.mark.needs("strace")
@pytest.mark.parametrize(
    "turn", [1, pytest.param(2, marks=pytest.mark.slow), 3, pytest.param(4, marks=pytest.mark.slow)]
)
async def test_d4_killed_around_the_telling_each_event_is_on_the_stream_once(
    turn: int, home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(home, origin, machine_of) as scene:
        await scene.almost()
        await scene.killed_at("fsync,fdatasync", scene.machine.state / "index.sqlite-wal", turn=turn)
        await scene.ends_well()


@pytest.mark.needs("strace")
@pytest.mark.parametrize("turn", [1, 3])
async def test_d4_killed_as_it_speaks_to_redis_each_event_is_on_the_stream_once(
    turn: int, home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(home, origin, machine_of, MODEL_MANAGER_HEARTBEAT_SECONDS="5") as scene:
        await scene.almost()
        await scene.machine.until(lambda: scene.origin.sent["/base.safetensors"] >= HELD, "only the last bytes lack")
        scene.release.set()
        assert scene.machine.process is not None
        with injecting(scene.machine.process.pid, scene.trace, "sendto", f"signal=SIGKILL:when={turn}"):
            assert await scene.machine.exited(20) == -signal.SIGKILL
        # Killed before the file was finished, its unsynced tail is asked for again.
        await scene.ends_well(requests=1 if scene.final.exists() else 2)


@pytest.mark.needs("strace")
async def test_d5_killed_while_writing_the_readiness_file_readers_see_none_or_a_whole_one(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(home, origin, machine_of) as scene:
        await scene.almost()
        file = scene.machine.state / "ready.json"
        await scene.killed_at("rename,renameat,renameat2", file.with_suffix(".tmp"))
        assert not file.exists()
        await scene.ends_well()
        assert scene.machine.process is not None
        assert json.loads(file.read_bytes())["pid"] == scene.machine.process.pid


async def test_d5_the_readiness_of_a_killed_machine_counts_for_nobody(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(home, origin, machine_of) as scene:
        scene.release.set()
        scene.machine.start()
        file = scene.machine.state / "ready.json"
        await scene.machine.until(file.exists, "it is ready, and has written that down")
        scene.machine.kill()
        await scene.machine.exited()
        assert waits_in_vain(scene.machine)
        scene.final.unlink()
        scene.release.clear()
        scene.machine.start()
        await scene.machine.until(lambda: not file.exists(), "the file of the dead is withdrawn", at_most=10)
        await scene.machine.until(lambda: scene.machine.ask("/ready")[0] == 503, "not ready")
        assert waits_in_vain(scene.machine)
        scene.release.set()
        await scene.machine.until_ready()


def waits_in_vain(machine: Machine) -> bool:
    command = [*PROGRAM, "wait", "--timeout", "1"]
    return subprocess.run(command, env=machine.environment(), capture_output=True, timeout=20).returncode == 75


@pytest.mark.needs("strace")
@pytest.mark.parametrize("turn", [1, 2])
async def test_d6_killed_while_a_wrong_file_makes_way_nothing_is_lost_and_the_right_one_comes(
    turn: int, home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    wrong = safetensors(5_000_000, 9)
    async with scene_in(home, origin, machine_of) as scene:
        scene.final.parent.mkdir(parents=True)
        scene.final.write_bytes(wrong)
        await scene.almost()
        await scene.killed_at("renameat2", turn=turn)
        assert scene.final.exists() == (turn == 1)
        scene.machine.start()
        await scene.machine.until_ready()
        assert scene.machine.files() == {FINAL: sha256(BASE)}
        assert origin.asked["/base.safetensors"] == 1
        kept = list((scene.machine.store / ".model_manager_quarantine").iterdir())
        assert [sha256(path.read_bytes()) for path in kept] == [sha256(wrong)]
        await scene.machine.until(lambda: mirror.converged(scene.machine), "Redis says what the disk has")


@pytest.mark.needs("strace")
async def test_d6_killed_while_the_journal_of_a_placed_file_is_removed_it_is_not_fetched_again(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(home, origin, machine_of) as scene:
        await scene.almost()
        await scene.killed_at("unlink,unlinkat", scene.staging)
        assert scene.final.exists()
        await scene.ends_well()


@pytest.mark.needs("strace")
async def test_d6_killed_in_the_middle_of_a_reload_the_next_start_has_the_new_assignment(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(home, origin, machine_of) as scene:
        scene.release.set()
        scene.machine.start()
        await scene.machine.until_ready()
        assert scene.machine.process is not None
        manifest = scene.machine.state / "model-manifest.json"
        with injecting(
            scene.machine.process.pid,
            scene.trace,
            "rename,renameat",
            "signal=SIGKILL:when=1",
            manifest.with_suffix(".tmp"),
        ):
            (scene.machine.state / "assignment.json").write_text('{"workflows": ["style"]}')
            assert await scene.machine.exited(20) == -signal.SIGKILL
        assert json.loads(manifest.read_bytes())["total_models"] == 1
        await scene.ends_well()
        assert scene.machine.files()["vae/other.safetensors"] == sha256(OTHER)


async def test_d9_what_a_dead_host_left_counts_for_nothing(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(home, origin, machine_of) as scene:
        await scene.almost()
        part = next(scene.staging.glob("*.part"))
        scene.machine.kill()
        await scene.machine.exited()
        state = scene.machine.state
        ready = {
            "ready": True,
            "pid": 1,
            "boot_id": "another",
            "epoch": 1,
            "generation": "",
            "workflows": {"flux": True},
        }
        (state / "ready.json").write_text(json.dumps(ready))
        (state / "ready.tmp").write_text("{")
        (state / "lock").write_text("1\n")
        stale(state / "control.sock")
        await asyncio.to_thread(gone, state / "redis" / "valkey.sock")
        stale(state / "redis" / "valkey.sock")
        # Bytes that nobody vouches for, longer than what the journal knows, and those of a model that nobody wants.
        part.write_bytes(b"\xff" * 4_950_000)
        (scene.staging / "unwanted.safetensors.0123abcd.part").write_bytes(b"old")
        scene.machine.start()
        await scene.machine.until(lambda: scene.machine.ask("/ready")[0] == 503, "it answers, and is not ready")
        assert not (state / "ready.json").exists()
        scene.release.set()
        await scene.machine.until_ready()
        assert scene.machine.files() == {FINAL: sha256(BASE)}
        assert await scene.machine.stop() == 0


def stale(path: Path) -> None:
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))


def gone(server: Path) -> None:
    """Until the server that served the dead has ended too."""
    deadline = time.monotonic() + 10
    while server.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
