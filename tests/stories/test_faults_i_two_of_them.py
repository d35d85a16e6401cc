"""Two of something where one was meant: two agents, two machines of one name, two wishes for one file, two clocks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.bus.servers import Server
from tests.stories.machine import PROGRAM, Machine, Sampler, catalog, record, safetensors, sha256, workflow
from tests.stories.mirror import client
from tests.stories.origin import FaultyOrigin, Reply, Request, Thing, held_at, paced, scripted
from tests.stories.reader import Reader, converged, indexed

BASE = safetensors(6_000_000, 1)
HALF = 3_000_000
FILE = "checkpoints/base.safetensors"
Make = Callable[..., Machine]


@asynccontextmanager
async def offering(home: Path, origin: FaultyOrigin, *, behaviour: object = None) -> AsyncIterator[str]:
    """A catalog whose workflow `flux` needs one model."""
    url = origin.put("base.safetensors", BASE, behaviour)  # type: ignore[arg-type]
    shop = {"models": [record("base", url, f"models/{FILE}", BASE)], "workflows": [workflow("flux", "base")]}
    async with catalog(home / "c", shop) as served:
        yield served


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server("valkey")
    yield made
    made.close()


def run_again(machine: Machine, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, "run"], env=machine.environment() | environ, capture_output=True, text=True, timeout=20, check=False
    )


async def test_i1_a_second_one_leaves_at_once_and_touches_nothing(
    home: Path, origin: FaultyOrigin, machine_of: Make
) -> None:
    async with offering(home, origin) as url:
        machine = machine_of(url, WORKFLOW_IDS="flux", MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        machine.start()
        await machine.until_ready()
        reader = Reader(client(machine))
        await converged(machine, reader, client(machine))
        before = (machine.state / "ready.json").read_bytes(), machine.socket.stat().st_ino, machine.status()["instance"]
        other = home / "other"
        seconds = [
            await asyncio.to_thread(run_again, machine),
            await asyncio.to_thread(run_again, machine, MODEL_MANAGER_STATE_DIR=str(other)),
            await asyncio.to_thread(run_again, machine, MODEL_MANAGER_STORE=str(home / "elsewhere")),
            await asyncio.to_thread(run_again, machine, EMPROPS_API_BASE_URL=""),
        ]
        assert [second.returncode for second in seconds] == [75, 75, 75, 75]
        assert machine.process is not None
        assert all(str(machine.process.pid) in second.stderr for second in seconds)
        assert not (other / "control.sock").exists()
        after = (machine.state / "ready.json").read_bytes(), machine.socket.stat().st_ino, machine.status()["instance"]
        assert (after, machine.ready()) == (before, True)
        (machine.store / FILE).unlink()
        await machine.until_said("not ready", at_most=5)
        await machine.until_ready()
        await converged(machine, reader, client(machine))


async def test_i3_one_address_wanted_under_many_names_is_fetched_once(
    home: Path, origin: FaultyOrigin, machine_of: Make
) -> None:
    release = asyncio.Event()
    first = origin.put("base.safetensors", BASE, held_at(HALF, release))
    mirror = origin.put("same-bytes.safetensors", BASE)
    unpinned = origin.put("unpinned.safetensors", BASE[:-1] + b"\0", paced(0.001))
    models = [
        *(record(f"a{n}", first, f"checkpoints/a{n}.safetensors", BASE) for n in range(2)),
        record("twin", mirror, "diffusion_models/twin.safetensors", BASE),
        *(record(f"u{n}", unpinned, f"loras/u{n}.safetensors") for n in range(2)),
    ]
    flows = [
        workflow(f"w{n}", "a0", *(["a1", "twin"] if n > 2 else []), *(["u0", "u1"] if n > 3 else [])) for n in range(5)
    ]
    async with catalog(home / "c", {"models": models, "workflows": flows}) as url:
        machine = machine_of(
            url, WORKFLOW_IDS=",".join(flow["name"] for flow in flows), MODEL_MANAGER_ALLOW_HOSTS=origin.host
        )
        machine.start()
        await machine.until(lambda: len(machine.status()["models"]) == 5, "all are planned")
        await machine.until(lambda: origin.sent["/base.safetensors"] >= HALF, "half of the first came")
        release.set()
        await machine.until_ready()
        assert [request.path for request in origin.seen].count("/base.safetensors") == 1
        assert origin.sent["/same-bytes.safetensors"] == 0
        assert origin.sent["/unpinned.safetensors"] == len(BASE)
        right = {path: sha256(BASE) for path in ("checkpoints/a0", "checkpoints/a1", "diffusion_models/twin")}
        wrong = {path: sha256(BASE[:-1] + b"\0") for path in ("loras/u0", "loras/u1")}
        assert machine.files() == {f"{path}.safetensors": digest for path, digest in (right | wrong).items()}
        inodes = {(machine.store / f"{path}.safetensors").stat().st_ino for path in right}
        assert len(inodes) == 1, "linked, not copied"
        reader = Reader(client(machine))
        await converged(machine, reader, client(machine))
        assert len(reader.told_of("model.download.verified")) == 2


def reassign(machine: Machine, *workflows: str) -> None:
    new = machine.state / "assignment.new"
    new.write_text(f'{{"workflows": "{",".join(workflows)}"}}')
    new.rename(machine.state / "assignment.json")


def wanted(machine: Machine) -> list[str]:
    return [model["name"] for model in machine.status()["models"]]


async def until_wanted(machine: Machine, *names: str) -> None:
    await machine.until(lambda: wanted(machine) == [f"{name}.safetensors" for name in names], f"{names} are wanted")


async def test_i4_a_model_that_is_taken_back_at_once_is_fetched_in_one_go(
    home: Path, origin: FaultyOrigin, machine_of: Make
) -> None:
    release = asyncio.Event()
    async with offering(home, origin, behaviour=held_at(HALF, release)) as url:
        machine = machine_of(url, MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        machine.state.mkdir(parents=True)
        reassign(machine, "flux")
        machine.start()
        await machine.until(lambda: origin.sent["/base.safetensors"] >= HALF, "half came")
        for _ in range(2):
            reassign(machine)
            await until_wanted(machine)
            reassign(machine, "flux")
            await until_wanted(machine, "base")
        release.set()
        await machine.until_ready()
        assert (origin.asked["/base.safetensors"], origin.sent["/base.safetensors"]) == (1, len(BASE))


async def test_i4_a_model_that_is_removed_while_it_downloads_is_let_go_and_resumed_later(
    home: Path, origin: FaultyOrigin, machine_of: Make
) -> None:
    release = asyncio.Event()
    async with offering(home, origin, behaviour=scripted(held_at(HALF, release))) as url:
        machine = machine_of(url, MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        sampler = Sampler(machine, {FILE: {sha256(BASE)}})
        sampler.start()
        machine.state.mkdir(parents=True)
        reassign(machine, "flux")
        machine.start()
        await machine.until(lambda: origin.sent["/base.safetensors"] >= HALF, "half came")
        reassign(machine)
        await until_wanted(machine)
        await machine.until(lambda: machine.status()["transfers"] == [], "it is let go")
        release.set()
        await machine.until(lambda: origin.open == 0, "the connection is closed")
        assert machine.files() == {}
        kept = sum(path.stat().st_size for path in machine.store.glob(".model_manager_partial/*.part"))
        assert kept > 2_000_000
        reassign(machine, "flux")
        await until_wanted(machine, "base")
        await machine.until(lambda: machine.files() != {}, "it is fetched to its end")
        await machine.until_ready()
        sampler.finish()
        assert machine.files() == {FILE: sha256(BASE)}
        assert [request.start for request in origin.seen] == [0, kept]


async def test_i5_two_machines_of_one_name_are_told_and_the_inventory_stays_the_first_ones(
    home: Path, origin: FaultyOrigin, machine_of: Make, server: Server
) -> None:
    async with offering(home, origin) as url:
        ours = {"WORKFLOW_IDS": "flux", "MODEL_MANAGER_ALLOW_HOSTS": origin.host, "REDIS_URL": server.url}
        first, second = machine_of(url, "a", **ours), machine_of(url, "b", **(ours | {"WORKFLOW_IDS": ""}))
        reader = Reader(server.client())
        first.start()
        await first.until_ready()
        await converged(first, reader, server.client())
        installation = server.client().hget("machine:m1:models", "installation")
        second.start()
        await second.until(lambda: second.status()["redis"]["state"] == "conflict", "the second one says so")
        assert "MACHINE_ID" in second.status()["redis"]["reason"]
        (second.store / "loras").mkdir(parents=True, exist_ok=True)
        (second.store / "loras/x.safetensors").write_bytes(safetensors(5000))
        await second.until(lambda: second.status()["inventory"]["verified"] == 1, "it works on, by itself")
        told = len(reader.told)
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            assert server.client().hget("machine:m1:models", "installation") == installation
            assert server.client().hget("machine:m1:model_manager", "installation") == installation
            await asyncio.sleep(0.02)
        reader.read()
        assert len(reader.told) == told
        assert second.log().count("redis: conflict") == 1
        assert first.status()["redis"]["state"] == "connected"
        await converged(first, reader, server.client())
        assert await first.stop() == 0
        await second.until(lambda: second.status()["redis"]["state"] == "connected", "the name is free")
        await converged(second, reader, server.client())
        assert indexed(server.client()) == {"x.safetensors"}
        assert await second.stop() == 0
        assert indexed(server.client()) == set()


async def test_i5_a_machine_that_slept_through_its_lease_does_not_fight_its_successor(
    home: Path, origin: FaultyOrigin, machine_of: Make, server: Server
) -> None:
    async with offering(home, origin) as url:
        ours = {"WORKFLOW_IDS": "flux", "MODEL_MANAGER_ALLOW_HOSTS": origin.host, "REDIS_URL": server.url}
        first, second = machine_of(url, "a", **ours), machine_of(url, "b", **ours)
        first.start()
        await first.until_ready()
        reader = Reader(server.client())
        await converged(first, reader, server.client())
        first.kill(signal.SIGSTOP)
        second.start()
        await second.until_ready()
        await converged(second, reader, server.client())
        first.kill(signal.SIGCONT)
        await first.until(lambda: first.status()["redis"]["state"] == "conflict", "the first one sees that it is late")
        await converged(second, reader, server.client())
        assert second.status()["redis"]["state"] == "connected"
        assert await first.stop() == 0
        await converged(second, reader, server.client())


@pytest.fixture
def clock(home: Path) -> Callable[[str], None]:
    """Sets the machine's wall clock, for the programs that run with `faked`: `+0` is the time, `-3600` an hour ago."""

    def to(offset: str) -> None:
        new = home / "clock.new"
        new.write_text(f"{offset}\n")
        new.rename(home / "clock")

    to("+0")
    return to


