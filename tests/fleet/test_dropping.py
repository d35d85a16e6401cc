"""What is dropped on a page: a workflow, a picture, or nonsense."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.bus.servers import Server
from tests.decisions.workflows.drawing import node, ui
from tests.fleet.conftest import Join
from tests.fleet.stage import Client, files, served, settings_for
from tests.stories.machine import catalog, record, safetensors

DRAWN = ui(node(1, "CheckpointLoaderSimple", "SD15/a.safetensors"), node(2, "LoraLoader", "gone.safetensors", 1.0, 1.0))


async def drop(fleet: Client, data: bytes, status: int = 200) -> Any:
    async with fleet.session.post(f"{fleet.url}/workflows/analyze", data=data) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)


def picture(text: bytes) -> bytes:
    """A PNG of one pixel with a workflow, as ComfyUI saves it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"tEXt", b"workflow\0" + text) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("wrap", [lambda text: text, picture], ids=["json", "png"])
async def test_a_workflow_says_what_it_needs_and_who_has_it(fleet: Client, join: Join, wrap: Any) -> None:
    await join("m1").begin(*files("SD15/a.safetensors", folder="checkpoints"))
    await join("m2").begin()
    await fleet.until("/fleet", lambda body: body["models"]["distinct"] == 1 and body["machines"]["live"] == 2)
    told = await drop(fleet, wrap(json.dumps(DRAWN).encode()))
    assert [(each["folder"], each["name"], each["machines"]) for each in told["models"]] == [
        ("checkpoints", "SD15/a.safetensors", 1),
        ("loras", "gone.safetensors", 0),
    ]
    missing = {each["machine_id"]: [model["name"] for model in each["missing"]] for each in told["items"]}
    assert missing == {"m1": ["gone.safetensors"], "m2": ["SD15/a.safetensors", "gone.safetensors"]}
    assert told["complete"] is True


@pytest.mark.parametrize(("data", "status"), [(b"", 400), (b"no workflow", 422), (b'{"a": 1}', 422)])
async def test_what_is_no_workflow_is_refused(fleet: Client, data: bytes, status: int) -> None:
    await drop(fleet, data, status)


async def test_k9_a_file_that_is_too_large_is_refused(fleet: Client) -> None:
    await drop(fleet, b"[" + b" " * (65 * 1024 * 1024), 413)


async def test_k9_a_page_of_another_origin_may_not_ask(fleet: Client) -> None:
    headers = {"Origin": "http://evil.example"}
    async with fleet.session.post(f"{fleet.url}/workflows/analyze", data=b"{}", headers=headers) as answer:
        assert answer.status == 403


async def test_what_the_catalog_knows_of_it_is_a_source_with_size_and_hash(
    redis: Redis, shared: Server, join: Join, tmp_path: Path
) -> None:
    data = safetensors(5000, 1)
    record_ = record("gone.safetensors", "https://example.com/gone.safetensors", "models/loras/gone.safetensors", data)
    await join("m1").begin(*files("SD15/a.safetensors", folder="checkpoints"))
    async with (
        catalog(tmp_path / "c", {"models": [record_], "workflows": []}) as address,
        served(settings_for(shared.url, tmp_path, EMPROPS_API_BASE_URL=address)) as fleet,
    ):
        await fleet.exact()
        await fleet.until("/fleet", lambda body: body["machines"]["live"] == 1)
        told = await drop(fleet, json.dumps(DRAWN).encode())
    here, gone = told["models"]
    assert (here["holders"], gone["holders"]) == (["m1"], [])
    assert [(each["teller"], each["url"]) for each in gone["sources"]] == [("catalog", record_["downloadUrl"])]
    assert (gone["hash"], gone["size"], told["doubts"]) == (record_["hash"], len(data), [])
    assert [(each["machine_id"], each["bytes"], each["unknown"]) for each in told["items"]] == [("m1", len(data), 0)]


async def test_a_directory_that_a_node_names_leaves_open_who_can_run_it(fleet: Client, join: Join) -> None:
    await join("m1").begin(*files("SD15/a.safetensors", folder="checkpoints"))
    await fleet.until("/fleet", lambda body: body["machines"]["live"] == 1)
    told = await drop(fleet, json.dumps(ui(node(1, "DiffusersLoader", "pipe"))).encode())
    assert [each["has_all"] for each in told["items"]] == [None]
