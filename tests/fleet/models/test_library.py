"""Models on a real machine, seen and changed through the aggregator: what it knows, pictures, scans, removals."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from model_manager.fleet.models import lore
from model_manager.fleet.registry import number_of
from tests.bus.servers import Server
from tests.fleet.stage import TOKEN, Client, served, settings_for
from tests.stories.machine import Machine, safetensors

AUTH = {"Authorization": f"Bearer {TOKEN}"}
NOWHERE = "http://127.0.0.1:9"
DATA, OTHER = safetensors(60_000), safetensors(60_000, 9)
PLACE, NUMBER = "loras/SD15/a.safetensors", number_of("loras/SD15/a.safetensors")
AT = f"/api/v1/models/{NUMBER}"


def png() -> bytes:
    """One red pixel."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b"")
    )


@dataclass
class Scene:
    machine: Machine
    fleet: Client

    @property
    def file(self) -> Path:
        return self.machine.store / "loras" / "SD15" / "a.safetensors"

    async def body(self, method: str, path: str, body: Any, status: int = 200) -> Any:
        async with self.fleet.session.request(method, self.fleet.url + path, json=body, headers=AUTH) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json(content_type=None)

    async def bytes(self, path: str) -> tuple[int, bytes, Any]:
        async with self.fleet.session.get(self.fleet.url + path) as answer:
            return answer.status, await answer.read(), answer.headers


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server("valkey")
    yield made
    made.close()


@pytest.fixture
async def scene(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """An agent that holds a LoRA with a Forge JSON and a picture, and a fleet that has read it."""
    server.client().flushall()
    monkeypatch.setattr(lore, "FIRST", 0.1)
    monkeypatch.setattr(lore, "EVERY", 0.1)
    home = Path("/tmp") / f"mm-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}"
    machine = Machine(home, NOWHERE, {"REDIS_URL": server.url, "WORKFLOW_IDS": ""})
    folder = machine.store / "loras" / "SD15"
    folder.mkdir(parents=True)
    (folder / "a.safetensors").write_bytes(DATA)
    told = {"sd version": "SD 1.5", "activation text": "red hat, blue", "description": "<script>alert(1)</script>"}
    (folder / "a.json").write_text(json.dumps(told))
    (folder / "a.preview.png").write_bytes(png())
    machine.start()
    try:
        async with served(settings_for(server.url, tmp_path / "fleet")) as fleet:
            await fleet.exact()
            await machine.until_ready()
            await fleet.until("/search", lambda body: body["items"] and body["items"][0]["hashes"])
            await fleet.until("/search?base=SD%201.5", lambda body: body["total"] == 1)  # what lies beside it was read
            yield Scene(machine, fleet)
    finally:
        machine.kill()
        shutil.rmtree(home, ignore_errors=True)


async def test_a_picture_comes_from_its_machine_once_and_as_what_it_is(scene: Scene) -> None:
    status, data, headers = await scene.bytes(f"{AT}/preview")
    assert (status, data, headers["Content-Type"]) == (200, png(), "image/png")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]
    (scene.file.parent / "a.preview.png").unlink()
    assert (await scene.bytes(f"{AT}/preview"))[1] == png()
    assert (await scene.fleet.get(AT))["model"]["has_preview"] is True


async def test_k8_a_page_under_a_pictures_name_is_no_picture(scene: Scene) -> None:
    (scene.file.parent / "a.preview.png").write_bytes(
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"
    )
    status, _, headers = await scene.bytes(f"{AT}/preview")
    assert (status, headers["Content-Type"]) == (404, "application/problem+json")


