"""Assignments that are pushed through Redis while the machine runs: taken whole, or refused whole and said."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from tests.bus.servers import Server
from tests.stories.machine import PROGRAM, Machine, catalog, record, safetensors, workflow
from tests.stories.origin import FaultyOrigin

KEY = "machine:m1:assignment"
NAMES = ("base", "vae", "lora")


@dataclass
class Scene:
    machine: Machine
    server: Server

    @property
    def client(self) -> redis.Redis:
        return self.server.client()

    async def until_served(self, *names: str) -> None:
        """Exactly these workflows are assigned, and ready."""

        def served() -> bool:
            flows = self.machine.status()["readiness"]["workflows"]
            return sorted(flows) == sorted(names) and all(flow["ready"] for flow in flows.values())

        await self.machine.until(served, f"{names} are served", 20)

    async def until_problem(self, text: str) -> None:
        await self.machine.until(lambda: any(text in each for each in self.machine.status()["problems"]), text, 20)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PROGRAM, "assign", *arguments], env=self.machine.environment(), capture_output=True, text=True, timeout=20,
            check=False,
        )  # fmt: skip


@pytest.fixture
async def scene(home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]) -> AsyncIterator[Scene]:
    data = {name: safetensors(100_000 + seed, seed) for seed, name in enumerate(NAMES)}
    shop = {
        "models": [record(n, origin.put(f"{n}.safetensors", data[n]), f"models/vae/{n}.safetensors", data[n]) for n in NAMES],
        "workflows": [workflow("own", "base"), workflow("more", "vae"), workflow("other", "lora")],
    }  # fmt: skip
    server = Server("valkey")
    async with catalog(home / "c", shop) as url:
        machine = machine_of(
            url, WORKFLOW_IDS="own", MODEL_MANAGER_ALLOW_HOSTS=origin.host, REDIS_URL=server.url
        )  # fmt: skip
        machine.start()
        await machine.until_ready()
        yield Scene(machine, server)
        assert machine.leaks() == []
    server.close()


async def test_a_push_adds_and_another_replaces(scene: Scene) -> None:
    scene.client.hset(KEY, mapping={"workflows": "more", "mode": "add"})
    await scene.until_served("own", "more")
    scene.client.hset(KEY, mapping={"workflows": json.dumps(["other"]), "mode": "replace"})
    await scene.until_served("other")
    assert sorted(scene.machine.files()) == [f"vae/{name}.safetensors" for name in sorted(NAMES)], "nothing is deleted"


async def test_the_command_pushes_what_the_machine_takes(scene: Scene) -> None:
    done = await asyncio.to_thread(scene.command, "m1", "--workflow", "more")
    assert (done.returncode, done.stdout) == (0, "assigned to m1\n")
    await scene.until_served("own", "more")
    assert (await asyncio.to_thread(scene.command, "m1", "--replace", "--workflow", "other")).returncode == 0
    await scene.until_served("other")
    refused = await asyncio.to_thread(scene.command, "m1")
    assert (refused.returncode, "it names nothing" in refused.stderr) == (65, True), refused
    scene.client.delete(KEY)
    scene.client.set(KEY, "garbage")
    assert (await asyncio.to_thread(scene.command, "m1", "--workflow", "more")).returncode == 0
    await scene.until_served("own", "more")


@pytest.mark.parametrize(
    ("garbage", "said"),
    [
        ({"workflows": "more", "mode": "perhaps"}, "neither 'add' nor 'replace'"),
        ({"workflows": "", "mode": "replace"}, "it names nothing"),
    ],
)
async def test_f3_garbage_is_refused_whole_and_said(scene: Scene, garbage: dict[str, str], said: str) -> None:
    scene.client.hset(KEY, mapping={"workflows": "more", "mode": "add"})
    await scene.until_served("own", "more")
    with scene.client.pipeline() as pipe:
        pipe.delete(KEY)
        pipe.hset(KEY, mapping=garbage)
        pipe.execute()
    await scene.until_problem(said)
    assert scene.machine.ready()
    await scene.until_served("own", "more")


async def test_e8_a_key_of_another_type_or_none_narrows_nothing(scene: Scene) -> None:
    scene.client.xadd(KEY, {"workflows": "more", "mode": "add"})
    await scene.until_served("own", "more")
    scene.client.delete(KEY)
    scene.client.set(KEY, "more")
    await scene.until_problem("neither a hash nor a stream")
    scene.client.delete(KEY)
    await scene.machine.until(lambda: scene.machine.status()["problems"] == [], "what was refused is gone")
    await scene.until_served("own", "more")
    scene.client.hset(KEY, "workflows", "other")
    await scene.until_served("other")


async def test_e1_a_push_outlives_a_restart_without_redis(scene: Scene) -> None:
    scene.client.hset(KEY, mapping={"workflows": "more", "mode": "add"})
    await scene.until_served("own", "more")
    scene.server.kill()
    assert await scene.machine.stop() == 0
    scene.machine.start()
    await scene.until_served("own", "more")


async def test_a_workflow_that_nobody_knows_is_named_and_holds_only_itself(scene: Scene) -> None:
    scene.client.hset(KEY, mapping={"workflows": "nowhere", "mode": "add"})
    await scene.until_problem("nowhere")
    await scene.machine.until(lambda: not scene.machine.ready(), "the gate is closed", 5)
    assert scene.machine.ask("/ready/own")[0] == 200
    assert scene.machine.ask("/ready/nowhere")[0] == 503
