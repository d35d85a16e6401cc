from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.agent.assignment.judging import judgement
from model_manager.decisions.workflows.referring import referred
from model_manager.errors import IndexUnavailable
from model_manager.facts.description import Address, Lore
from model_manager.facts.disk import Diff
from model_manager.index.reading import Shop
from tests.agent.stage import AT, Stage
from tests.decisions.workflows.drawing import node, ui

FLOW = referred(ui(node(1, "VAELoader", "x.safetensors"), node(2, "VAELoader", "gone.safetensors")))


async def test_each_reference_is_judged_by_what_the_index_holds(scene: Stage) -> None:
    await scene.index.configured([scene.root], at=AT)
    await scene.holds("vae/x.safetensors")
    judged = judgement(lambda: Shop.open(scene.state / "index.sqlite"), scene.board.settings, [FLOW], indexed=True)
    assert [each.state for each in judged.found[0]] == ["loads", "missing"]
    assert [known.name for known in judged.files] == ["x.safetensors"]
    assert judged.addresses == {}


async def test_what_was_here_once_says_from_where_it_came(scene: Stage) -> None:
    await scene.index.configured([scene.root], at=AT)
    held = await scene.holds("vae/gone.safetensors")
    address = Address.parse("https://example.com/gone.safetensors")
    assert address
    await scene.index.learn([(held.file, Lore(file=held.file, addresses=(address,)))], at=AT)
    await scene.shelves.change(Diff(vanished=(held,)))
    judged = judgement(lambda: Shop.open(scene.state / "index.sqlite"), scene.board.settings, [FLOW], indexed=True)
    assert {wish.name: [each.url for each in found] for wish, found in judged.addresses.items()} == {
        "gone.safetensors": ["https://example.com/gone.safetensors"]
    }


async def test_without_an_index_nothing_is_claimed(scene: Stage, tmp_path: Path) -> None:
    with pytest.raises(IndexUnavailable):
        judgement(lambda: Shop.open(tmp_path / "none"), scene.board.settings, [FLOW], indexed=True)
