"""The catalog's doctor, asked through the aggregator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web as server
from redis.asyncio import Redis

from model_manager.catalog.run import serve as catalog_at
from model_manager.catalog.server import Rules
from tests.bus.servers import Server
from tests.catalog.conftest import RECORDS
from tests.fleet.stage import Client, served, settings_for
from tests.sources.serving import served as site_at

SEEN = datetime.now(UTC) - timedelta(hours=2)
CHECKUP = {
    "number": 3, "state": "done", "why": "", "who": "ops", "started": "2026-01-01T00:00:00Z", "seen": SEEN.isoformat(), "ended": None,
    "visit": True, "fix": False, "records": 10, "examined": 10, "wrong": 1, "mendable": 1, "mended": 0, "kinds": {"gone": 1},
}  # fmt: skip
FOUND = {
    "kind": "gone", "record": "model", "id": "x", "name": "<b>x</b>\n", "what": "it answered 404", "fix": "", "url": "javascript:alert(1)",
    "token": None, "mended": False,
}  # fmt: skip


async def asked(redis: Redis, shared: Server, state: Path, handler: Any, paths: Any, **more: str) -> list[Any]:
    """What the fleet answers to each (method, path, status)."""
    found = []
    async with site_at(handler) as host:
        settings = settings_for(shared.url, state, EMPROPS_API_BASE_URL=f"http://{host}", **more)
        async with served(settings) as fleet:
            for method, path, status in paths:
                headers = {"Authorization": "Bearer a-token-for-writes"}
                async with fleet.session.request(method, fleet.url + path, headers=headers) as answer:
                    assert answer.status == status, await answer.text()
                    found.append(await answer.json(content_type=None))
    return found


async def test_k8_what_it_found_is_told_with_its_age_and_as_text(redis: Redis, shared: Server, tmp_path: Path) -> None:
    seen: list[str] = []

    async def catalog(request: server.Request) -> server.Response:
        seen.append(f"{request.method} {request.path_qs} {request.headers.get('Authorization')}")
        body = {"latest": CHECKUP, "shown": CHECKUP, "findings": [FOUND, 7], "findings_total": 1}
        return server.json_response({"data": body if request.method == "GET" else CHECKUP, "error": None})

    paths = [("GET", "/doctor?kind=gone", 200), ("POST", "/doctor?visit=false", 202), ("DELETE", "/doctor", 200)]
    report, begun, ended = await asked(redis, shared, tmp_path, catalog, paths, EMPROPS_API_KEY="writer")
    assert 7_000 < report["latest"]["age"] < 9_000
    assert (report["latest"]["kinds"], report["findings_total"], report["message"]) == ({"gone": 1}, 1, "")
    (row,) = report["findings"]
    assert (row["url"], row["name"], row["what"]) == (None, "<b>x</b>\\n", "it answered 404")
    assert (begun["outcome"], ended["outcome"]) == ("begun", "stopping")
    assert seen == [
        "GET /doctor?of=done&kind=gone&limit=200&offset=0 Bearer writer",
        "POST /doctor?visit=false&per_minute=120 Bearer writer",
        "DELETE /doctor Bearer writer",
    ]


@pytest.mark.parametrize(
    ("status", "ours", "kind"),
    [(404, 409, "no-doctor"), (401, 409, "catalog-token"), (503, 503, "catalog-away"), (200, 502, "catalog-strange")],
)
async def test_f3_a_catalog_that_is_no_help_is_told_as_what_it_is(
    redis: Redis, shared: Server, tmp_path: Path, status: int, ours: int, kind: str
) -> None:
    async def catalog(_: server.Request) -> server.Response:
        return server.json_response([], status=status)

    (answer,) = await asked(redis, shared, tmp_path, catalog, [("GET", "/doctor", ours)])
    assert answer["type"].endswith(kind)


async def test_without_a_catalog_it_says_what_to_set(fleet: Client) -> None:
    refused = await fleet.get("/doctor", 409)
    assert (refused["type"].rpartition(":")[2], "EMPROPS_API_BASE_URL" in refused["detail"]) == ("no-catalog", True)
    await fleet.post("/doctor", None, 401, token=None)


async def test_the_catalogs_own_doctor_is_understood(redis: Redis, shared: Server, tmp_path: Path) -> None:
    """Two programs of this release, held against each other."""
    rules = Rules(writers={"ann": "ann-may-write"})
    async with catalog_at(tmp_path / "catalog.sqlite", rules=rules, records=RECORDS) as url:
        settings = settings_for(shared.url, tmp_path / "f", EMPROPS_API_BASE_URL=url, EMPROPS_API_KEY="ann-may-write")
        async with served(settings) as fleet:
            assert (await fleet.get("/doctor"))["latest"] is None
            await fleet.post("/doctor?visit=false", None, 202)
            done = await fleet.until("/doctor", lambda body: body["latest"]["state"] == "done" and body["shown"])
            assert done["findings_total"] == sum(done["shown"]["kinds"].values())
            assert {each["record"] for each in done["findings"]} <= {"model", "workflow"}
