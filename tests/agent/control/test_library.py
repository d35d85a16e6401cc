from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_manager.agent.control.library import library_actions
from model_manager.agent.control.socket import Action
from model_manager.agent.holdings.hashing import Hashing
from model_manager.agent.holdings.importing import Importing
from model_manager.agent.holdings.roots import Roots
from model_manager.agent.holdings.tracking import Tracking
from model_manager.agent.holdings.verifying import Verifying
from model_manager.errors import BadRequest
from model_manager.facts import wire
from tests.agent.stage import AT, Stage
from tests.neighbours.writing import STABLEQUEUE, database, insert

A, B = "loras/a.safetensors", "loras/b.safetensors"


@pytest.fixture
async def actions(scene: Stage, looks: list[str]) -> dict[str, Action]:
    roots = Roots([scene.root], scene.index)
    await roots.load(AT)
    return library_actions(
        Hashing(scene.board, scene.shelves, scene.index, scene.readers),
        Verifying(scene.board, scene.shelves, scene.readers),
        Tracking(scene.board, roots),
        Importing(scene.board, scene.shelves, scene.index),
        _noting(looks),
    )


def _noting(looks: list[str]) -> Callable[[], None]:
    return lambda: looks.append("look")


@pytest.fixture
def looks() -> list[str]:
    return []


async def test_a_scan_looks_and_tries_what_could_not_be_read_again(
    scene: Stage, actions: dict[str, Action], looks: list[str]
) -> None:
    scene.shelves.pass_over(await scene.holds(A))
    assert await actions["scan"]({}) == {"accepted": True}
    assert looks == ["look"]
    assert not scene.shelves._passed_over


async def test_all_models_or_those_that_are_named_are_verified(scene: Stage, actions: dict[str, Action]) -> None:
    held = await scene.holds(A)
    await scene.holds(B)
    assert await actions["verify"]({"files": [held.file]}) == {"accepted": True, "files": 1}
    assert await actions["verify"]({}) == {"accepted": True, "files": 2}


@pytest.mark.parametrize("files", ["/a", [1], {"a": 1}, 7])
async def test_what_is_no_list_of_paths_is_refused(actions: dict[str, Action], files: Any) -> None:
    with pytest.raises(BadRequest, match="no list of paths"):
        await actions["verify"]({"files": files})


async def test_directories_are_added_removed_and_listed(actions: dict[str, Action], tmp_path: Path) -> None:
    (tmp_path / "nas").mkdir()
    path = str(tmp_path / "nas")
    added = wire.loads(wire.dumps(await actions["directories"]({"add": path, "folder": "loras"})))
    assert {each["path"]: each["folder"] for each in added["directories"]}[path] == "loras"
    assert len((await actions["directories"]({}))["directories"]) == 2
    assert len((await actions["directories"]({"remove": path}))["directories"]) == 1


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("directories", {"add": 7}),
        ("directories", {"add": ""}),
        ("directories", {"add": "/tmp", "folder": 7}),
        ("directories", {"remove": []}),
        ("import", {}),
        ("import", {"path": 7}),
        ("import", {"path": "/tmp", "base": ""}),
    ],
)
async def test_what_is_no_text_is_refused_and_says_what_to_send(
    actions: dict[str, Action], name: str, asked: dict[str, Any]
) -> None:
    with pytest.raises(BadRequest, match="Send"):
        await actions[name](asked)


async def test_an_import_answers_what_it_came_to_whatever_the_names_are(
    scene: Stage, actions: dict[str, Action], tmp_path: Path
) -> None:
    held = await scene.holds(A)
    path = database(tmp_path / "mobilesd_models.sqlite", STABLEQUEUE["24 columns"])
    for number, name in enumerate(("a.safetensors", "gone\n\x1b[31m.safetensors")):
        insert(path, "models", {"id": number, "local_path": str(scene.store / "loras"), "filename": name})
    answer = await actions["import"]({"path": str(path), "dry": True})
    assert answer["files"] == (held.file,)
    (odd,) = answer["odd"]
    assert odd["where"].endswith("gone\\n\\x1b[31m.safetensors")
    assert b"gone" in wire.dumps(answer)


async def test_k12_a_name_that_is_not_utf8_can_be_answered(
    scene: Stage, actions: dict[str, Action], tmp_path: Path
) -> None:
    note = tmp_path / "hub" / ".cache" / "huggingface" / "download"
    note.mkdir(parents=True)
    for directory, ending in ((os.fsencode(tmp_path / "hub"), b""), (os.fsencode(note), b".metadata")):
        with open(directory + b"/\xff.safetensors" + ending, "wb") as file:
            file.write(f"{'c' * 40}\n{'ab12' * 16}\n9999999999\n".encode())
    answer = await actions["import"]({"path": str(tmp_path / "hub"), "dry": True})
    assert [each.endswith("\\udcff.safetensors") for each in answer["strangers"]] == [True]
    assert wire.dumps(answer)
