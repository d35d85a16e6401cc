"""Who can run a workflow, and what it would take: with a real catalog, and without one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from model_manager.catalog.run import serve as serve_catalog
from tests.bus.servers import Server
from tests.fleet.conftest import Join
from tests.fleet.stage import Client, files, served, settings_for

PIN = "cd" * 32


def model(name: str, folder: str, size: int, pin: str = "") -> dict[str, object]:
    return {
        "name": name, "downloadUrl": f"https://h.example/{name}", "saveTo": f"models/{folder}/{name}",
        "fileSize": size, "hash": pin,
    }  # fmt: skip


RECORDS = {
    "models": [
        model("base.safetensors", "diffusion_models", 20_000_000),
        model("ae.safetensors", "vae", 5_000_000, f"sha256:{PIN}"),
        model("big.safetensors", "vae", 90_000_000),
    ],
    "workflows": [
        {"name": "flux", "models": ["base.safetensors", "ae.safetensors"]},
        {"name": "huge", "models": ["big.safetensors"]},
    ],
}


@pytest.fixture
async def described(shared: Server, redis: object, tmp_path: Path) -> AsyncIterator[Client]:
    """A served fleet with a catalog."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serve_catalog(tmp_path / "c.sqlite", records=RECORDS))
        settings = settings_for(shared.url, tmp_path, EMPROPS_API_BASE_URL=url)
        client = await stack.enter_async_context(served(settings))
        await client.exact()
        yield client


async def test_machines_come_in_the_order_of_what_it_would_take(described: Client, join: Join) -> None:
    await join("ready").begin(
        *files("base.safetensors", folder="unet"), *files("ae.safetensors", folder="vae", hash=PIN), flux=True
    )
    await join("able").begin(
        *files("base.safetensors", folder="diffusion_models"), *files("ae.safetensors", folder="vae", hash=PIN)
    )
    await join("linking").begin(
        *files("base.safetensors", folder="unet"), *files("copy.safetensors", folder="other", hash=PIN)
    )
    await join("empty").begin()
    body = await described.until("/who-can?workflow=flux", lambda body: body["total"] == 4 and body["ready"] == 1)
    assert [each["machine_id"] for each in body["items"]] == ["ready", "able", "linking", "empty"]
    ready, able, linking, empty = body["items"]
    assert (ready["ready"], ready["has_all"]) == (True, True)
    assert (able["ready"], able["has_all"], able["assigned"]) == (False, True, False)
    assert linking["missing"] == [{"folder": "vae", "name": "ae.safetensors", "size": 5_000_000, "how": "link"}]
    assert (empty["bytes"], empty["fits"], len(empty["missing"])) == (25_000_000, True, 2)
    assert body["unknown"] == ""
    assert body["needs"][1] == {"folder": "vae", "name": "ae.safetensors", "size": 5_000_000, "hash": PIN}
    assert (await described.get("/workflows/flux"))["items"] == body["items"]
    huge = await described.get("/who-can?workflow=huge&limit=1")
    assert (huge["items"][0]["fits"], huge["items"][0]["bytes"]) == (False, 90_000_000)
    assert huge["next"] is not None


async def test_other_bytes_under_the_name_do_not_count(described: Client, join: Join) -> None:
    await join("m1").begin(*files("base.safetensors", folder="unet"), *files("ae.safetensors", folder="vae"))
    await join("m2").begin(
        *files("base.safetensors", folder="unet"), *files("ae.safetensors", folder="vae", verified=False)
    )
    body = await described.until("/who-can?workflow=flux", lambda body: body["total"] == 2)
    assert {each["machine_id"]: [m["how"] for m in each["missing"]] for each in body["items"]} == {
        "m1": ["fetch"],
        "m2": ["verify"],
    }


async def test_what_is_missing_where(described: Client, join: Join) -> None:
    await join("m1").begin(*files("base.safetensors", folder="unet"), flux=False, unheard=False)
    await join("m2").begin(flux=True)
    body = await described.until("/missing", lambda body: body["total"] == 2)
    flux, unheard = body["items"]
    assert (flux["machine_id"], flux["workflow"], flux["bytes"]) == ("m1", "flux", 5_000_000)
    assert flux["reasons"] == ["vae/x.safetensors is missing"]
    assert unheard["unknown"] != ""
    assert (await described.get("/missing?workflow=flux&machine_id=m2"))["items"] == []


async def test_a_workflow_that_nobody_knows_is_not_found(described: Client) -> None:
    await described.get("/who-can?workflow=unheard", 404)
    await described.get("/who-can", 400)


async def test_without_a_catalog_machines_speak_for_themselves(fleet: Client, join: Join) -> None:
    await join("m1").begin(flux=True)
    await join("m2").begin(flux=False)
    body = await fleet.until("/who-can?workflow=flux", lambda body: body["total"] == 2 and body["ready"] == 1)
    assert "EMPROPS_API_BASE_URL" in body["unknown"]
    assert [(each["machine_id"], each["ready"], each["has_all"]) for each in body["items"]] == [
        ("m1", True, None),
        ("m2", False, None),
    ]
