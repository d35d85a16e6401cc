from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from model_manager.agent.assignment.wanting import Wanting
from model_manager.agent.telling.offering import LOOK_AGAIN, Offering, catalog_names, offer
from model_manager.bus.claims import Claims
from model_manager.errors import BadRequest, BusUnavailable
from model_manager.facts.job import Errand, Hardware
from model_manager.sources.catalog_cache import CachedCatalog
from tests.agent.assignment.test_wanting import Catalog, paths
from tests.agent.stage import Stage, running, settings, until

CARD = Hardware(gpu_memory_gb=24.15, gpu_model="L4", gpu_count=1, ram_gb=64.0, cpu_cores=8)
QUICK = {"MODEL_MANAGER_HEARTBEAT_SECONDS": "0.2"}


class Desk:
    """Claims that keep what they are told."""

    def __init__(self) -> None:
        self.offered: list[Mapping[str, Any]] = []
        self.withdrawn: list[str] = []
        self.wishes: tuple[Errand, ...] = ()
        self.failures: list[Exception] = []
        self.looks = 0
        self.hardware = CARD

    async def offer(self, machine: str, said: Mapping[str, Any]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.offered.append(said)

    async def withdraw(self, machine: str) -> None:
        self.withdrawn.append(machine)

    async def errands(self, machine: str, *, hold: float) -> tuple[Errand, ...]:
        assert hold >= 3 * float(QUICK["MODEL_MANAGER_HEARTBEAT_SECONDS"])
        return self.wishes

    async def look(self) -> Hardware:
        self.looks += 1
        return self.hardware


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def wanting(scene: Stage) -> Wanting:
    return Wanting(scene.board, scene.shelves, CachedCatalog(Catalog(), scene.state / "cache"), scene.state)


def offering(scene: Stage, wanting: Wanting, desk: Desk, *, beating: bool = True) -> Offering:
    begun = asyncio.Event()
    if beating:
        begun.set()
    return Offering(scene.board, wanting, cast(Claims, desk), desk.look, begun)


async def test_services_hardware_and_what_a_person_wrote_are_offered(
    scene: Stage, wanting: Wanting, desk: Desk
) -> None:
    capabilities = '{"hardware": {"gpu_memory_gb": 48}, "asset_type": ["image"]}'
    scene.configure(MODEL_MANAGER_SERVICES="comfyui,a1111", MODEL_MANAGER_CAPABILITIES=capabilities, **QUICK)
    async with running(offering(scene, wanting, desk).run):
        await until(lambda: len(desk.offered) >= 2)
    assert desk.offered[0] == {
        "services": ("comfyui", "a1111"),
        "hardware": {"gpu_memory_gb": 48, "gpu_model": "L4", "gpu_count": 1, "ram_gb": 64.0, "cpu_cores": 8},
        "asset_type": ["image"],
    }
    assert desk.looks == 1


async def test_without_services_nothing_is_offered(scene: Stage, wanting: Wanting, desk: Desk) -> None:
    scene.configure(**QUICK)
    loop = offering(scene, wanting, desk)
    await loop._step()
    assert (desk.offered, desk.withdrawn) == ([], [])


async def test_services_that_are_taken_away_withdraw_the_offer_once(scene: Stage, wanting: Wanting, desk: Desk) -> None:
    scene.configure(MODEL_MANAGER_SERVICES="comfyui", **QUICK)
    loop = offering(scene, wanting, desk)
    await loop._step()
    scene.configure(**QUICK)
    await loop._step()
    await loop._step()
    assert desk.withdrawn == ["m1"]


async def test_nothing_is_offered_before_the_first_heartbeat(scene: Stage, wanting: Wanting, desk: Desk) -> None:
    scene.configure(MODEL_MANAGER_SERVICES="comfyui", **QUICK)
    loop = offering(scene, wanting, desk, beating=False)
    async with running(loop.run):
        await asyncio.sleep(0.05)
        assert desk.offered == []
        loop._beating.set()
        await until(lambda: desk.offered != [])


async def test_e1_redis_away_is_survived(scene: Stage, wanting: Wanting, desk: Desk) -> None:
    scene.configure(MODEL_MANAGER_SERVICES="comfyui", **QUICK)
    desk.failures = [BusUnavailable(why="gone")]
    async with running(offering(scene, wanting, desk).run):
        await until(lambda: desk.offered != [])


async def test_an_offer_that_is_refused_is_said_and_does_not_end_the_agent(
    scene: Stage, wanting: Wanting, desk: Desk
) -> None:
    scene.configure(MODEL_MANAGER_SERVICES="comfyui", **QUICK)
    desk.failures = [BadRequest(why="too deep", fix="x"), BadRequest(why="too deep", fix="x")]
    async with running(offering(scene, wanting, desk).run):
        await until(lambda: desk.offered != [])


async def test_a_driver_that_comes_late_is_asked_again(scene: Stage, wanting: Wanting, desk: Desk) -> None:
    scene.configure(MODEL_MANAGER_SERVICES="comfyui", **QUICK)
    desk.hardware = Hardware(ram_gb=64.0)
    loop = offering(scene, wanting, desk)
    await loop._step()
    desk.hardware = CARD
    await loop._step()
    assert desk.looks == 1
    scene.clock.seconds += LOOK_AGAIN + 1
    await loop._step()
    assert desk.offered[-1]["hardware"]["gpu_memory_gb"] == 24.15


async def test_l2_what_jobs_wait_for_is_wanted_until_nobody_does(scene: Stage, wanting: Wanting, desk: Desk) -> None:
    scene.configure(MODEL_MANAGER_SERVICES="comfyui", WORKFLOW_IDS="w", **QUICK)
    desk.wishes = (Errand(signature="1", models=("vae/b.safetensors",), jobs=2),)
    loop = offering(scene, wanting, desk)
    await loop._step()
    assert await scene.board.bells.wanting.wait(1)
    await wanting.look()
    assert paths(scene) == ["vae/a.safetensors", "vae/b.safetensors"]
    desk.wishes = ()
    await loop._step()
    await wanting.look()
    assert paths(scene) == ["vae/a.safetensors"]


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("x.safetensors", ("x.safetensors",)),
        ("loras/SD15/x.safetensors", ("loras/SD15/x.safetensors", "x.safetensors")),
        ('{"name":"x.safetensors","sha256":"aa"}', ("x.safetensors",)),
        ('{"path":"loras/x.safetensors"}', ("loras/x.safetensors", "x.safetensors")),
    ],
)
def test_a_catalog_may_have_a_model_by_its_path_or_its_name(model: str, names: tuple[str, ...]) -> None:
    assert catalog_names(model) == names


def test_a_machine_that_tells_nothing_of_itself_still_offers(scene: Stage) -> None:
    said = offer(settings(scene.state.parent, MODEL_MANAGER_SERVICES="x"), Hardware())
    assert said == {"services": ("x",), "hardware": {}}
