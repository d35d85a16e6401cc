"""StableQueue's routes for models, and the faults that its own had."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model_manager.errors import OriginUnavailable
from model_manager.fleet.models.finding import Finding
from model_manager.fleet.ordering import Ordering
from model_manager.fleet.registry import Registry, number_of
from model_manager.fleet.stablequeue.models import Models
from model_manager.fleet.store import Store
from model_manager.serving.problems import Answer
from tests.bus.telling import entry
from tests.fleet.conftest import Join
from tests.fleet.models.test_finding import many
from tests.fleet.stage import TOKEN, Client, files

SHA, OTHER = "ab" * 32, "cd" * 32
AUTH = {"Authorization": f"Bearer {TOKEN}"}


async def sync(fleet: Client, *models: Any, status: int = 200, server: str = "forge-1", **more: Any) -> Any:
    return await fleet.post(f"/api/v1/servers/{server}/models/sync", {"models": list(models), **more}, status)


async def known(fleet: Client, join: Join, *names: str) -> None:
    await join("m1").begin(*files(*names))
    await fleet.until("/machines/m1", lambda body: body["machine"]["state"] == "live")
    await fleet.until("/search", lambda body: body["total"] == len(names))


async def test_rows_have_the_columns_of_the_seed_and_a_true_autov2(fleet: Client, join: Join) -> None:
    """Fault 1: its AutoV2 was that of the first mebibyte."""
    await known(fleet, join, "SD15/a.safetensors")
    body = await fleet.get("/api/v1/models")
    assert (body["success"], body["count"], body["total"]) == (True, 1, 1)
    (row,) = body["models"]
    assert (row["id"], row["name"], row["type"]) == (number_of("loras/SD15/a.safetensors"), "a", "lora")
    assert (row["hash_sha256"], row["hash_autov2"]) == (SHA, SHA[:10])
    assert (row["local_path"], row["filename"]) == ("/models/loras/", "SD15/a.safetensors")
    assert (row["metadata_status"], row["metadata_source"], row["server_count"]) == ("none", "none", 1)


async def test_a_model_is_asked_for_by_number_digest_or_autov2(fleet: Client, join: Join) -> None:
    await known(fleet, join, "a.pt")
    for given in (str(number_of("loras/a.pt")), SHA, SHA[:10]):
        assert (await fleet.get(f"/api/v1/models/{given}/info"))["model"]["filename"] == "a.pt"
    await fleet.get("/api/v1/models/12345/info", 404)
    await fleet.get("/api/v1/models/a.pt/info", 400)


async def test_pages_and_filters_are_not_ignored(fleet: Client, join: Join) -> None:
    """Fault of its GET /models: all rows, whatever was asked."""
    await join("m1").begin(*files("a.pt", "b.pt"), *files("c.pt", folder="checkpoints"))
    await fleet.until("/search", lambda body: body["total"] == 3)
    page = await fleet.get("/api/v1/models?type=lora&offset=1&limit=5")
    assert (page["count"], page["total"], page["models"][0]["filename"]) == (1, 2, "b.pt")
    assert (await fleet.get("/api/v1/models?q=C.PT"))["models"][0]["type"] == "checkpoint"


async def test_two_files_of_one_version_stay_two(fleet: Client) -> None:
    """Fault 3: they collapsed to one row."""
    await sync(
        fleet,
        {"filename": "x-fp16.safetensors", "type": "checkpoint", "hash_sha256": SHA, "civitai_version_id": "7.0"},
        {"filename": "x-fp32.safetensors", "type": "checkpoint", "hash_sha256": OTHER, "civitai_version_id": 7},
    )
    rows = (await fleet.get("/api/v1/models"))["models"]
    assert [(row["filename"], row["civitai_version_id"]) for row in rows] == [
        ("x-fp16.safetensors", "7"),
        ("x-fp32.safetensors", "7"),
    ]
    verified = await fleet.post("/api/v1/checkpoint-verify", {"civitai_version_id": 7}, token=None)
    assert (verified["interpreted_as"], verified["match_type"], verified["available"]) == (
        "civitai_version_id",
        "version",
        False,
    )
    assert verified["reason"] == "no machine of the fleet has it, verified"


async def test_a_whole_inventory_forgets_what_is_gone(fleet: Client) -> None:
    """Fault 8: deleted files stayed available for ever."""
    told = await sync(fleet, {"filename": "a.pt", "type": "lora", "size": 5}, "vae/v.pt")
    assert (told["models"], told["skipped"]) == (2, [])
    assert (await sync(fleet, "loras/b.pt", mode="changes", removed=["vae/v.pt"]))["models"] == 2
    assert [row["filename"] for row in (await fleet.get("/api/v1/models"))["models"]] == ["a.pt", "b.pt"]
    assert (await sync(fleet, "loras/b.pt"))["models"] == 1


@pytest.mark.parametrize("path", ["../x.pt", "/etc/x.pt", "loras/../../x.pt", "nofolder.pt", 7, {"filename": None}, {}])
async def test_a_path_that_could_leave_the_shelves_is_left_out_and_said(fleet: Client, path: Any) -> None:
    told = await sync(fleet, path, "loras/good.pt")
    assert told["models"] == 1
    assert told["skipped"][0].startswith("0: ")


async def test_windows_paths_are_the_same_places(fleet: Client) -> None:
    await sync(fleet, {"filename": "SD15\\a.pt", "type": "lora"})
    assert (await fleet.get("/api/v1/models"))["models"][0]["filename"] == "SD15/a.pt"


async def test_the_hash_of_a_files_name_is_no_hash(fleet: Client) -> None:
    """Forge's substitute."""
    await sync(fleet, {"filename": "a.pt", "type": "lora", "sha256": hashlib.sha256(b"a.pt").hexdigest()})
    assert (await fleet.get("/api/v1/models"))["models"][0]["hash_sha256"] is None


