from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from model_manager.agent.assignment import wanting as module
from model_manager.agent.assignment.wanting import Wanting, assignment_text, read_assignment
from model_manager.errors import BadRecord, CatalogUnreachable, ModelManagerError, NotFound
from model_manager.facts.event import AssignmentChanged
from model_manager.facts.model import Assignment, Model, WorkflowRecord
from model_manager.facts.record import assignment_record
from model_manager.sources.catalog_cache import CachedCatalog
from tests.agent.stage import Stage, model, running, until

AWAY = CatalogUnreachable(host="catalog:80", why="it cannot be connected to")


class Catalog:
    """It knows two workflows of one model each, and counts the questions."""

    host = "catalog:80"

    def __init__(self) -> None:
        self.known: dict[str, Any] = {
            "w": WorkflowRecord(name="w", models=("a.safetensors",)),
            "v": WorkflowRecord(name="v", models=("b.safetensors",)),
            "a.safetensors": model("vae/a.safetensors", b"a"),
            "b.safetensors": model("vae/b.safetensors", b"b"),
        }
        self.asked: list[list[str]] = []
        self.away = False

    async def _answer(self, names: Iterable[str]) -> dict[str, Any]:
        self.asked.append(list(names))
        missing: ModelManagerError = NotFound(where="the catalog", name="it")
        return {name: AWAY if self.away else self.known.get(name, missing) for name in self.asked[-1]}

    workflows = collections = models = _answer


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEBOUNCE", 0.05)


def wanting(scene: Stage, catalog: Catalog) -> Wanting:
    return Wanting(
        scene.board, scene.shelves, CachedCatalog(catalog, scene.state / "cache", scene.clock.now), scene.state
    )


def paths(scene: Stage) -> list[str]:
    assert scene.board.requirements is not None
    return [str(wanted.model.path) for wanted in scene.board.requirements.wanted]


async def test_what_is_assigned_becomes_requirements_a_manifest_and_an_event(scene: Stage, catalog: Catalog) -> None:
    scene.configure(WORKFLOW_IDS="w")
    await wanting(scene, catalog).look()
    assert paths(scene) == ["vae/a.safetensors"]
    (told,) = await scene.told(AssignmentChanged)
    assert (told.workflows, told.required, told.models) == (("w",), 1, ("vae/a.safetensors",))
    manifest = json.loads((scene.state / "model-manifest.json").read_text())
    assert [entry["name"] for entry in manifest["models"]] == ["a.safetensors"]
    assert scene.board.counters.discovery_seconds is not None


async def test_the_same_answer_again_is_no_news(scene: Stage, catalog: Catalog) -> None:
    scene.configure(WORKFLOW_IDS="w")
    loop = wanting(scene, catalog)
    await loop.look()
    await loop.look()
    assert len(await scene.told(AssignmentChanged)) == 1


async def test_environment_file_and_push_add_up(scene: Stage, catalog: Catalog) -> None:
    scene.configure(WORKFLOW_IDS="w")
    loop = wanting(scene, catalog)
    loop.file.write_text('{"models": ["b.safetensors", " "]}')
    assert loop.read_file()
    loop.push(Assignment(workflows=("v",)), "add")
    assert loop.assignment() == Assignment(workflows=("w", "v"), models=("b.safetensors",))


async def test_a_push_may_replace_everything(scene: Stage, catalog: Catalog) -> None:
    scene.configure(WORKFLOW_IDS="w")
    loop = wanting(scene, catalog)
    loop.push(Assignment(workflows=("v",)), "replace")
    assert loop.assignment() == Assignment(workflows=("v",))


async def test_a_pushed_assignment_survives_a_restart_without_redis(scene: Stage, catalog: Catalog) -> None:
    wanting(scene, catalog).push(Assignment(workflows=("v",)), "replace")
    assert wanting(scene, catalog).assignment() == Assignment(workflows=("v",))


