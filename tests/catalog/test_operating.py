"""Export, health and metrics, on both databases."""

from __future__ import annotations

from pathlib import Path

import orjson

from model_manager.catalog.incoming.bulk import load
from model_manager.catalog.incoming.loading import from_lines
from model_manager.catalog.operating import exported
from model_manager.catalog.run import opened
from model_manager.catalog.storage.store import Store

from .conftest import RECORDS, Client, asking, fresh, model


async def _lines(store: Store) -> list[bytes]:
    return [line async for line in exported(store)]


async def test_an_export_makes_the_same_catalog_again_on_either_database(tmp_path: Path, postgres: str) -> None:
    clean = [each for each in RECORDS["models"] if not each["saveTo"].startswith("..")]
    async with fresh(postgres) as url, asking(tmp_path / "a.sqlite") as client:
        await client.ask("POST", "/import", RECORDS | {"models": clean})
        await client.put("/models/t5/versions/2", model("t5xxl-v2.safetensors", licence="MIT"))
        await client.put("/workflows/w3", {"name": "w3", "models": [{"model": "t5", "is_required": False}, "flux-dev"]})
        async with client.session.get("/export") as response:
            first = (await response.read()).splitlines(keepends=True)
        assert len(first) == 3 + 1 + 3 + 1
        for where in (url, tmp_path / "b.sqlite"):
            async with opened(where) as store:
                report = await load(store, from_lines(first), "again")
                assert (report.created + report.replaced, report.left_out) == (len(first), 0)
                assert await _lines(store) == first


async def test_an_export_of_nothing_is_nothing(store: Store) -> None:
    assert await _lines(store) == []


async def test_health_counts_what_is_there_and_says_where_the_feed_is(each_client: Client) -> None:
    health = await each_client.data("/health")
    cursor = health.pop("cursor")
    counts = {"models": 4, "workflows": 2, "collections": 1}
    assert health == {"state": "loaded", **counts, "read_only": False, "warming": False}
    assert cursor.endswith("-1")


async def test_metrics_count_requests_by_route_and_status(client: Client) -> None:
    await client.get("/models/t5")
    await client.get("/models/nowhere")
    async with client.session.get("/metrics") as response:
        text = await response.text()
    assert 'model_manager_catalog_records{kind="model"} 4' in text
    assert 'model_manager_catalog_requests_total{route="model",status="200"} 1' in text
    assert 'model_manager_catalog_requests_total{route="model",status="404"} 1' in text
    assert "model_manager_catalog_changes_total 1" in text
    assert all(line.startswith(("#", "model_manager_catalog_")) for line in text.splitlines())


async def test_a_trail_is_json_within_json(client: Client) -> None:
    await client.put("/models/a", model("a.pt"))
    async with client.session.get("/audit", headers={"Authorization": "Bearer ann-may-write"}) as response:
        told = orjson.loads(await response.read())["data"]
    assert told[0]["after"]["name"] == "a.pt"
