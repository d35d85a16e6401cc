"""Who changes the catalog changes the machines: within seconds, and only those that it concerns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from model_manager.catalog.run import serve
from model_manager.catalog.server import Rules
from tests.stories.machine import Machine, record, safetensors, workflow
from tests.stories.origin import FaultyOrigin

NAMES = ("base", "vae")
SECONDS = 5
"""In which a change is taken up; the usual look is an hour away."""


async def put(url: str, path: str, body: dict[str, Any]) -> None:
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer ann-may"}) as session,
        session.put(f"{url}{path}", json=body) as response,
    ):
        assert response.status in (200, 201), await response.text()


async def test_a_changed_collection_is_taken_up_within_seconds_and_without_polling(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    data = {name: safetensors(100_000 + seed, seed) for seed, name in enumerate(NAMES)}
    shop = {
        "models": [record(n, origin.put(f"{n}.safetensors", data[n]), f"models/vae/{n}.safetensors", data[n]) for n in NAMES],
        "workflows": [workflow("own", "base"), workflow("more", "vae")],
        "collections": [{"id": "c", "workflows": ["own"]}, {"id": "theirs", "workflows": []}],
    }  # fmt: skip
    (home / "c").mkdir()
    async with serve(home / "c" / "catalog.sqlite", records=shop, rules=Rules(writers={"ann": "ann-may"})) as url:
        machine = machine_of(
            url,
            WORKFLOW_IDS="",
            COLLECTION_IDS="c",
            MODEL_MANAGER_ALLOW_HOSTS=origin.host,
            MODEL_MANAGER_CATALOG_POLL_SECONDS="3600",
        )
        machine.start()
        await machine.until_ready()
        looks = machine.log().count("assignment understood")
        await put(url, "/collections/theirs", {"name": "theirs", "workflows": ["more"]})
        await put(url, "/collections/c", {"name": "c", "workflows": ["own", "more"]})
        begin = time.monotonic()

        def grown() -> bool:
            return set(machine.status()["readiness"]["workflows"]) == {"own", "more"} and len(machine.files()) == 2

        await machine.until(grown, "the new workflow's model is here", SECONDS)
        await machine.until_ready()
        assert time.monotonic() - begin < 60  # an hour would be the next look
        assert machine.log().count("assignment understood") == looks + 1
        await asyncio.to_thread(machine.kill)