async def test_a_machine_of_ours_is_not_spoken_for(fleet: Client, join: Join) -> None:
    """Fault 12: any name was taken, without a token."""
    await known(fleet, join, "a.pt")
    await sync(fleet, "loras/x.pt", status=409, server="m1")
    await sync(fleet, "loras/x.pt", status=400, server="a.b")
    await fleet.post("/api/v1/servers/f/models/sync", {"models": []}, 401, token=None)


async def test_availability_is_marked_server_by_server(fleet: Client, join: Join) -> None:
    await known(fleet, join, "a.pt")
    path = f"/api/v1/models/{number_of('loras/a.pt')}/availability"
    await fleet.post(path, None, 400)
    await fleet.post(path, None, **{"x-server-id": "forge-1"})
    servers = (await fleet.get(path))["servers"]
    assert [(each["server_id"], each["own"], each["verified"]) for each in servers] == [
        ("m1", True, True),
        ("forge-1", False, False),
    ]
    async with fleet.session.delete(fleet.url + path, headers={**AUTH, "x-server-id": "forge-1"}) as answer:
        assert answer.status == 200
    assert [each["server_id"] for each in (await fleet.get(path))["servers"]] == ["m1"]


async def test_fields_by_hand_survive_and_are_taken_back(fleet: Client, join: Join) -> None:
    await known(fleet, join, "a.pt")
    path = f"{fleet.url}/api/v1/models/{SHA}/fields"
    async with fleet.session.put(path, json={"civitai_model_base": "SDXL", "notes": "<b>"}, headers=AUTH) as answer:
        assert (await answer.json())["model"]["civitai_model_base"] == "SDXL"
    matrix = await fleet.get("/matrix?pivot=base")
    assert [(each["key"], each["rows"]) for each in matrix["groups"]] == [("SDXL", 1)]
    async with fleet.session.put(path, json={"hash_sha256": "x"}, headers=AUTH) as answer:
        assert answer.status == 400
    async with fleet.session.put(path, json={"civitai_model_base": None}, headers=AUTH) as answer:
        assert (await answer.json())["model"]["civitai_model_base"] is None