async def test_what_a_machine_knows_is_found_by_the_filters_and_on_the_models_page(scene: Scene) -> None:
    found = await scene.fleet.until("/search?base=SD%201.5", lambda body: body["total"] == 1)
    (row,) = found["items"]
    assert (row["type"], row["base"], row["preview"], row["updates"]) == ("lora", "SD 1.5", f"{AT}/preview", False)
    for path in (
        "/search?tag=red%20hat",
        "/models?under=loras/SD15",
        "/api/v1/models?type=lora",
        "/models?unused=true",
    ):
        assert (await scene.fleet.get(path))["total"] == 1, path
    for path in ("/search?base=SDXL", "/models?tag=green", "/api/v1/models?duplicates=true", "/search?updates=true"):
        assert (await scene.fleet.get(path))["total"] == 0, path
    facets = await scene.fleet.get("/facets")
    assert facets["bases"] == [{"value": "SD 1.5", "models": 1}]
    assert [each["value"] for each in facets["folders"]] == ["loras/", "loras/SD15/"]
    known = await scene.fleet.get(f"/model-details/{PLACE}")
    assert (known["machine_id"], known["why"]) == ("m1", "")
    assert known["hashes"]["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert known["hashes"]["autov2"] == known["hashes"]["sha256"][:10]
    assert len(known["hashes"]["autov3"]) == 12
    assert {each["field"]: each["teller"] for each in known["told"]}["civitai_model_base"] == "forge"
    assert known["files"][0]["path"] == str(scene.file)


async def test_an_override_goes_before_what_machines_tell_and_survives_a_rescan(scene: Scene) -> None:
    named = {"local_path": str(scene.file.parents[1]), "filename": "SD15/a.safetensors"}
    path = "/api/v1/models/update-field"
    await scene.body("PUT", path, {**named, "field": "civitai_model_base", "value": "Pony"})
    again = await scene.body("POST", f"{AT}/rescan", {"getPreview": True})
    assert (again["operations"]["previewDownloaded"], again["stats"]["total"]) == (True, 1)
    assert (await scene.fleet.get("/search?base=Pony"))["total"] == 1
    told = (await scene.fleet.get(f"{AT}/known"))["told"]
    tellers = [each["teller"] for each in told if each["field"] == "civitai_model_base"]
    assert tellers == ["manual", "forge"]
    await scene.body("PUT", path, {**named, "field": "civitai_model_base", "value": None})
    assert (await scene.fleet.get(AT))["model"]["civitai_model_base"] == "SD 1.5"


async def test_removing_is_said_first_then_moved_aside_with_all_that_belongs_to_it_and_comes_back(scene: Scene) -> None:
    named = {"local_path": str(scene.file.parents[1]), "filename": "SD15/a.safetensors"}
    path = "/api/v1/models/delete-from-disk"
    said = await scene.body("DELETE", path, named)
    assert (said["dry_run"], said["bytes"], said["errors"]) == (True, len(DATA), [])
    assert sorted(each["type"] for each in said["deletedFiles"]) == ["metadata", "model", "preview"]
    assert scene.file.exists()
    done = await scene.body("DELETE", path, {**named, "confirm": True})
    assert (done["dry_run"], done["modelRemovedFromDatabase"], bool(done["until"])) == (False, True, True)
    assert list(scene.file.parent.iterdir()) == []
    await scene.fleet.until("/search", lambda body: body["total"] == 0)
    back = await scene.body("POST", "/api/v1/models/restore", {"order": done["order"]})
    assert len(back["files"]) == 3
    assert scene.file.read_bytes() == DATA
    await scene.fleet.until("/search", lambda body: body["total"] == 1 and body["items"][0]["hashes"])
    assert (await scene.body("POST", "/api/v1/models/restore", {"order": done["order"]}))["files"] == []


async def test_a_scan_counts_what_came_and_what_was_read(scene: Scene) -> None:
    assert (await scene.fleet.get("/api/v1/models/scan"))["state"] == "idle"
    await scene.body("POST", "/api/v1/models/scan", {}, 202)
    await scene.fleet.until("/api/v1/models/scan", lambda body: body["begun"])
    (scene.file.parent / "b.safetensors").write_bytes(OTHER)
    state = await scene.fleet.until("/api/v1/models/scan", lambda body: body["stats"]["hashesCalculated"] == 1)
    state = await scene.fleet.until("/api/v1/models/scan", lambda body: body["state"] == "done")
    assert state["stats"] == {
        "total": 2, "added": 1, "updated": 0, "hashesCalculated": 1, "hashesSkipped": 1, "errors": 0,
    }  # fmt: skip
    assert (await scene.body("POST", "/api/v1/models/scan/stop", None))["message"] == "No scan runs."
