"""The disk fails under a running machine: it fills up, will not sync, will not rename, hangs, turns read-only, goes away."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.stories import mirror
from tests.stories.injecting import injecting, injecting_once
from tests.stories.machine import Machine, Sampler, catalog, record, safetensors, sha256, workflow
from tests.stories.origin import Behaviour, FaultyOrigin, Reply, Request, Thing, held_at
from tests.stories.volumes import Balloon, break_down, ext4, mount, tmpfs, unmount

SMALL, LARGE = safetensors(500_000, 1), safetensors(9_000_000, 2)
HELD = 5_000_000
NAMES = {"small": "vae/small.safetensors", "large": "checkpoints/large.safetensors"}
RIGHT = {NAMES["small"]: sha256(SMALL), NAMES["large"]: sha256(LARGE)}


@dataclass
class Scene:
    machine: Machine
    origin: FaultyOrigin
    release: asyncio.Event
    sampler: Sampler

    @property
    def pid(self) -> int:
        assert self.machine.process is not None
        return self.machine.process.pid

    @property
    def part(self) -> Path:
        """The unfinished file of the large model."""
        return next(self.machine.store.glob(".model_manager_partial/large*.part"))

    async def fetching(self) -> None:
        """The small model is there, the large one is half here."""
        await self.machine.until(lambda: NAMES["small"] in self.machine.files(), "the small model is there")
        await self.machine.until(lambda: self.part.stat().st_size >= 4_000_000, "the large one is half here")

    async def ends_well(self, *starts: int, at_most: float = 30.0) -> None:
        """What holds after every fault: ready by itself, right bytes only, nothing paid for twice, Redis and logs as they
        should be. `starts`: for each request of the large model, the byte that it may at the earliest begin with."""
        await self.machine.until_ready(at_most)
        self.sampler.finish()
        assert self.machine.files() == RIGHT
        await self.machine.until(lambda: mirror.converged(self.machine), "Redis says what the disk has")
        assert self.machine.leaks() == []
        asked = [request.start for request in self.origin.seen if request.path == "/large.safetensors"]
        assert len(asked) <= len(starts), asked
        assert all(start >= least for start, least in zip(asked, starts, strict=False)), asked


@asynccontextmanager
async def scene_in(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine], behaviour: Behaviour | None = None, **environ: str
) -> AsyncIterator[Scene]:  # fmt: skip
    release = asyncio.Event()
    addresses = {
        "small": origin.put("small.safetensors", SMALL),
        "large": origin.put("large.safetensors", LARGE, behaviour or held_at(HELD, release)),
    }
    records = {
        "models": [
            record(name, address, NAMES[name], data)
            for (name, address), data in zip(addresses.items(), (SMALL, LARGE), strict=True)
        ],
        "workflows": [workflow("flux", "small", "large")],
    }
    async with catalog(home / "c", records) as url:
        machine = machine_of(url, WORKFLOW_IDS="flux", MODEL_MANAGER_ALLOW_HOSTS=origin.host, **environ)
        sampler = Sampler(machine, {name: {digest} for name, digest in RIGHT.items()})
        sampler.start()
        yield Scene(machine, origin, release, sampler)


@pytest.mark.needs("tmpfs")
async def test_c1_a_disk_that_fills_up_pauses_one_download_which_goes_on_when_there_is_space(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    with tmpfs(home / "v", "40m") as volume:
        environ = {"MODEL_MANAGER_STORE": str(volume / "models"), "MODEL_MANAGER_DISK_FLOOR": "0"}
        async with scene_in(home, origin, machine_of, **environ) as scene:
            scene.machine.start()
            await scene.fetching()
            balloon = Balloon(volume)
            balloon.blow()
            scene.release.set()
            await scene.machine.until_said("download interrupted")
            assert not scene.machine.ready()
            assert "free" in scene.machine.log()
            assert scene.machine.files() == {NAMES["small"]: sha256(SMALL)}
            balloon.pop()
            await scene.ends_well(0, 0)  # nothing could be written any more, not even how much is here


@pytest.mark.needs("tmpfs")
async def test_c1_a_full_disk_below_the_state_directory_too_is_outlived(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    with tmpfs(home / "m", "40m") as volume:
        async with scene_in(home, origin, machine_of, MODEL_MANAGER_DISK_FLOOR="0") as scene:
            scene.machine.start()
            await scene.fetching()
            balloon = Balloon(volume)
            balloon.blow()
            scene.release.set()
            await scene.machine.until(lambda: "full" in str(scene.machine.status()["problems"]), "it says so")
            await asyncio.sleep(2)
            assert not scene.machine.ready()
            (scene.machine.store / NAMES["small"]).touch()
            await asyncio.sleep(1)
            balloon.pop()
            await scene.ends_well(0, 0)


@pytest.mark.needs("tmpfs")
async def test_c1_a_machine_that_starts_on_a_full_disk_waits_and_does_not_call_it_a_wrong_setting(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    with tmpfs(home / "v", "40m,nr_inodes=200") as volume:
        store = volume / "models"
        async with scene_in(home, origin, machine_of, MODEL_MANAGER_STORE=str(store)) as scene:
            scene.release.set()
            store.mkdir()
            (store / ".model_manager.lock").touch()
            eaten = volume / "eaten"
            eaten.mkdir()
            with contextlib.suppress(OSError):
                for number in range(300):
                    (eaten / str(number)).touch()
            scene.machine.start()
            await scene.machine.until(lambda: scene.machine.ask("/ready")[0] == 503, "it answers, and is not ready")
            await asyncio.sleep(1)
            shutil.rmtree(eaten)
            await scene.ends_well(0)


@pytest.mark.needs("tmpfs")
async def test_c2_space_eaten_by_another_process_pauses_before_the_floor(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    floor = 4_000_000
    with tmpfs(home / "v", "40m") as volume:
        environ = {"MODEL_MANAGER_STORE": str(volume / "models"), "MODEL_MANAGER_DISK_FLOOR": str(floor)}
        async with scene_in(home, origin, machine_of, **environ) as scene:
            scene.machine.start()
            await scene.fetching()
            balloon = Balloon(volume)
            balloon.blow(leaving=floor + 500_000)
            scene.release.set()
            await scene.machine.until_said("download interrupted")
            assert shutil.disk_usage(volume).free >= floor
            assert not scene.machine.ready()
            transfer = scene.machine.status()["transfers"][0]
            assert "floor" in transfer["why"], transfer
            balloon.pop()
            await scene.ends_well(0, 4_000_000)


@pytest.mark.needs("strace")
async def test_c4_a_file_whose_sync_failed_is_fetched_again_and_never_trusted(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(home, origin, machine_of) as scene:
        scene.machine.start()
        await scene.fetching()
        with injecting_once(scene.pid, home / "trace", "fsync,fdatasync", "error=EIO", scene.part) as fault:
            scene.release.set()
            await scene.machine.until(lambda: fault.hits > 0, "the sync failed")
        await scene.ends_well(0, 0)
        assert scene.origin.asked["/large.safetensors"] == 2
        assert scene.origin.seen[-1].start == 0


@pytest.mark.needs("strace")
async def test_c5_a_rename_that_fails_is_tried_again_without_the_network(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(home, origin, machine_of) as scene:
        scene.machine.start()
        await scene.fetching()
        with injecting_once(scene.pid, home / "trace", "renameat2", "error=EIO") as fault:
            scene.release.set()
            await scene.machine.until(lambda: fault.hits > 0, "the rename failed")
        await scene.ends_well(0)


@pytest.mark.needs("strace")
async def test_c5_across_file_systems_nothing_is_copied_onto_a_final_path(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(home, origin, machine_of) as scene:
        scene.machine.start()
        await scene.fetching()
        with injecting(scene.pid, home / "trace", "renameat2", "error=EXDEV") as fault:
            scene.release.set()
            await scene.machine.until(lambda: fault.hits > 1, "renames fail, again and again")
            assert not scene.machine.ready()
            assert scene.machine.files() == {NAMES["small"]: sha256(SMALL)}
        await scene.ends_well(0)


@pytest.mark.needs("strace")
async def test_c5_a_directory_that_will_not_sync_costs_no_second_download(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(home, origin, machine_of, MODEL_MANAGER_SETTLE_SECONDS="3") as scene:
        scene.machine.start()
        await scene.fetching()
        folder = scene.machine.store / "checkpoints"
        folder.mkdir(exist_ok=True)
        with injecting_once(scene.pid, home / "trace", "fsync,fdatasync", "error=EIO", folder) as fault:
            scene.release.set()
            await scene.machine.until(lambda: fault.hits > 0, "the sync failed")
            assert not scene.machine.ready()
        await scene.ends_well(0)


@pytest.mark.needs("strace")
async def test_c7_while_the_disk_syncs_for_seconds_the_socket_answers(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with scene_in(home, origin, machine_of) as scene:
        scene.machine.start()
        await scene.fetching()
        took = []
        with injecting(scene.pid, home / "trace", "fsync,fdatasync", "delay_enter=2000000") as fault:
            scene.release.set()
            await scene.machine.until(lambda: "sync(" in fault.text, "a sync hangs")
            until = time.monotonic() + 2.5
            while time.monotonic() < until:
                began = time.monotonic()
                await asyncio.to_thread(scene.machine.status)
                took.append(time.monotonic() - began)
                await asyncio.sleep(0.02)
        assert sorted(took)[len(took) // 2] < 0.2
        assert max(took) < 1.0, max(took)
        await scene.ends_well(0)


@pytest.mark.needs("strace")
async def test_c9_on_a_read_only_disk_a_download_waits_and_what_is_there_stays_served(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    writing = "openat,mkdir,mkdirat,write,pwrite64,renameat,renameat2,unlinkat,ftruncate"
    async with scene_in(home, origin, machine_of) as scene:
        scene.machine.start()
        await scene.fetching()
        with injecting(scene.pid, home / "trace", writing, "error=EROFS", scene.part.parent, scene.part) as fault:
            scene.release.set()
            await scene.machine.until_said("download interrupted")
            assert fault.hits > 0
            assert mirror.inventory(scene.machine) == {NAMES["small"]: sha256(SMALL)}
            status = scene.machine.status()
            assert {model["name"]: model["state"] for model in status["models"]}["small.safetensors"] == "present"
            assert "Read-only" in status["transfers"][0]["why"], status["transfers"]
        await scene.ends_well(0, 0, 0)


@pytest.mark.needs("loop")
async def test_c9_a_disk_that_turns_read_only_does_not_close_an_open_gate(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    with ext4(home / "image", home / "v", 48) as volume:
        async with scene_in(home, origin, machine_of, MODEL_MANAGER_STORE=str(volume / "models")) as scene:
            scene.release.set()
            scene.machine.start()
            await scene.ends_well(0)
            break_down(volume)
            scene.machine.ask("/scan", "POST")
            (scene.machine.state / "assignment.json").write_text('{"models": ["small"]}')
            await asyncio.sleep(3)
            assert scene.machine.ready()
            assert mirror.inventory(scene.machine) == RIGHT
            assert await scene.machine.stop() == 0


@pytest.mark.needs("tmpfs")
async def test_c10_an_unmounted_volume_is_away_and_not_empty(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    point = home / "v"
    with tmpfs(home / "real", "40m") as real:
        point.mkdir()
        mount("--bind", str(real), str(point))
        try:
            async with scene_in(home, origin, machine_of, MODEL_MANAGER_STORE=str(point)) as scene:
                scene.release.set()
                scene.machine.start()
                await scene.machine.until_ready()
                known = "Redis says what the disk has, and every digest"
                await scene.machine.until(lambda: mirror.inventory(scene.machine) == RIGHT, known)
                await scene.machine.until(lambda: mirror.converged(scene.machine), known)
                unmount(point)
                await scene.machine.until(lambda: not scene.machine.ready(), "the gate is closed", at_most=5)
                await scene.machine.until_said("models directory is away")
                scene.machine.ask("/scan", "POST")
                await asyncio.sleep(3)
                assert mirror.inventory(scene.machine) == RIGHT
                assert [entry for entry in mirror.stream(scene.machine) if entry["kind"] == b"model.vanished"] == []
                assert list(point.iterdir()) == []
                mount("--bind", str(real), str(point))
                await scene.ends_well(0)
        finally:
            unmount(point)


@pytest.mark.needs("tmpfs")
async def test_c10_no_download_starts_on_the_disk_below_the_volume(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    point = home / "v"

    async def refuse_and_unmount(request: Request, thing: Thing, reply: Reply) -> None:
        if request.n == 1:  # the only slot is free at once, and the other model starts within a moment
            unmount(point)
            await reply.head(503, {"Content-Length": "0"})
            return
        await reply.honest(request, thing)

    with tmpfs(home / "real", "40m") as real:
        point.mkdir()
        mount("--bind", str(real), str(point))
        try:
            environ = {"MODEL_MANAGER_STORE": str(point), "MODEL_DOWNLOAD_CONCURRENCY": "1"}
            async with scene_in(home, origin, machine_of, **environ) as scene:
                scene.release.set()
                origin.behaviours["/small.safetensors"] = refuse_and_unmount
                scene.machine.start()
                await scene.machine.until_said("models directory is away")
                await asyncio.sleep(1.5)
                assert list(point.iterdir()) == []
                mount("--bind", str(real), str(point))
                await scene.ends_well(0)
        finally:
            unmount(point)


@pytest.mark.parametrize("finder", ["a person", "the scrub"])
async def test_c12_rot_in_a_required_file_closes_the_gate_is_set_aside_and_fetched_again(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine], finder: str
) -> None:
    """Same size, same time: a person asks, or the scrub reads whatever nobody read for a second."""
    async with scene_in(home, origin, machine_of) as scene:
        machine, file = scene.machine, scene.machine.store / NAMES["large"]
        scene.release.set()
        machine.start()
        await machine.until_ready()
        assert await machine.stop() == 0
        rotten = rot(file)
        scene.release.clear()
        if finder == "the scrub":
            machine.environ["MODEL_MANAGER_SCRUB_DAYS"] = "0.00001"
        machine.start()
        if finder == "a person":
            await machine.until_ready()
            machine.ask("/verify", "POST")
        await machine.until_said("file rotted on disk")
        await machine.until(lambda: not machine.ready(), "the gate is closed", at_most=5)
        scene.release.set()
        await scene.ends_well(0, 0)
        kept = list((machine.store / ".model_manager_quarantine").iterdir())
        assert [sha256(path.read_bytes()) for path in kept] == [sha256(rotten)]


def rot(file: Path) -> bytes:
    """Flip a byte under the same size and time; what the file holds now."""
    state = file.stat()
    with file.open("r+b") as stream:
        stream.seek(6_000_000)
        (byte,) = stream.read(1)
        stream.seek(6_000_000)
        stream.write(bytes((byte ^ 1,)))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    return file.read_bytes()
