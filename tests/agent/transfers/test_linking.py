from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.agent.transfers.linking import Linking
from model_manager.errors import Occupied, StillChanging
from model_manager.facts.disk import Held
from model_manager.facts.model import Model
from model_manager.facts.plan import Link
from tests.agent.stage import AT, Stage, model, wanted

DATA = b"weights of a model"
A = model("vae/a.safetensors", DATA)


def linking(scene: Stage) -> Linking:
    return Linking(scene.shelves, scene.root, scene.clock)


def step(held: Held, wants: Model = A, replaces: Held | None = None) -> Link:
    return Link(wanted=wanted(wants), held=held, replaces=replaces)


async def test_the_bytes_get_their_second_name_and_count_as_what_the_pin_says(scene: Stage) -> None:
    twin = await scene.holds("loras/x.safetensors", DATA, evidence="content")
    held = await linking(scene).bring(step(twin))
    assert (scene.store / "vae/a.safetensors").read_bytes() == DATA
    assert (held.evidence, held.against, held.verified_at) == ("pin", str(A.pin), AT)
    assert scene.shelves.held[held.file] == held


async def test_without_a_pin_the_evidence_of_the_twin_stands(scene: Stage) -> None:
    twin = await scene.holds("loras/x.safetensors", DATA, evidence="origin")
    held = await linking(scene).bring(step(twin, model("vae/a.safetensors")))
    assert held.evidence == "origin"


async def test_a_file_that_was_judged_wrong_makes_way(scene: Stage) -> None:
    wrong = await scene.holds("vae/a.safetensors", b"wrong", evidence=None)
    twin = await scene.holds("loras/x.safetensors", DATA)
    await linking(scene).bring(step(twin, replaces=wrong))
    assert (scene.store / "vae/a.safetensors").read_bytes() == DATA


async def test_a_file_that_nobody_judged_stays(scene: Stage) -> None:
    scene.put("vae/a.safetensors", b"somebody's")
    twin = await scene.holds("loras/x.safetensors", DATA)
    with pytest.raises(Occupied):
        await linking(scene).bring(step(twin))
    assert (scene.store / "vae/a.safetensors").read_bytes() == b"somebody's"


async def test_a_twin_that_left_is_not_asked_again(scene: Stage) -> None:
    twin = await scene.holds("loras/x.safetensors", DATA)
    Path(twin.file).unlink()
    with pytest.raises(StillChanging):
        await linking(scene).bring(step(twin))
    assert twin.file in scene.shelves._passed_over


async def test_a_twin_that_is_not_known_whole_is_not_linked(scene: Stage) -> None:
    twin = await scene.holds("loras/x.safetensors", DATA, hashed=False)
    with pytest.raises(StillChanging):
        await linking(scene).bring(step(twin))
