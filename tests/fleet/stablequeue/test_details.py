"""The small routes for one model."""

from __future__ import annotations

from typing import Any

import pytest

from model_manager.fleet.registry import number_of
from tests.bus.servers import Server
from tests.fleet.conftest import Join
from tests.fleet.replying import described, replying
from tests.fleet.stage import TOKEN, Client, files

AUTH = {"Authorization": f"Bearer {TOKEN}"}
AT = f"/api/v1/models/{number_of('loras/a.pt')}"


async def live(fleet: Client, join: Join, **more: Any) -> None:
    await join("m1").begin(*files("a.pt", **more), *files("c.pt", folder="checkpoints"))
    await fleet.until("/machines/m1", lambda body: body["machine"]["state"] == "live")
    await fleet.until("/search", lambda body: body["total"] == 2)


async def put(fleet: Client, body: Any, status: int = 200) -> Any:
    async with fleet.session.put(f"{fleet.url}/api/v1/models/update-field", json=body, headers=AUTH) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)


async def test_hash_info_says_whether_and_how_long(fleet: Client, join: Join) -> None:
    await live(fleet, join, hash="")
    said = await fleet.get(f"{AT}/hash-info")
    assert (said["model"]["hasHash"], said["model"]["existingHash"]) == (False, None)
    assert said["fileInfo"]["canCalculateHash"] is True
    assert said["fileInfo"]["estimatedTime"] >= 0
    await fleet.post(f"{AT}/fetch-from-civitai", None, 400)


async def test_lists_have_the_files_own_names_and_pages(fleet: Client, join: Join) -> None:
    await live(fleet, join)
    (lora,) = await fleet.get("/api/v1/loras")
    assert (lora["filename"], lora["relativePath"], lora["previewAvailable"]) == ("a.pt", "", None)
    assert lora["previewPath"] == f"{AT}/preview"
    assert [each["filename"] for each in await fleet.get("/api/v1/checkpoints")] == ["c.pt"]
    assert await fleet.get("/api/v1/loras?offset=1") == []


@pytest.mark.parametrize(
    "body",
    [
        {"filename": "a.pt", "field": "hash_sha256", "value": "x"},
        {"filename": "a.pt", "field": "filename", "value": "../x"},
        {"filename": "", "field": "name", "value": "x"},
        {"field": "name", "value": "x"},
        {"filename": "a.pt", "field": "name", "value": {"a": 1}},
        {"filename": "a.pt", "field": "name", "value": "x", "more": 1},
    ],
)
async def test_only_fields_for_people_are_told_by_hand(fleet: Client, join: Join, body: Any) -> None:
    await live(fleet, join)
    await put(fleet, body, 400)


async def test_nsfw_by_hand_stays_what_it_is_when_another_field_is_told(fleet: Client, join: Join) -> None:
    await live(fleet, join)
    named = {"local_path": "/models/loras", "filename": "a.pt"}
    await put(fleet, {**named, "field": "civitai_nsfw", "value": True})
    said = await put(fleet, {**named, "field": "notes", "value": "n"})
    assert said["model"]["civitai_nsfw"] is True
    await put(fleet, {**named, "field": "name", "value": "x", "local_path": "/elsewhere"}, 404)


async def test_a_rescan_asks_a_machine_and_says_what_it_came_to(fleet: Client, join: Join, shared: Server) -> None:
    await live(fleet, join)
    told = [{"field": "civitai_model_base", "value": "SDXL", "teller": "forge", "at": "t"}]
    async with replying(shared.url, "m1", lambda order: described(order, told=told)):
        said = await fleet.post(f"{AT}/rescan", {"getPreview": True})
        assert (said["model"]["updated"], said["operations"]["previewDownloaded"]) == (True, False)
        assert (await fleet.get(AT))["model"]["civitai_model_base"] == "SDXL"
        await fleet.post(f"{AT}/rescan", {"getPreview": "yes"}, 400)


async def test_cleaning_forgets_words_of_what_is_nowhere_and_no_word_of_a_person(fleet: Client, join: Join) -> None:
    await live(fleet, join)
    model = {"filename": "x.pt", "type": "lora", "civitai_version_id": "7"}
    await fleet.post("/api/v1/servers/forge-1/models/sync", {"models": [model]})
    path = f"{fleet.url}/api/v1/models/{number_of('loras/x.pt')}/fields"
    async with fleet.session.put(path, json={"notes": "mine"}, headers=AUTH) as answer:
        assert answer.status == 200
    assert (await fleet.post("/api/v1/models/cleanup-duplicates", None))["clearedCount"] == 0
    await fleet.post("/api/v1/servers/forge-1/models/sync", {"models": []})
    assert (await fleet.post("/api/v1/models/cleanup-duplicates", None))["clearedCount"] == 1
    await fleet.post("/api/v1/servers/forge-1/models/sync", {"models": ["loras/x.pt"]})
    row = await fleet.get(f"/api/v1/models/{number_of('loras/x.pt')}/info")
    assert [each["field"] for each in row["fields"]] == ["notes"]
