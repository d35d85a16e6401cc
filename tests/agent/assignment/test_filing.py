from __future__ import annotations

import json
from pathlib import Path

import pytest

from model_manager.agent.assignment import filing as module
from model_manager.agent.assignment.filing import Filing, listed
from model_manager.facts.flow import Flow
from tests.agent.stage import Stage
from tests.decisions.workflows.drawing import node, ui
from tests.library.carrying import png, text


def drawn(*names: str) -> str:
    return json.dumps(ui(*(node(n, "VAELoader", name) for n, name in enumerate(names, 1))))


def told(scene: Stage) -> dict[str, tuple[list[str], bool]]:
    """By name: the models that were read last, and whether the file can be read now."""
    return {flow.name: (_models(flow), not flow.why) for flow in scene.board.flows or ()}


def _models(flow: Flow) -> list[str]:
    return [name for each in (flow.workflow.needed if flow.workflow else ()) for name in each.names]


@pytest.fixture
def flows(scene: Stage, tmp_path: Path) -> Path:
    directory = tmp_path / "flows"
    directory.mkdir()
    scene.configure(MODEL_MANAGER_WORKFLOW_DIR=str(directory))
    return directory


async def test_before_the_first_look_nobody_knows_what_is_assigned(scene: Stage, flows: Path) -> None:
    filing = Filing(scene.board, scene.shelves)
    assert scene.board.flows is None
    await filing.look()
    assert scene.board.flows == ()


async def test_without_such_files_nothing_is_waited_for(scene: Stage) -> None:
    Filing(scene.board, scene.shelves)
    assert scene.board.flows == ()


async def test_what_is_dropped_edited_and_removed_is_told_each_time(scene: Stage, flows: Path) -> None:
    filing = Filing(scene.board, scene.shelves)
    (flows / "a.json").write_text(drawn("x.safetensors"))
    (flows / "b.PNG").write_bytes(png(text("workflow", drawn("y.safetensors"))))
    (flows / ".hidden.json").write_text(drawn("no.safetensors"))
    (flows / "notes.txt").write_text("no")
    await filing.look()
    assert told(scene) == {"a.json": (["x.safetensors"], True), "b.PNG": (["y.safetensors"], True)}
    assert await scene.board.bells.wanting.wait(0)
    await filing.look()
    assert not await scene.board.bells.wanting.wait(0)
    (flows / "a.json").write_text(drawn("x.safetensors", "z.safetensors"))
    (flows / "b.PNG").unlink()
    await filing.look()
    assert told(scene) == {"a.json": (["x.safetensors", "z.safetensors"], True)}
    assert await scene.board.bells.wanting.wait(0)


async def test_g3_a_file_that_breaks_keeps_what_was_read_and_is_told_once(
    scene: Stage, flows: Path, logged: list[str]
) -> None:
    filing = Filing(scene.board, scene.shelves)
    (flows / "a.json").write_text(drawn("x.safetensors"))
    await filing.look()
    (flows / "a.json").write_text("{")
    await filing.look()
    await filing.look()
    assert told(scene) == {"a.json": (["x.safetensors"], False)}
    assert "a.json" in scene.board.flows_error
    assert sum("cannot be read" in line for line in logged) == 1
    (flows / "a.json").write_text(drawn("y.safetensors"))
    await filing.look()
    assert (told(scene), scene.board.flows_error) == ({"a.json": (["y.safetensors"], True)}, "")


async def test_a_file_that_was_never_read_is_unknown(scene: Stage, flows: Path) -> None:
    (flows / "a.json").write_text('{"a": 1}')
    await Filing(scene.board, scene.shelves).look()
    (flow,) = scene.board.flows or ()
    assert (flow.workflow, bool(flow.why)) == (None, True)


async def test_a_directory_that_goes_away_keeps_its_files(scene: Stage, flows: Path) -> None:
    filing = Filing(scene.board, scene.shelves)
    (flows / "a.json").write_text(drawn("x.safetensors"))
    await filing.look()
    flows.rename(flows.with_name("elsewhere"))
    await filing.look()
    assert told(scene) == {"a.json": (["x.safetensors"], False)}
    assert str(flows) in scene.board.flows_error


async def test_a_directory_that_never_was_there_is_unknown(scene: Stage, tmp_path: Path) -> None:
    scene.configure(MODEL_MANAGER_WORKFLOW_DIR=str(tmp_path / "none"))
    await Filing(scene.board, scene.shelves).look()
    assert told(scene) == {str(tmp_path / "none"): ([], False)}


async def test_paths_and_patterns_are_taken_and_names_that_stand_twice_are_paths(scene: Stage, tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "f.json").write_text(drawn(f"{place}.safetensors"))
    scene.configure(WORKFLOW_FILES=f"{tmp_path}/one/f.json, {tmp_path}/*/f.json,{tmp_path}/gone.json")
    await Filing(scene.board, scene.shelves).look()
    assert told(scene) == {
        "f.json": (["one.safetensors"], True),
        str(tmp_path / "two" / "f.json"): (["two.safetensors"], True),
        "gone.json": ([], False),
    }


def test_a_pattern_below_nothing_is_said_and_one_that_finds_nothing_is_no_fault(scene: Stage, tmp_path: Path) -> None:
    scene.configure(WORKFLOW_FILES=f"{tmp_path}/none/*.json,{tmp_path}/*.json")
    found = listed(scene.board.settings)
    assert (list(found.files), list(found.away)) == ([], [str(tmp_path / "none")])


async def test_k9_too_many_files_are_never_half_known_in_silence(
    scene: Stage, flows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    for name in ("a", "b"):
        (flows / f"{name}.json").write_text(drawn("x.safetensors"))
    await Filing(scene.board, scene.shelves).look()
    assert told(scene) == {"a.json": (["x.safetensors"], True), "WORKFLOW_FILES": ([], False)}


async def test_what_a_name_means_is_looked_at_again_when_files_come_or_go(scene: Stage, flows: Path) -> None:
    filing = Filing(scene.board, scene.shelves)
    (flows / "a.json").write_text(drawn("x.safetensors"))
    await filing.look()
    assert await scene.board.bells.wanting.wait(0)
    await scene.holds("vae/x.safetensors")
    await filing.look()
    assert await scene.board.bells.wanting.wait(0)
