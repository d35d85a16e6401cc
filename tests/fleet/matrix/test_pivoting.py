"""What the rows of the matrix are grouped by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from model_manager.errors import CatalogUnavailable
from model_manager.facts.machine import Readiness, WorkflowReadiness
from model_manager.facts.model import Assignment, Described, Model, Source, WorkflowRecord
from model_manager.facts.shelf import ShelfPath
from model_manager.fleet.matrix.pivoting import Pivots
from model_manager.fleet.needs import Demand
from model_manager.fleet.view import View
from tests.bus.telling import Teller
from tests.fleet.made import Now, looked
from tests.fleet.models.test_finding import many

PLACES = ("a.pt", "b.pt")


def model(name: str) -> tuple[str, Model]:
    source = Source(url="https://h.test/x")
    return name, Model(name=name, path=ShelfPath(folder="vae", name=name), sources=(source,))


async def describe(assignment: Assignment) -> Described:
    (name,) = assignment.workflows
    if name == "lost":
        raise CatalogUnavailable(host="h", why="it is away")
    return Described(workflows=(WorkflowRecord(name=name, models=PLACES),), models=tuple(map(model, PLACES)))


def seen() -> View:
    found = many(2)
    flows = tuple(WorkflowReadiness(name=name, ready=False, reasons=("no",)) for name in ("flux", "lost"))
    beat = Teller("m1").beat(readiness=Readiness(ready=False, reasons=(), workflows=flows))
    found.heard(looked(replace(beat, collections=("art",))))
    return found


def asked(**more: Any) -> dict[str, Any]:
    return {"q": None, "folder": None, "single": None, "pivot": None, "key": None, "offset": 0, "limit": 100, **more}


async def test_what_a_workflow_needs_is_a_row_although_nobody_has_it() -> None:
    view = seen()
    pivots = Pivots(view, Demand(describe, 60.0, Now()))
    window = await pivots.window(view.order(), asked(pivot="workflow"), lambda row: "")
    assert [(line.key, line.place) for line in window.lines] == [("flux", "vae/a.pt"), ("flux", "vae/b.pt")]
    groups = {group.key: (group.rows, group.unknown) for group in window.groups}
    assert groups["flux"] == (2, "")
    assert groups["lost"][0] == 0
    assert "it is away" in groups["lost"][1]
    narrow = await pivots.window([], asked(pivot="workflow", q="b.pt"), lambda row: "")
    assert [line.place for line in narrow.lines] == ["vae/b.pt"]


async def test_base_models_group_what_somebody_told() -> None:
    view = seen()
    pivots = Pivots(view, Demand(None, 60.0, Now()))
    bases = dict(zip(view.order(), ("SDXL", ""), strict=True))
    window = await pivots.window(view.order(), asked(pivot="base"), lambda row: bases[row.model])
    assert [(group.key, group.rows, group.offset) for group in window.groups] == [("", 1, 0), ("SDXL", 1, 1)]
    only = await pivots.window(view.order(), asked(pivot="base", key=""), lambda row: bases[row.model])
    assert only.total == 1


async def test_folders_stand_together_however_alike_their_names_are() -> None:
    places = sorted(["loras/b", "loras/a/x", "loras-x/a", "loras.y/a", "loras0/a", "loras0/b", "vae/a"])
    view = seen()
    pivots = Pivots(view, Demand(None, 60.0, Now()))
    window = await pivots.window(places, asked(pivot="folder"), lambda row: "")
    assert [(group.key, group.rows) for group in window.groups] == [
        ("loras", 2), ("loras-x", 1), ("loras.y", 1), ("loras0", 2), ("vae", 1),
    ]  # fmt: skip
    assert all(line.place.startswith(f"{line.key}/") for line in window.lines)
    only = await pivots.window(places, asked(pivot="folder", key="loras"), lambda row: "")
    assert [line.place for line in only.lines] == ["loras/a/x", "loras/b"]


async def test_a_catalog_that_is_not_there_is_said() -> None:
    pivots = Pivots(seen(), Demand(None, 60.0, Now()))
    window = await pivots.window([], asked(pivot="collection"), lambda row: "")
    assert [(group.key, group.rows) for group in window.groups] == [("art", 0)]
    assert "no catalog" in window.groups[0].unknown
