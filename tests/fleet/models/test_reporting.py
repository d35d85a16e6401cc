"""Newer versions as somebody sees them who asks over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web as server
from redis.asyncio import Redis

from tests.bus.servers import Server
from tests.facts.test_release import version
from tests.fleet.conftest import Join
from tests.fleet.models.test_filtering import known
from tests.fleet.stage import TOKEN, Client, served, settings_for
from tests.sources.serving import served as site_at

AT = "/models/check-updates"
HOSTILE = "<img src=x onerror=alert(1)>"


async def site(request: server.Request) -> server.Response:
    """CivitAI: model 7 has three versions for two base models."""
    versions = [
        version(73, baseModel="Pony", name=HOSTILE), version(72, baseModel="SDXL"), version(70, baseModel="SDXL"),
    ]  # fmt: skip
    return server.json_response({"items": [{"id": 7, "name": "x", "modelVersions": versions}]})


@pytest.fixture
async def fleet(redis: Redis, shared: Server, tmp_path: Path) -> AsyncIterator[Client]:
    async with (
        site_at(site) as host,
        served(settings_for(shared.url, tmp_path, MODEL_MANAGER_CIVITAI_API=f"http://{host}")) as client,
    ):
        await client.exact()
        yield client


async def checked(fleet: Client) -> Any:
    begun = await fleet.post(AT, {}, 202)
    assert begun["state"] in ("running", "done")
    return await fleet.until(AT, lambda body: body["state"] == "done")


async def test_a_check_is_begun_answered_at_once_and_found_by_the_filter(fleet: Client, join: Join) -> None:
    await known(fleet, join)
    assert (await fleet.get(AT))["state"] == "idle"
    done = await checked(fleet)
    assert (done["total"], done["asked"], done["updates"], done["why"]) == (1, 1, 2, "")
    found = await fleet.get("/search?updates=true")
    assert sorted(row["name"] for row in found["items"]) == ["SD15/a.pt", "b.pt"]
    assert all(row["updates"] for row in found["items"])


async def test_k8_a_models_page_says_which_version_is_newer_and_how_it_is_fetched(fleet: Client, join: Join) -> None:
    await known(fleet, join)
    before = await fleet.get("/model-details/loras/SD15/a.pt")
    assert (before["releases"], before["listed"], before["checked"]) == ([], None, "")
    await checked(fleet)
    told = await fleet.get("/model-details/loras/SD15/a.pt")
    assert (told["listed"], told["checked"][:2]) == (True, "20")
    rows = {row["version_id"]: row for row in told["releases"]}
    assert [rows[each]["newer"] for each in ("73", "72", "70")] == [False, True, False]
    assert rows["70"]["own"]
    assert rows["73"]["name"] == HOSTILE, "as text, for a page that shows it as text"
    assert rows["72"]["place"] == "loras/SD15/x_v72.safetensors"
    assert rows["72"]["sources"] == ["https://civitai.com/api/download/models/72"]
    assert rows["72"]["hash"].startswith("sha256:")


async def test_listeners_hear_how_far_it_is_and_when_it_is_over(fleet: Client, join: Join) -> None:
    await known(fleet, join)
    kinds: list[str] = []
    async with fleet.session.get(f"{fleet.url}{AT}/progress") as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        async for line in answer.content:
            if line.startswith(b"event: "):
                kinds.append(line.decode().split()[1])
                if len(kinds) == 1:
                    await fleet.post(AT, {"again": True}, 202)
            if line.startswith(b"data: ") and json.loads(line[6:])["state"] == "done":
                break
    assert kinds[0] == kinds[-1] == "update_complete"


async def test_nothing_with_a_number_is_said_and_what_to_do(fleet: Client, join: Join) -> None:
    done = await checked(fleet)
    assert "MODEL_MANAGER_METADATA=civitai" in done["message"]
    assert (await fleet.post(f"{AT}/stop", None))["state"] == "done"


async def test_k9_it_needs_the_token_and_takes_nothing_else(fleet: Client) -> None:
    await fleet.post(AT, {}, 401, token=None)
    await fleet.post(f"{AT}/stop", {}, 401, token=None)
    await fleet.post(AT, {"again": "yes"}, 400)
    await fleet.post(AT, {"url": "http://127.0.0.1"}, 400)
    async with fleet.session.get(f"{fleet.url}{AT}?again=true", headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
        assert answer.status == 400
