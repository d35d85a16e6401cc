"""Who can run a collection, and what it would take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from model_manager.facts.machine import Readiness, WorkflowReadiness
from model_manager.facts.model import (
    Assignment,
    CollectionRecord,
    Described,
    Model,
    Size,
    Source,
    Undescribed,
    WorkflowRecord,
)
from model_manager.facts.shelf import ShelfPath
from model_manager.fleet.collections import Sets
from model_manager.fleet.needs import Demand
from model_manager.fleet.view import View
from model_manager.serving.problems import Answer
from tests.bus.telling import Teller
from tests.fleet.conftest import Join
from tests.fleet.made import Now, looked, view
from tests.fleet.stage import Client, files


def model(name: str) -> tuple[str, Model]:
    path = ShelfPath(folder="vae", name=name)
    return name, Model(
        name=name, path=path, sources=(Source(url="https://h.test/x"),), size=Size(bytes=100, exact=True)
    )


async def describe(assignment: Assignment) -> Described:
    """`art` lists two workflows that share a model; nobody knows another one."""
    (name,) = assignment.collections
    if name != "art":
        return Described(collections=(Undescribed(name=name, why="there is none", missing=True),))
    flows = WorkflowRecord(name="flux", models=("a.pt",)), WorkflowRecord(name="sdxl", models=("a.pt", "b.pt"))
    listed = CollectionRecord(id="art", workflows=("flux", "sdxl"))
    return Described(collections=(listed,), workflows=flows, models=(model("a.pt"), model("b.pt")))


def beating(machine: str, *collections: str, ready: bool = True, **flows: bool) -> Any:
    told = tuple(WorkflowReadiness(name=name, ready=yes, reasons=() if yes else ("no",)) for name, yes in flows.items())
    readiness = Readiness(ready=ready, reasons=(), workflows=told)
    return replace(Teller(machine).beat(readiness=readiness), collections=collections)


def sets(seen: View, describes: Any = describe) -> Sets:
    return Sets(seen, Demand(describes, 60.0, lambda: 0.0))


def asked(**more: Any) -> dict[str, Any]:
    return {"cursor": None, "limit": 100, "q": None, **more}


async def test_each_collection_counts_who_was_told_to_serve_it_and_who_is_ready() -> None:
    seen = view(Now())
    seen.heard(looked(beating("m1", "art", "b"), beating("m2", "art", ready=False), beating("m3"), "m4"))
    found = await sets(seen).collections(asked())
    assert [(row.collection, row.assigned, row.ready) for row in found.items] == [("art", 2, 1), ("b", 1, 1)]
    assert (await sets(seen).collections(asked(q="AR"))).total == 1


async def test_a_machine_runs_a_collection_when_it_is_ready_for_each_workflow() -> None:
    seen = view(Now())
    seen.heard(
        looked(
            beating("told", "art", flux=True, sdxl=True),
            beating("by-itself", flux=True, sdxl=True),
            beating("half", "art", ready=False, flux=True, sdxl=False),
            beating("none"),
        )
    )
    found = await sets(seen).collection(asked(collection="art"))
    assert (found.workflows, found.unknown, found.ready) == (("flux", "sdxl"), "", 2)
    assert [need.name for need in found.needs] == ["a.pt", "b.pt"]
    by_name = {each.machine_id: each for each in found.items}
    assert {name for name, each in by_name.items() if each.ready} == {"told", "by-itself"}
    assert (by_name["half"].reasons, by_name["half"].assigned) == (("no",), True)
    assert (by_name["none"].bytes, len(by_name["none"].missing), by_name["none"].has_all) == (200, 2, False)


async def test_without_a_catalog_those_speak_for_themselves_that_were_told_to_serve_it() -> None:
    seen = view(Now())
    seen.heard(looked(beating("m1", "art"), beating("m2", "art", ready=False), beating("m3")))
    found = await sets(seen, None).collection(asked(collection="art"))
    assert "EMPROPS_API_BASE_URL" in found.unknown
    assert [(each.machine_id, each.ready, each.has_all) for each in found.items] == [
        ("m1", True, None), ("m2", False, None), ("m3", False, None),
    ]  # fmt: skip


async def test_a_collection_that_nobody_knows_is_not_found() -> None:
    seen = view(Now())
    seen.heard(looked(beating("m1", "theirs")))
    with pytest.raises(Answer):
        await sets(seen).collection(asked(collection="unheard"))
    assert (await sets(seen).collection(asked(collection="theirs"))).unknown == "there is none"


async def test_over_http(fleet: Client, join: Join) -> None:
    player = join("m1")
    await player.begin(*files("a.safetensors"), flux=True)
    await player.bus.beat(replace(player.teller.beat(), collections=("my/art",)), {})
    body = await fleet.until("/collections", lambda body: body["total"] == 1)
    assert body["items"] == [{"collection": "my/art", "assigned": 1, "ready": 1}]
    assert (await fleet.get("/collections/my/art"))["items"][0]["assigned"]
    assert (await fleet.get("/machines?collection=my/art&has=a.safetensors"))["total"] == 1
    assert (await fleet.get("/machines?has=loras/b.safetensors"))["total"] == 0
    assert (await fleet.get("/models?verified=true&conflicting=false"))["total"] == 1
    assert (await fleet.get("/models?conflicting=true"))["total"] == 0
