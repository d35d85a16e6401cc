from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model_manager.agent.holdings import grouping as module
from model_manager.agent.holdings.grouping import Grouping
from model_manager.errors import RootAway
from model_manager.facts.disk import Diff
from tests.agent.stage import Stage

SHARDS = [f"checkpoints/flux-{number:05}-of-00002.safetensors" for number in (1, 2)]
UNREAD = {"hashed": False, "evidence": None}


def grouping(scene: Stage) -> Grouping:
    return Grouping(scene.board, scene.shelves, scene.index)


async def held(scene: Stage, *places: str) -> None:
    for place in places:
        await scene.holds(place, place.encode(), **UNREAD)


async def leave(scene: Stage, place: str) -> None:
    file = scene.store / place
    file.unlink()
    await scene.shelves.change(Diff(vanished=(scene.shelves.held[str(file)],)))


async def bundles(scene: Stage) -> dict[str, str]:
    """Place → the last part of the key of its group."""
    found = await scene.index.bundled()
    return {str(Path(file).relative_to(scene.store)): Path(key).name for file, key in found.items()}


async def test_shards_are_one_model_and_stay_one_while_one_of_them_is_there(scene: Stage) -> None:
    await held(scene, *SHARDS, "checkpoints/other.safetensors")
    eyes = grouping(scene)
    await eyes.look()
    assert await bundles(scene) == dict.fromkeys(SHARDS, "flux-of-00002.safetensors")
    await leave(scene, SHARDS[1])
    await eyes.look()
    assert await bundles(scene) == {SHARDS[0]: "flux-of-00002.safetensors"}


DIFFUSERS = ["diffusers/sd/unet/model.safetensors", "diffusers/sd/vae/model.safetensors"]


async def test_a_diffusers_folder_is_one_model_as_long_as_it_says_so(scene: Stage) -> None:
    index = scene.put("diffusers/sd/model_index.json", b"{}")
    await held(scene, *DIFFUSERS)
    eyes = grouping(scene)
    await eyes.look()
    assert await bundles(scene) == dict.fromkeys(DIFFUSERS, "sd")
    index.unlink()
    scene.board.scan_finished = "2026-01-02T03:04:01.000Z"
    await eyes.look()
    assert await bundles(scene) == {}


async def test_what_says_that_files_belong_together_may_come_after_them(scene: Stage) -> None:
    await held(scene, *DIFFUSERS)
    eyes = grouping(scene)
    await eyes.look()
    assert await bundles(scene) == {}
    scene.put("diffusers/sd/model_index.json", b"{}")
    scene.board.scan_finished = "2026-01-02T03:04:01.000Z"
    await eyes.look()
    assert await bundles(scene) == dict.fromkeys(DIFFUSERS, "sd")


async def test_a_group_that_fell_apart_while_we_were_away_is_dissolved_after_a_restart(scene: Stage) -> None:
    scene.put("diffusers/sd/model_index.json", b"{}")
    await held(scene, *DIFFUSERS)
    await grouping(scene).look()
    (scene.store / "diffusers/sd/model_index.json").unlink()
    await grouping(scene).look()
    assert await bundles(scene) == {}


async def test_a_part_that_left_and_came_back_belongs_to_its_model_again(scene: Stage) -> None:
    await held(scene, *SHARDS)
    eyes = grouping(scene)
    await eyes.look()
    await leave(scene, SHARDS[0])
    await held(scene, SHARDS[0])
    await eyes.look()
    assert (await bundles(scene)).keys() == set(SHARDS)


async def test_c10_models_in_a_directory_that_is_away_stay_models(scene: Stage) -> None:
    scene.put("diffusers/sd/model_index.json", b"{}")
    await held(scene, *DIFFUSERS)
    eyes = grouping(scene)
    await eyes.look()
    scene.store.rename(scene.store.with_name("unmounted"))
    scene.board.lost_roots[str(scene.store)] = "it does not exist"
    scene.board.scan_finished = "2026-01-02T03:04:01.000Z"
    await eyes.look()
    await grouping(scene).look()
    assert await bundles(scene) == dict.fromkeys(DIFFUSERS, "sd")


async def test_c10_a_directory_that_goes_away_during_the_look_loses_no_model(scene: Stage) -> None:
    scene.put("diffusers/sd/model_index.json", b"{}")
    await held(scene, *DIFFUSERS)
    await grouping(scene).look()
    scene.store.rename(scene.store.with_name("unmounted"))
    await grouping(scene).look()
    assert await bundles(scene) == dict.fromkeys(DIFFUSERS, "sd")


async def test_nobody_looks_while_nothing_came_or_left_and_what_is_learnt_of_files_is_no_reason(
    scene: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await held(scene, *SHARDS)
    eyes, looks = grouping(scene), []
    monkeypatch.setattr(module, "markers_below", lambda root: looks.append(root) or set())
    await eyes.look()
    await scene.shelves.enter(scene.held(SHARDS[0]))
    await eyes.look()
    assert len(looks) == 1


async def test_one_directory_that_cannot_be_looked_at_keeps_no_other_waiting(
    scene: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await held(scene, *SHARDS)
    there = scene.shelves.held[str(scene.store / SHARDS[0])]
    await scene.shelves.enter(
        replace(there, file=str(tmp_path / "nas" / "vae" / "x.safetensors"), root=str(tmp_path / "nas"))
    )
    real = module.markers_below

    def failing(root: str):
        if root.endswith("nas"):
            raise RootAway(root=root, why="Stale file handle")
        return real(root)

    monkeypatch.setattr(module, "markers_below", failing)
    await grouping(scene).look()
    assert (await bundles(scene)).keys() == set(SHARDS)