async def test_a_scan_is_answered_at_once(fleet: Client, join: Join) -> None:
    """Fault 21: the request was held open for hours."""
    await known(fleet, join, "a.pt")
    told = await fleet.post("/api/v1/models/scan", {}, 202)
    assert told["machines"] == ["m1"]
    assert (await fleet.get(f"/orders/{told['order']}"))["what"] == "scan"
    told = await fleet.post(f"/api/v1/models/{SHA}/calculate-hash", None, 202)
    assert (await fleet.get(f"/orders/{told['order']}"))["files"] == ["loras/a.pt"]


async def test_a_reset_needs_a_token_and_leaves_a_copy(fleet: Client, tmp_path: Path) -> None:
    """Faults 2 and 24."""
    await sync(fleet, "loras/a.pt")
    await fleet.post("/api/v1/models/reset-database", None, 401, token=None)
    told = await fleet.post("/api/v1/models/reset-database", None)
    assert (tmp_path / told["backup"]).exists()
    assert (await fleet.get("/api/v1/models"))["total"] == 0
    assert (await sync(fleet, "loras/a.pt"))["models"] == 1


async def test_verifying_a_checkpoint_takes_hashes(fleet: Client, join: Join) -> None:
    await known(fleet, join, "a.pt")
    for given, kind in ((SHA.upper(), "sha256"), (SHA[:10], "autov2")):
        told = await fleet.post("/api/v1/checkpoint-verify", {"civitai_version_id": given}, token=None)
        assert (told["available"], told["match_type"], told["hash"], told["interpreted_as"]) == (
            True,
            kind,
            SHA,
            "model_hash",
        )
    assert (await fleet.post("/api/v1/checkpoint-verify", {"hash": OTHER}, token=None))["reason"] == "nobody knows it"
    await fleet.post("/api/v1/checkpoint-verify", {}, 400, token=None)


class Civitai:
    def __init__(self) -> None:
        self.record: Mapping[str, Any] | None = None
        self.away = False

    async def __call__(self, sha256: str) -> Mapping[str, Any] | None:
        if self.away:
            raise OriginUnavailable(host="civitai.com", name=sha256, why="it is away")
        return self.record


async def test_refreshing_asks_by_hash_and_a_404_takes_nothing_away(tmp_path: Path) -> None:
    """Fault 25: a search by name attached the metadata of another model."""
    view, civitai = many(1), Civitai()
    store = Store(tmp_path / "fleet.sqlite")
    registry = Registry(view, Finding(view), store)

    async def send(*_: Any) -> None: ...

    models = Models(registry, Ordering(view, send, lambda: 0.0), civitai)
    (place,) = view.order()
    asked = {"id": str(number_of(place))}
    civitai.record = {"id": 7, "modelId": 5, "name": "v1", "baseModel": "SDXL 1.0", "model": {"name": "X"}, "files": []}
    told = await models.refresh(asked, {})
    assert (told.found, told.metadata["civitai_model_base"]) == (True, "SDXL 1.0")
    info = await models.info(asked)
    assert (info.model.civitai_version_id, info.model.metadata_status) == ("7", "complete")
    assert await registry.lookup("7") == [SHA]
    civitai.record = None
    assert (await models.refresh(asked, {})).found is False
    assert (await models.info(asked)).model.civitai_model_base == "SDXL 1.0"
    civitai.away = True
    with pytest.raises(Answer) as refused:
        await models.refresh(asked, {})
    assert refused.value.status == 503
    await store.close()


async def test_a_model_without_a_hash_is_not_guessed_by_name(fleet: Client, join: Join) -> None:
    await join("m1").begin(replace(entry("a.pt", verified=False)))
    await fleet.until("/search", lambda body: body["total"] == 1)
    await fleet.post(f"/api/v1/models/{number_of('loras/a.pt')}/refresh-metadata", None, 409)