@pytest.mark.parametrize("left", [b"", b"{", b"[]", b'{"assignment": 3, "mode": "add"}', b'{"mode": "add"}', b"\xff"])
async def test_d5_a_damaged_memory_of_a_push_is_none(scene: Stage, catalog: Catalog, left: bytes) -> None:
    (scene.state / "pushed-assignment.json").write_bytes(left)
    scene.configure(WORKFLOW_IDS="w")
    assert wanting(scene, catalog).assignment() == Assignment(workflows=("w",))


async def test_the_same_push_again_rings_nothing(scene: Stage, catalog: Catalog) -> None:
    loop = wanting(scene, catalog)
    loop.push(Assignment(workflows=("v",)), "add")
    assert await scene.board.bells.wanting.wait(1)
    loop.push(Assignment(workflows=("v",)), "add")
    assert not await scene.board.bells.wanting.wait(0.01)


@pytest.mark.parametrize(
    "bad",
    ['{"workflows": ["v"', '["v"]', '{"workflows": [1]}', '{"workflow": ["v"]}', '{"models": {"a": 1}}', "\udcff"],
)
async def test_g3_a_bad_file_keeps_the_old_one_and_is_told(scene: Stage, catalog: Catalog, bad: str, logged) -> None:
    loop = wanting(scene, catalog)
    loop.file.write_text('{"workflows": "w, v"}')
    assert loop.read_file()
    loop.file.write_bytes(bad.encode("utf-8", "surrogateescape"))
    assert not loop.read_file()
    assert loop.assignment() == Assignment(workflows=("w", "v"))
    assert scene.board.assignment_error
    assert any("assignment file refused" in line for line in logged)
    loop.file.write_text('{"workflows": ["v"]}')
    assert loop.read_file()
    assert scene.board.assignment_error == ""


async def test_a_file_that_is_removed_assigns_nothing_more(scene: Stage, catalog: Catalog) -> None:
    loop = wanting(scene, catalog)
    loop.file.write_text('{"workflows": ["w"]}')
    loop.read_file()
    loop.file.unlink()
    assert loop.read_file()
    assert loop.assignment().empty


async def test_f1_a_catalog_that_never_answered_leaves_everything_unknown(scene: Stage, catalog: Catalog) -> None:
    scene.configure(WORKFLOW_IDS="w")
    catalog.away = True
    await wanting(scene, catalog).look()
    assert scene.board.requirements is not None
    assert not scene.board.requirements.complete
    assert scene.board.counters.discovery_seconds is None


async def test_f2_a_catalog_that_leaves_narrows_nothing_and_is_complained_of_once(
    scene: Stage, catalog: Catalog, logged: list[str]
) -> None:
    scene.configure(WORKFLOW_IDS="w")
    loop = wanting(scene, catalog)
    await loop.look()
    catalog.away = True
    await loop.look()
    await loop.look()
    assert paths(scene) == ["vae/a.safetensors"]
    assert scene.board.requirements is not None
    assert (scene.board.requirements.complete, scene.board.requirements.stale) == (True, True)
    assert "cannot be reached" in scene.board.catalog_error
    assert sum("doubtful" in line for line in logged) == 1
    catalog.away = False
    await loop.look()
    assert scene.board.catalog_error == ""


async def test_f7_a_flapping_source_costs_one_look(scene: Stage, catalog: Catalog, monkeypatch) -> None:
    monkeypatch.setattr(module, "DEBOUNCE", 0.3)
    scene.configure(WORKFLOW_IDS="w")
    loop = wanting(scene, catalog)
    async with running(loop.run):
        await until(lambda: scene.board.requirements)
        before = catalog.asked.count(["w", "v"]) + catalog.asked.count(["w"])
        for _ in range(10):
            loop.push(Assignment(workflows=("v",)), "add")
            await asyncio.sleep(0.005)
            loop.push(Assignment(), "add")
            await asyncio.sleep(0.005)
        loop.push(Assignment(workflows=("v",)), "add")
        await until(lambda: len(paths(scene)) == 2)
        looks = catalog.asked.count(["w", "v"]) + catalog.asked.count(["w"]) - before
    assert looks <= 3


