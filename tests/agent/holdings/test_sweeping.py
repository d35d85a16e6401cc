from __future__ import annotations

import os
from pathlib import Path

import pytest

from model_manager.agent.holdings.sweeping import KEEP, Sweeping
from model_manager.library import trash
from model_manager.library.incoming.staging import part_name
from model_manager.library.markers import PARTIAL
from tests.agent.stage import Stage, model, needs

OLD, NEEDED = model("vae/old.safetensors"), model("vae/needed.safetensors")


def partial(scene: Stage, of: object, *, age: float = KEEP + 3600) -> Path:
    file = scene.put(f"{PARTIAL}/{part_name(of.path)}", b"half")  # type: ignore[attr-defined]
    moment = file.stat().st_mtime - age
    os.utime(file, (moment, moment))
    return file


async def test_what_nobody_has_wanted_for_long_is_removed_and_said(scene: Stage, logged: list[str]) -> None:
    old, needed = partial(scene, OLD), partial(scene, NEEDED)
    scene.board.requirements = needs(NEEDED)
    await Sweeping(scene.board, scene.root).sweep()
    assert not old.exists()
    assert needed.exists()
    assert any("nobody wants were removed" in line for line in logged)


async def test_an_assignment_that_comes_back_within_days_finds_its_bytes(scene: Stage) -> None:
    recent = partial(scene, OLD, age=KEEP - 3600)
    scene.board.requirements = needs()
    await Sweeping(scene.board, scene.root).sweep()
    assert recent.exists()


@pytest.mark.parametrize("known", [None, needs(complete=False)])
async def test_unknown_is_not_unwanted(scene: Stage, known: object) -> None:
    old = partial(scene, OLD)
    scene.board.requirements = known  # type: ignore[assignment]
    await Sweeping(scene.board, scene.root).sweep()
    assert old.exists()


async def test_c10_nothing_is_removed_while_the_store_is_away(scene: Stage) -> None:
    old = partial(scene, OLD)
    scene.board.requirements = needs()
    scene.board.lost_roots[str(scene.store)] = "its marker is gone"
    await Sweeping(scene.board, scene.root).sweep()
    assert old.exists()


async def test_a_disk_that_refuses_is_told_and_hurts_nobody(scene: Stage, monkeypatch, logged: list[str]) -> None:
    partial(scene, OLD)
    scene.board.requirements = needs()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("model_manager.library.incoming.staging.os.unlink", refuse)
    await Sweeping(scene.board, scene.root).sweep()
    assert any("could not be swept" in line for line in logged)


async def test_what_was_thrown_away_is_deleted_after_a_week_and_not_before(
    scene: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = scene.put("loras/a.pt")
    trash.throw(scene.root, "o1", [str(file)])
    sweeping = Sweeping(scene.board, scene.root)
    await sweeping.empty()
    assert trash.held(scene.root, "o1")
    monkeypatch.setattr(trash, "KEEP", -60.0)
    scene.board.lost_roots[str(scene.store)] = "its volume is away"
    await sweeping.empty()
    assert trash.held(scene.root, "o1")
    scene.board.lost_roots.clear()
    await sweeping.empty()
    assert not trash.held(scene.root, "o1")
