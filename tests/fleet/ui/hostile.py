"""A fleet whose every text wants to be a script."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from redis.asyncio import Redis

from model_manager.bus.claims import Claims
from model_manager.facts.event import DownloadFailed, RootLost, Unknown
from model_manager.facts.machine import Disk, Readiness, WorkflowReadiness
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Phase, Transfer
from tests.bus.telling import entry
from tests.bus.working import COMFY
from tests.fleet.stage import Client, Player

XSS = "<img src=x onerror=\"owned.push('img')\"><script>owned.push('script')</script>"
LINK = "javascript:owned.push('link')"
NAME = f"{XSS.replace('/', '')}.safetensors"
FLOW = f"flow {XSS}"


async def hostile(redis: Redis, *names: str) -> list[Player]:
    """Machines that hold a model with a hostile name, are not ready for hostile reasons, and told hostile events."""
    return [await _machine(redis, name) for name in names]


async def _machine(redis: Redis, name: str) -> Player:
    player = Player(redis, name)
    player.teller.hello()
    held = [entry(NAME, root=f"/{XSS}"), entry("plain.safetensors"), replace(entry(LINK, "vae"), hash="cd" * 32)]
    player.teller.appear(*held)
    await _beat(player)
    player.teller.tell(DownloadFailed(folder=XSS, name=XSS, reason=XSS, attempt=1, final=False, retry_at=XSS))
    player.teller.tell(RootLost(root=XSS, why=XSS))
    player.teller.tell(Unknown(kind=f"strange.{XSS}", data={XSS: XSS}))
    await player.bus.snapshot(player.teller.snapshot(), player.teller.entries, player.teller.outbox[:-1])
    player.teller.outbox.clear()
    return player


async def _beat(player: Player) -> None:
    flows = (WorkflowReadiness(name=FLOW, ready=False, reasons=(XSS, LINK)), WorkflowReadiness(name="flux", ready=True))
    readiness = Readiness(ready=False, reasons=(XSS, LINK), workflows=flows, generation=XSS, required=3, present=1)
    disks = (Disk(root=XSS, free=5, total=100, floor=10),)
    await player.bus.beat(player.teller.beat(readiness=readiness, disks=disks, host=XSS, version=XSS), {})


async def given_up(redis: Redis, fleet: Client, name: str) -> None:
    """A job that a worker gave up for hostile reasons."""
    claims = Claims(redis, "", patience=5.0)
    await claims.offer("m1", COMFY)
    asks = {"models": ["plain.safetensors"], "service": "comfyui"}
    await fleet.post("/jobs", {"id": name, "asks": asks, "payload": XSS, "customer": XSS, "workflow": XSS}, 202)
    work = await claims.claim("m1", XSS)
    assert work is not None
    await claims.fail(work, XSS, how="final")


def moving(name: str = NAME, done: int = 300_000, **more: Any) -> Transfer:
    """A model of a megabyte on its way."""
    shelf = ShelfPath(folder="loras", name=name)
    return Transfer(shelf=shelf, phase=Phase.FETCHING, bytes=done, total=1_000_000, speed=50_000.0, eta=14.0, **more)
