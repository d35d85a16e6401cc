"""Orders through Redis to a machine that runs, or comes back: done, and answered."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.bus.servers import Server
from tests.stories.machine import Machine, safetensors

KEY = "machine:m1:orders"
NOWHERE = "http://127.0.0.1:9"


@dataclass
class Scene:
    machine: Machine
    server: Server

    @property
    def client(self) -> redis.Redis:
        return self.server.client()

    def order(self, identity: str, what: str, **more: str) -> None:
        self.client.xadd(KEY, {"order": identity, "what": what, **more})

    def answers(self, identity: str) -> list[dict[bytes, bytes]]:
        entries: Any = self.client.xrange("model_manager:events")
        told = [fields for _, fields in entries if fields[b"kind"] == b"order.answered"]
        return [fields for fields in told if f'"order":"{identity}"'.encode() in fields[b"data"]]

    async def until_answered(self, identity: str, state: str) -> bytes:
        said = f'"state":"{state}"'.encode()
        await self.machine.until(
            lambda: any(said in each[b"data"] for each in self.answers(identity)), f"{identity} {state}"
        )
        return next(each[b"data"] for each in self.answers(identity) if said in each[b"data"])


@pytest.fixture
async def scene(home: Path, machine_of: Callable[..., Machine]) -> AsyncIterator[Scene]:
    server = Server("valkey")
    machine = machine_of(NOWHERE, WORKFLOW_IDS="", REDIS_URL=server.url)
    machine.start()
    await machine.until_ready()
    yield Scene(machine, server)
    assert machine.leaks() == []
    server.close()


async def test_a_machine_does_what_it_is_asked_for_and_says_what_it_found(scene: Scene) -> None:
    file = scene.machine.store / "loras" / "a.safetensors"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(safetensors(50_000))
    scene.order("look", "scan")
    await scene.until_answered("look", "begun")
    await scene.until_answered("look", "done")
    await scene.machine.until(lambda: scene.machine.status()["inventory"]["verified"] == 1, "it is verified")
    before = file.stat()
    file.write_bytes(safetensors(50_000, 9))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    scene.order("read", "verify", files='["a.safetensors"]')
    assert b"not what they were: loras/a.safetensors" in await scene.until_answered("read", "done")
    scene.order("adopt", "reload")
    await scene.until_answered("adopt", "done")
    await scene.machine.until(lambda: scene.client.xlen(KEY) == 0, "nothing is left to do")


async def test_k10_garbage_and_a_flood_disturb_nobody(scene: Scene) -> None:
    with scene.client.pipeline() as pipe:
        for number in range(300):
            pipe.xadd(
                KEY, {"order": f"x{number}" if number % 2 else "\x1b[31m\n", "what": "sing" if number % 3 else "scan"}
            )
        pipe.execute()
    scene.order("real", "reload")
    await scene.until_answered("real", "done")
    await scene.machine.until(lambda: scene.client.xlen(KEY) == 0, "the flood is over")
    assert scene.machine.ready()


async def test_an_order_that_comes_while_nobody_is_there_is_done_by_the_next_process(scene: Scene) -> None:
    scene.machine.kill()
    await scene.machine.exited()
    scene.order("late", "scan")
    scene.machine.start()
    await scene.until_answered("late", "done")
    await scene.machine.until(lambda: scene.client.xlen(KEY) == 0, "it is settled")
