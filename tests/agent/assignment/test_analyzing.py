from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from model_manager.agent.assignment import analyzing as module
from model_manager.agent.assignment.analyzing import Analyzing
from model_manager.decisions.workflows.referring import referred
from model_manager.errors import BadWorkflow, CatalogUnavailable, CatalogUnreachable
from model_manager.facts.flow import Flow
from model_manager.facts.model import Assignment, Described, Model
from model_manager.index.reading import Shop
from tests.agent.stage import AT, Stage, model
from tests.decisions.workflows.drawing import node, prompt, ui

BOTH = ui(node(1, "VAELoader", "x.safetensors"), node(2, "VAELoader", "y.safetensors"))


def analyzing(scene: Stage, *models: Model, fails: CatalogUnavailable | None = None, slow: bool = False) -> Analyzing:
    async def describe(_: Assignment) -> Described:
        if fails:
            raise fails
        await asyncio.sleep(5 if slow else 0)
        return Described(models=tuple((each.path.name, each) for each in models))

    return Analyzing(scene.board, lambda: Shop.open(scene.state / "index.sqlite"), describe)


async def said(made: Analyzing, document: Any) -> dict[str, Any]:
    return await made.sent(json.dumps(document).encode())


@pytest.fixture
async def here(scene: Stage) -> Stage:
    await scene.index.configured([scene.root], at=AT)
    await scene.holds("vae/x.safetensors")
    return scene


async def test_what_is_here_what_is_missing_and_what_it_would_take(here: Stage) -> None:
    found = await said(analyzing(here, model("vae/y.safetensors", b"y" * 9)), BOTH)
    assert [(each["name"], each["state"], each["verified"]) for each in found["models"]] == [
        ("x.safetensors", "loads", True),
        ("y.safetensors", "missing", False),
    ]
    assert {key: found[key] for key in ("has_all", "missing", "bytes", "unknown", "doubts")} == {
        "has_all": False, "missing": 1, "bytes": 9, "unknown": 0, "doubts": [],
    }  # fmt: skip
    assert [each["teller"] for each in found["models"][1]["sources"]] == ["catalog"]


async def test_of_a_model_that_nobody_knows_the_size_is_unknown(here: Stage) -> None:
    found = await said(analyzing(here), BOTH)
    assert (found["bytes"], found["unknown"], found["fits"]) == (0, 1, None)


async def test_with_everything_here_it_can_run_unless_models_may_hide(here: Stage) -> None:
    whole = {"1": {"class_type": "VAELoader", "inputs": {"vae_name": "x.safetensors"}}}
    assert (await said(analyzing(here), whole))["has_all"] is True
    assert (await said(analyzing(here), whole | {"2": {"inputs": {}}}))["has_all"] is None


async def test_a_guess_that_is_not_here_is_not_missed(here: Stage) -> None:
    found = await said(analyzing(here), prompt(n1=("SomeOddNode", {"thing": "z.safetensors"})))
    assert (found["has_all"], found["missing"]) == (True, 0)
    assert [each["confidence"] for each in found["models"]] in ([], ["guess"])


async def test_a_catalog_that_is_away_or_slow_is_a_doubt(here: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    away = CatalogUnreachable(host="catalog:80", why="it cannot be connected to")
    assert "catalog:80" in (await said(analyzing(here, fails=away), BOTH))["doubts"][0]
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    assert "did not answer" in (await said(analyzing(here, slow=True), BOTH))["doubts"][0]


@pytest.mark.parametrize("data", [b"", b"{}", b"\x89PNG\r\n\x1a\n", b"[[[[", b"\xff" * 100])
async def test_k9_what_is_no_workflow_is_refused(here: Stage, data: bytes) -> None:
    with pytest.raises(BadWorkflow):
        await analyzing(here).sent(data)


async def test_the_files_that_are_assigned_are_told_by_their_names(here: Stage) -> None:
    here.board.flows = (
        Flow(name="f.json", file="/f.json", workflow=referred(BOTH)),
        Flow(name="g.json", file="/g.json", why="it is broken"),
    )
    first, second = (await analyzing(here).files())["items"]
    assert (first["workflow"], first["missing"], second) == (
        "f.json", 1, {"workflow": "g.json", "file": "/g.json", "why": "it is broken"},
    )  # fmt: skip