async def test_a_catalog_that_comes_back_is_found_without_a_bell(scene: Stage, catalog: Catalog, monkeypatch) -> None:
    monkeypatch.setattr(module, "IMPATIENT", 0.02)
    scene.configure(WORKFLOW_IDS="w")
    catalog.away = True
    async with running(wanting(scene, catalog).run):
        await until(lambda: scene.board.requirements)
        catalog.away = False
        await until(lambda: scene.board.requirements.complete)  # type: ignore[union-attr]


async def test_a_new_description_rings_those_who_work_by_it(scene: Stage, catalog: Catalog) -> None:
    scene.configure(WORKFLOW_IDS="w")
    loop = wanting(scene, catalog)
    await loop.look()
    for bell in (scene.board.bells.fetching, scene.board.bells.gate):
        assert await bell.wait(1)
    described: Model = model("vae/a.safetensors", b"other bytes")
    catalog.known["a.safetensors"] = described
    await loop.look()
    assert await scene.board.bells.fetching.wait(1)
    assert scene.board.requirements is not None
    assert scene.board.requirements.wanted[0].model == described


def test_g1_lists_of_names_are_read_generously() -> None:
    content = {"workflows": " a, ,b,a", "models": ["x", " x ", ""], "collections": []}
    assert assignment_record(content, "here") == Assignment(workflows=("a", "b"), models=("x",))


def test_a_field_that_nobody_knows_is_a_typo_and_no_wish() -> None:
    with pytest.raises(BadRecord, match="workflow_ids"):
        assignment_record({"workflow_ids": ["w"]}, "here")


def test_what_a_person_edits_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "assignment.json"
    said = Assignment(workflows=("w",), collections=("c",), models=("m",))
    file.write_text(assignment_text(said))
    assert read_assignment(file) == said


async def test_what_jobs_wait_for_is_optional(scene: Stage, catalog: Catalog) -> None:
    scene.configure(WORKFLOW_IDS="w")
    loop = wanting(scene, catalog)
    loop.demand((("vae/b.safetensors", "b.safetensors"), ("a.safetensors",), ("nobody-knows.safetensors",)))
    assert await scene.board.bells.wanting.wait(1)
    await loop.look()
    current = scene.board.requirements
    assert current is not None
    assert {str(w.model.path): (w.required, w.needed_by) for w in current.wanted} == {
        "vae/a.safetensors": (True, ("workflow:w",)),
        "vae/b.safetensors": (False, ("jobs",)),
    }
    assert current.complete
    assert [(p.subject, p.blocks) for p in current.problems] == [("nobody-knows.safetensors", False)]


async def test_the_same_demand_again_rings_nothing(scene: Stage, catalog: Catalog) -> None:
    loop = wanting(scene, catalog)
    loop.demand((("b.safetensors",),))
    assert await scene.board.bells.wanting.wait(1)
    loop.demand((("b.safetensors",),))
    assert not await scene.board.bells.wanting.wait(0.01)


async def test_what_a_person_asks_for_is_wanted_beside_the_assignment_and_holds_no_gate(
    scene: Stage, catalog: Catalog
) -> None:
    scene.configure(WORKFLOW_IDS="w")
    loop = wanting(scene, catalog)
    await loop.look()
    loop.ask([model("vae/mine.safetensors", b"m")])
    assert await scene.board.bells.wanting.wait(0)
    await loop.look()
    assert paths(scene) == ["vae/a.safetensors", "vae/mine.safetensors"]
    assert scene.board.requirements is not None
    assert [wanted.required for wanted in scene.board.requirements.wanted] == [True, False]
