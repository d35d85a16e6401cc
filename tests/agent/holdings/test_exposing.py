from __future__ import annotations

import os
from pathlib import Path

from model_manager.agent.holdings.exposing import Exposing
from tests.agent.stage import Stage

PLACE = "vae/a.safetensors"


def exposing(scene: Stage) -> Exposing:
    return Exposing(scene.board, scene.store, scene.state)


def comfy(scene: Stage, *, cloned: bool = True, **more: str) -> Path:
    tree = scene.store.parent / "ComfyUI"
    if cloned:
        (tree / "models").mkdir(parents=True, exist_ok=True)
    scene.configure(COMFYUI_BASE_PATH=str(tree), **more)
    return tree / "models"


async def test_models_are_linked_into_the_tree(scene: Stage) -> None:
    scene.put(PLACE)
    models = comfy(scene)
    await exposing(scene).expose()
    assert os.readlink(models / PLACE) == str(scene.store / PLACE)


async def test_a_tree_that_was_wiped_and_cloned_anew_gets_its_links_again(scene: Stage) -> None:
    scene.put(PLACE)
    shown = exposing(scene)
    models = comfy(scene)
    await shown.expose()
    (models / PLACE).unlink()
    await shown.expose()
    assert (models / PLACE).exists()


async def test_a_tree_that_is_not_cloned_yet_is_not_made(scene: Stage) -> None:
    models = comfy(scene, cloned=False)
    await exposing(scene).expose()
    assert not models.exists()


async def test_without_links_only_the_yaml_is_written(scene: Stage) -> None:
    scene.put(PLACE)
    models = comfy(scene, MODEL_MANAGER_EXPOSE="none")
    shown = exposing(scene)
    await shown.expose()
    assert list(models.iterdir()) == []
    assert str(scene.store) in shown.yaml.read_text()


async def test_the_yaml_is_only_written_when_it_says_something_new(scene: Stage) -> None:
    shown = exposing(scene)
    await shown.expose()
    before = shown.yaml.stat()
    await shown.expose()
    assert shown.yaml.stat().st_ino == before.st_ino
    shown.yaml.write_text("half")
    await shown.expose()
    assert str(scene.store) in shown.yaml.read_text()


async def test_a_store_that_is_the_tree_is_not_linked_into_itself(scene: Stage) -> None:
    scene.put(PLACE)
    scene.configure(COMFYUI_MODELS_PATH=str(scene.store))
    await exposing(scene).expose()
    assert not (scene.store / PLACE).is_symlink()


async def test_what_stands_in_the_way_is_said_once(scene: Stage, logged: list[str]) -> None:
    shown = exposing(scene)
    shown.yaml.with_suffix(".tmp").mkdir()
    for _ in range(3):
        await shown.expose()
    assert sum("could not be shown" in line for line in logged) == 1
    shown.yaml.with_suffix(".tmp").rmdir()
    await shown.expose()
    assert shown.yaml.exists()