def faked(home: Path) -> dict[str, str]:
    asked = subprocess.run(["faketime", "-f", "+0", "env"], capture_output=True, text=True, timeout=20, check=True)
    preload = next(line for line in asked.stdout.splitlines() if line.startswith("LD_PRELOAD="))
    return {
        "LD_PRELOAD": preload.removeprefix("LD_PRELOAD="),
        "FAKETIME_TIMESTAMP_FILE": str(home / "clock"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


@pytest.mark.needs("faketime")
@pytest.mark.parametrize("jump", ["-3600", "+315360000"], ids=["an-hour-back", "ten-years-on"])
async def test_i6_a_clock_that_jumps_disturbs_no_download_no_retry_and_no_order(
    jump: str, clock: Callable[[str], None], home: Path, origin: FaultyOrigin, machine_of: Make
) -> None:
    release = asyncio.Event()

    async def busy(request: Request, thing: Thing, reply: Reply) -> None:
        await reply.head(503, {"Content-Length": "0", "Retry-After": "2"})

    async with offering(home, origin, behaviour=scripted(busy, held_at(HALF, release))) as url:
        machine = machine_of(url, WORKFLOW_IDS="flux", MODEL_MANAGER_ALLOW_HOSTS=origin.host, **faked(home))
        machine.start()
        await machine.until_said("download interrupted")
        clock(jump)
        await machine.until(lambda: origin.sent["/base.safetensors"] >= HALF, "it is tried again, and half came", 10)
        clock("+0")
        await asyncio.sleep(0.3)
        clock(jump)
        release.set()
        await machine.until_ready(10)
        assert origin.sent["/base.safetensors"] == len(BASE)
        server = client(machine)
        reader = Reader(server)
        await converged(machine, reader, server)
        (machine.store / FILE).unlink()
        await machine.until_said("not ready", at_most=5)
        clock("+0")
        await machine.until_ready(10)
        await converged(machine, reader, server)
        epoch = machine.status()["epoch"]
        assert await machine.stop() == 0
        clock("-7200")
        machine.start()
        await machine.until_ready(10)
        await converged(machine, reader, client(machine))
        assert machine.status()["epoch"] > epoch
        assert origin.sent["/base.safetensors"] == 2 * len(BASE)


@pytest.mark.needs("faketime")
async def test_i6_what_a_wrong_clock_numbered_does_not_lock_out_a_lost_index(
    clock: Callable[[str], None], home: Path, origin: FaultyOrigin, machine_of: Make, server: Server
) -> None:
    async with offering(home, origin) as url:
        machine = machine_of(
            url, WORKFLOW_IDS="flux", MODEL_MANAGER_ALLOW_HOSTS=origin.host, REDIS_URL=server.url, **faked(home)
        )
        clock("+315360000")
        machine.start()
        await machine.until_ready()
        reader = Reader(server.client())
        await converged(machine, reader, server.client())
        machine.kill()
        await machine.exited()
        clock("+0")
        for path in machine.state.glob("index.sqlite*"):
            os.unlink(path)
        machine.start()
        await machine.until_ready()
        await machine.until(lambda: machine.status()["redis"]["state"] == "connected", "it is taken back", 6)
        await converged(machine, reader, server.client())
        assert origin.sent["/base.safetensors"] == len(BASE)
