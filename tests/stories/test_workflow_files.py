"""Workflow files that are assignments: dropped into a directory, edited, broken, and removed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.cli.workflow.conftest import drawn, told
from tests.library.carrying import png, text
from tests.stories.machine import Machine, catalog, record, safetensors, workflow
from tests.stories.origin import FaultyOrigin

FIRST, SECOND, THIRD = safetensors(100_000, 1), safetensors(150_000, 2), safetensors(120_000, 3)


def vae(name: str, url: str, data: bytes) -> tuple[str, list[Any], dict[str, Any]]:
    return "VAELoader", [name], told(name, url, "vae", data)


def flows(machine: Machine) -> dict[str, bool]:
    return {name: flow["ready"] for name, flow in machine.ask("/ready")[1].get("workflows", {}).items()}


async def test_a_workflow_that_is_dropped_edited_broken_and_removed(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    dropped = home / "flows"
    dropped.mkdir()
    one, two = origin.put("one.safetensors", FIRST), origin.put("two.safetensors", SECOND)
    async with catalog(home / "c", {"models": [], "workflows": []}) as address:
        machine = machine_of(address, MODEL_MANAGER_WORKFLOW_DIR=str(dropped), MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        machine.start()
        await machine.until_ready()
        file = dropped / "flow.json"
        file.write_text(json.dumps(drawn(vae("one.safetensors", one, FIRST))))
        await machine.until(lambda: flows(machine) == {"flow.json": True}, "the dropped workflow is ready")
        assert (machine.store / "vae" / "one.safetensors").read_bytes() == FIRST
        file.write_text(json.dumps(drawn(vae("one.safetensors", one, FIRST), vae("two.safetensors", two, SECOND))))
        await machine.until(
            lambda: "vae/two.safetensors" in machine.files() and flows(machine) == {"flow.json": True},
            "what was added to it is fetched",
        )
        file.write_text("{")
        await machine.until(
            lambda: any("flow.json" in said for said in machine.status()["problems"]), "the broken file is told"
        )
        assert flows(machine) == {"flow.json": True}
        assert machine.ready()
        file.unlink()
        await machine.until(lambda: flows(machine) == {} and machine.ready(), "it is no assignment any more")


async def test_a_picture_that_is_named_gets_what_the_catalog_has_and_holds_the_gate_until_then(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    prompt = {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "base.safetensors"}}}
    picture = home / "picture.png"
    picture.write_bytes(png(text("prompt", json.dumps(prompt))))
    url = origin.put("base.safetensors", FIRST)
    shop = {"models": [record("base.safetensors", url, "models/checkpoints/base.safetensors", FIRST)]}
    async with catalog(home / "c", shop | {"workflows": [workflow("none")]}) as address:
        machine = machine_of(address, WORKFLOW_FILES=f"{home}/*.png", MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        machine.start()
        await machine.until_ready()
        assert machine.files() == {"checkpoints/base.safetensors": record("", "", "", FIRST)["hash"]}
        assert flows(machine) == {"picture.png": True}


async def test_what_nobody_knows_is_never_ready_and_a_file_that_is_put_there_mends_it(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    file = home / "flow.json"
    async with catalog(home / "c", {"models": [], "workflows": []}) as address:
        machine = machine_of(address, WORKFLOW_FILES=str(file), MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        machine.start()
        await machine.until(lambda: flows(machine) == {"flow.json": False}, "a file that is not there is unknown")
        file.write_text(json.dumps(drawn(("VAELoader", ["mine.safetensors"], {}))))
        await machine.until(
            lambda: any("vae/mine.safetensors" in why for why in machine.ask("/ready")[1]["reasons"]), "it is missed"
        )
        (machine.store / "vae").mkdir(parents=True, exist_ok=True)
        (machine.store / "vae" / "mine.safetensors").write_bytes(THIRD)
        await machine.until_ready()
        assert flows(machine) == {"flow.json": True}


async def test_an_agent_says_of_a_posted_workflow_what_is_here_and_what_it_would_take(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    url = origin.put("new.safetensors", SECOND)
    shop = {
        "models": [
            record("base", origin.put("base.safetensors", FIRST), "models/vae/base.safetensors", FIRST),
            record("new.safetensors", url, "models/vae/new.safetensors", SECOND),
        ],
        "workflows": [workflow("own", "base")],
    }
    posted = drawn(("VAELoader", ["base.safetensors"], {}), ("VAELoader", ["new.safetensors"], {}))
    async with catalog(home / "c", shop) as address:
        machine = machine_of(address, WORKFLOW_IDS="own", MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        machine.start()
        await machine.until_ready()
        connector = aiohttp.UnixConnector(str(machine.socket))
        async with aiohttp.ClientSession(connector=connector) as session:
            answer = await session.post("http://localhost/workflows/analyze", data=json.dumps(posted).encode())
            said = await answer.json()
            assert answer.status == 200, said
            refused = await session.post("http://localhost/workflows/analyze", data=b"{}")
            assert (refused.status, "workflow" in (await refused.json())["error"]) == (422, True)
    assert [(each["name"], each["state"]) for each in said["models"]] == [
        ("base.safetensors", "loads"),
        ("new.safetensors", "missing"),
    ]
    assert (said["complete"], said["has_all"], said["missing"], said["bytes"]) == (True, False, 1, len(SECOND))
    assert [(each["teller"], each["url"]) for each in said["models"][1]["sources"]] == [("catalog", url)]
