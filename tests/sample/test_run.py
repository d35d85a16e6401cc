"""The whole sample: files, origin and catalog together."""

from __future__ import annotations

import hashlib
from pathlib import Path

import aiohttp

from model_manager.catalog.run import serve
from model_manager.sample.run import sample

from .test_models import parsed


async def test_what_the_catalog_promises_the_origin_delivers(tmp_path: Path) -> None:
    async with sample(tmp_path / "sample", serve) as running, aiohttp.ClientSession() as session:
        async with session.get(f"{running.catalog_url}/models") as response:
            models = (await response.json())["data"]
        assert len(models) == 7
        for model in models:
            async with session.get(model["downloadUrl"]) as response:
                body = await response.read()
            assert response.url.authority in running.allow_hosts
            assert len(body) == model["fileSize"]
            assert model["hash"] is None or model["hash"].removeprefix("sha256:") == hashlib.sha256(body).hexdigest()
            assert parsed(body)


async def test_the_starter_collection_leads_to_models(tmp_path: Path) -> None:
    async with sample(tmp_path / "sample", serve) as running, aiohttp.ClientSession(running.catalog_url) as session:
        async with session.get("/collections/starter/public") as response:
            nodes = (await response.json())["data"]["collection_node"]
        async with session.post(
            "/workflows/dependencies", json={"workflow_names": [node["name"] for node in nodes]}
        ) as response:
            rows = (await response.json())["data"]
    assert [(row["workflow_name"], len(row["models"])) for row in rows] == [("portrait", 3), ("upscale", 1)]


async def test_a_second_start_keeps_files_addresses_and_catalog(tmp_path: Path) -> None:
    seen = []
    for _ in range(2):
        async with sample(tmp_path / "sample", serve) as running:
            seen.append((running.origin_url, [file.path.stat().st_ino for file in running.files]))
    assert seen[0] == seen[1]
