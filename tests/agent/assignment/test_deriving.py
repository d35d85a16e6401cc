from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.agent.assignment.deriving import Deriving
from model_manager.agent.assignment.wanting import Wanting
from model_manager.decisions.workflows.referring import referred
from model_manager.errors import NotFound
from model_manager.facts.flow import Flow
from model_manager.facts.model import Assignment, Described, WorkflowRecord
from model_manager.index.reading import Shop
from model_manager.sources.catalog_cache import CachedCatalog
from tests.agent.stage import AT, Stage, model
from tests.decisions.workflows.drawing import node, ui

FLOW = Flow(name="f.json", file="/f.json", workflow=referred(ui(node(1, "VAELoader", "x.safetensors"))))
UNREAD = Flow(name="g.json", file="/g.json", why="it is broken")


class Catalog:
    """It knows one model, and counts the questions."""

    host = "catalog:80"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def models(self, names: object) -> dict[str, object]:
        assert isinstance(names, list)
        self.asked += names
        missing = NotFound(where="the catalog", name="it")
        return {name: model("vae/x.safetensors", b"x") if name == "x.safetensors" else missing for name in names}

    workflows = collections = models


def wanting(scene: Stage, catalog: Catalog, index: Path | None = None) -> Wanting:
    file = index or scene.state / "index.sqlite"
    cached = CachedCatalog(catalog, scene.state / "cache", scene.clock.now)  # type: ignore[arg-type]
    return Wanting(scene.board, scene.shelves, cached, scene.state, Deriving(scene.board, lambda: Shop.open(file)))


@pytest.fixture
async def here(scene: Stage) -> Stage:
    await scene.index.configured([scene.root], at=AT)
    return scene


async def test_files_become_records_beside_those_of_the_catalog(here: Stage) -> None:
    deriving = Deriving(here.board, lambda: Shop.open(here.state / "index.sqlite"))
    assert deriving.asks((FLOW, UNREAD)) == Assignment(models=("x.safetensors",))
    said = await deriving.described((FLOW, UNREAD), Described(workflows=(WorkflowRecord(name="w"),)))
    assert [each.name for each in said.workflows] == ["w", "f.json", "g.json"]


async def test_a_file_is_wanted_with_what_the_catalog_promises_of_its_models(here: Stage) -> None:
    catalog = Catalog()
    here.board.flows = (FLOW,)
    await wanting(here, catalog).look()
    assert here.board.requirements is not None
    (only,) = here.board.requirements.wanted
    assert (str(only.model.path), only.required, only.needed_by) == ("vae/x.safetensors", True, ("workflow:f.json",))
    assert only.model.pin == model("vae/x.safetensors", b"x").pin
    assert catalog.asked == ["x.safetensors"]


async def test_until_the_files_were_looked_at_nothing_is_required_and_nothing_is_ready(here: Stage) -> None:
    here.board.flows = None
    loop = wanting(here, Catalog())
    await loop.look()
    assert here.board.requirements is None
    here.board.flows = (FLOW, UNREAD)
    await loop.look()
    assert here.board.requirements is not None
    assert not here.board.requirements.complete


async def test_a_push_that_replaces_everything_replaces_the_files_too(here: Stage) -> None:
    here.board.flows = (UNREAD,)
    loop = wanting(here, Catalog())
    loop.push(Assignment(), "replace")
    await loop.look()
    assert here.board.requirements is not None
    assert (here.board.requirements.complete, here.board.requirements.workflows) == (True, ())


async def test_an_index_that_cannot_be_read_keeps_what_was_known(here: Stage, tmp_path: Path) -> None:
    here.board.flows = (FLOW,)
    await wanting(here, Catalog()).look()
    before = here.board.requirements
    await wanting(here, Catalog(), tmp_path / "none").look()
    assert here.board.requirements is before
    assert here.board.judging_error
    await wanting(here, Catalog()).look()
    assert here.board.judging_error == ""
