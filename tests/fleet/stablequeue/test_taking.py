"""A StableQueue database, sent to the aggregator: what is taken, what is wrong, and that it is never trusted."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from model_manager.errors import BadPath
from model_manager.fleet.registry import number_of
from model_manager.fleet.stablequeue import taking
from model_manager.fleet.stablequeue.taking import shelf_of
from tests.fleet.conftest import Join
from tests.fleet.stage import TOKEN, Client, files, served, settings_for
from tests.neighbours.test_stablequeue import DOCUMENTED, NAME, SHA
from tests.neighbours.writing import STABLEQUEUE, database, insert

AUTH = {"Authorization": f"Bearer {TOKEN}"}
AVAILABLE = (
    "CREATE TABLE model_server_availability (id INTEGER PRIMARY KEY, model_id INT, server_id TEXT, last_seen TEXT);"
)
PLACE = f"loras/Pony/{NAME}"


def made(tmp_path: Path, *rows: dict[str, object], variant: str = "33 columns", servers: tuple[str, ...] = ()) -> bytes:
    path = database(tmp_path / "db" / "mobilesd_models.sqlite", STABLEQUEUE[variant] + AVAILABLE)
    insert(path, "models", *rows)
    found = [{"model_id": row["id"], "server_id": server, "last_seen": "t"} for row in rows for server in servers]
    insert(path, "model_server_availability", *found)
    return path.read_bytes()


async def send(fleet: Client, data: Any, status: int = 200, query: str = "", **headers: str) -> Any:
    url = f"{fleet.url}/api/v1/import{query}"
    async with fleet.session.post(url, data=data, headers={**AUTH, **headers}) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)


@pytest.mark.parametrize("variant", STABLEQUEUE)
async def test_the_documented_row_is_taken_clean_from_every_schema(fleet: Client, tmp_path: Path, variant: str) -> None:
    told = await send(fleet, made(tmp_path, DOCUMENTED, variant=variant, servers=("forge-1", "a.b")))
    assert (told["rows"], told["models"], told["claims"], told["servers"]) == (1, 1, 1, ["forge-1"])
    assert "has no name as machines have" in told["wrong"][0]["why"]
    row = (await fleet.get(f"/api/v1/models/{number_of(PLACE)}"))["model"]
    assert (row["civitai_id"], row["civitai_version_id"], row["civitai_model_base"]) == ("651553", "728915", "Pony")
    assert (row["hash_sha256"], row["hash_autov2"], row["civitai_nsfw"]) == (SHA.lower(), SHA.lower()[:10], None)
    assert "library" in row["tags"]
    assert (row["verified"], row["server_count"]) == (0, 1)


async def test_a_form_is_taken_too_and_a_dry_run_enters_nothing(fleet: Client, tmp_path: Path) -> None:
    data = made(tmp_path, DOCUMENTED, servers=("forge-1",))
    form = aiohttp.FormData()
    form.add_field("note", "hello")
    form.add_field("file", data, filename="mobilesd_models.sqlite")
    told = await send(fleet, form, query="?dry_run=true")
    assert (told["dry_run"], told["models"]) == (True, 1)
    assert (await fleet.get("/api/v1/models"))["total"] == 0


async def test_what_is_wrong_is_left_out_and_said(fleet: Client, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {**DOCUMENTED, "id": 1, "filename": "one.pt", "hash_autov2": "0123456789"},
        {**DOCUMENTED, "id": 2, "filename": "two.pt", "civitai_file_size_kb": 0.8},
        {
            **DOCUMENTED,
            "id": 3,
            "filename": "three.pt",
            "hash_sha256": hashlib.sha256(b"three.pt").hexdigest(),
            "hash_autov2": None,
        },
        {**DOCUMENTED, "id": 4, "filename": "../../etc/four.pt"},
        {**DOCUMENTED, "id": 5, "filename": "five.pt", "type": None, "local_path": "/data"},
        {**DOCUMENTED, "id": 6, "filename": "one.pt"},
        {
            key: "none" if key.startswith("civitai_m") else value
            for key, value in {**DOCUMENTED, "id": 7, "filename": "s.pt"}.items()
        },
    ]
    told = await send(fleet, made(tmp_path, *rows, servers=("forge-1",)))
    whys = " | ".join(each["why"] for each in told["wrong"])
    for word in ("first mebibyte", "strength of a LoRA", "file's name", "neither its type", "stands there twice"):
        assert word in whys, word
    assert (told["rows"], told["models"]) == (7, 4)
    assert all(each["why"].isprintable() and each["where"].isprintable() for each in told["wrong"])
    held = {row["filename"]: row for row in (await fleet.get("/api/v1/models"))["models"]}
    assert held["Pony/three.pt"]["hash_sha256"] is None
    assert held["Pony/two.pt"]["civitai_file_size_kb"] is None
    assert held["Pony/s.pt"]["civitai_model_base"] is None


async def test_bytes_that_a_machine_has_are_known_by_their_hash_wherever_they_lie(
    fleet: Client, join: Join, tmp_path: Path
) -> None:
    await join("m1").begin(*files("elsewhere.safetensors", hash=SHA.lower()))
    await fleet.until("/search", lambda body: body["total"] == 1)
    told = await send(fleet, made(tmp_path, DOCUMENTED, servers=("m1",)))
    assert (told["here"], told["claims"]) == (1, 0)
    row = (await fleet.get(f"/api/v1/models/{SHA}"))["model"]
    assert (row["filename"], row["civitai_model_base"]) == ("elsewhere.safetensors", "Pony")


async def test_what_is_no_such_database_is_refused_with_what_to_send(fleet: Client, tmp_path: Path) -> None:
    await send(fleet, b"", 400)
    for data in (b"SQLite format 3", b"<html>", b"PK\x03\x04" * 100, b"SQLite format 3\x00" + b"\xff" * 5000):
        assert "StableQueue" in (await send(fleet, data, 422))["detail"] or len(data) < 16
    other = database(tmp_path / "other.sqlite", "CREATE TABLE x (a);")
    assert "StableQueue" in (await send(fleet, other.read_bytes(), 422))["detail"]
    hostile = "CREATE TABLE y (a); CREATE VIEW models AS SELECT 1 AS local_path, 2 AS filename FROM y;"
    view = database(tmp_path / "view.sqlite", hostile)
    await send(fleet, view.read_bytes(), 422)
    await send(fleet, b"x", 401, Authorization="Bearer wrong")
    await send(fleet, b"--x\r\nbroken", 400, **{"Content-Type": "multipart/form-data; boundary=x"})


async def test_k9_a_file_beyond_the_limit_is_refused_and_nothing_of_it_stays(
    redis: Any, shared: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking.tempfile, "tempdir", str(tmp_path))
    settings = settings_for(shared.url, tmp_path / "state", MODEL_MANAGER_FLEET_IMPORT_BYTES="10000")
    async with served(settings) as fleet:
        refused = await send(fleet, b"SQLite format 3\x00" + b"x" * 200_000, 413)
        assert "MODEL_MANAGER_FLEET_IMPORT_BYTES" in refused["detail"]
    assert not list(tmp_path.glob("stablequeue-*"))


async def test_a_wal_that_was_left_open_is_read_as_it_stands(fleet: Client, tmp_path: Path) -> None:
    path = database(tmp_path / "wal.sqlite", STABLEQUEUE["33 columns"], wal=True)
    insert(path, "models", DOCUMENTED)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert (await send(fleet, path.read_bytes()))["models"] == 1


@pytest.mark.parametrize(
    ("directory", "name", "kind", "place"),
    [
        ("/sd/models/Stable-diffusion/xl", "a.safetensors", "checkpoint", "checkpoints/xl/a.safetensors"),
        ("C:\\sd\\models\\Lora\\SD15", "a.pt", "lora", "loras/SD15/a.pt"),
        ("/app/models/Lora/a.pt", "a.pt", "lora", "loras/a.pt"),
        ("/anywhere", "sub\\a.pt", "checkpoint", "checkpoints/sub/a.pt"),
        ("", "a.pt", "lora", "loras/a.pt"),
    ],
)
def test_a_directory_of_forge_is_a_folder_here(directory: str, name: str, kind: str, place: str) -> None:
    assert str(shelf_of(directory, name, kind)) == place


@pytest.mark.parametrize(("directory", "name"), [("/x/loras/..", "a.pt"), ("/x/loras", "../../a.pt"), ("/x/loras", "")])
def test_k1_a_path_that_leads_out_is_none(directory: str, name: str) -> None:
    with pytest.raises(BadPath):
        shelf_of(directory, name, "lora")
