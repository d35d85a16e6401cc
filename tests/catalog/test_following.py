from __future__ import annotations

from collections.abc import Collection

from model_manager.catalog import docs
from model_manager.catalog.following import MAX_DEPTH, Followed, cycles, follow, needs_of
from model_manager.catalog.records import CatalogModel, Stored


def _model(name: str, *needs: str) -> CatalogModel:
    return CatalogModel(id=f"id-{name}", name=name, dependencies=needs)


async def _followed(begin: str, *models: CatalogModel) -> Followed:
    known = {each.name: each for each in models}

    async def look(references: Collection[str]) -> dict[str, Stored]:
        return {name: _stored(known[name]) for name in references if name in known}

    return await follow([_stored(known[begin])], look)


def _stored(model: CatalogModel) -> Stored:
    return Stored(id=model.id, name=model.name, revision=1, doc=docs.text_of(model))


def test_what_a_model_needs_is_read_of_its_json_as_of_its_record() -> None:
    odd = CatalogModel(id="o", name="o", description='"dependencies":[]}', dependencies=("x", '"dependencies":[]}'))
    for model in (_model("a"), _model("b", "c", "d"), odd):
        assert needs_of(_stored(model)) == list(model.dependencies)


async def test_what_is_needed_is_met_once_and_the_nearest_first() -> None:
    found = await _followed("a", _model("a", "b", "c"), _model("b", "d"), _model("c", "d"), _model("d"))
    assert [(each.reference, each.depth, each.needed_by) for each in found.met] == [
        ("b", 1, "a"),
        ("c", 1, "a"),
        ("d", 2, "b"),
    ]
    assert (found.cycles, found.complete) == ((), True)


async def test_a_cycle_is_told_with_its_way() -> None:
    found = await _followed("a", _model("a", "b"), _model("b", "c"), _model("c", "b"))
    assert found.cycles == (("b", "c", "b"),)
    assert found.complete


async def test_what_nobody_described_is_met_once_without_a_record() -> None:
    found = await _followed("a", _model("a", "b", "gone"), _model("b", "gone"))
    assert [each.reference for each in found.met if each.stored is None] == ["gone"]


async def test_a_chain_without_an_end_is_left_at_a_limit() -> None:
    chain = [_model(f"m{at}", f"m{at + 1}") for at in range(MAX_DEPTH + 5)]
    found = await _followed("m0", *chain)
    assert len(found.met) == MAX_DEPTH
    assert not found.complete


def test_every_edge_that_leads_back_is_a_cycle_and_a_diamond_is_none() -> None:
    names = {each: each for each in "abcd"}
    assert cycles({"a": ["b", "c"], "b": ["d"], "c": ["d"]}, names) == []
    assert cycles({"a": ["a", "b"], "b": ["a"]}, names) == [("a", "a"), ("a", "b", "a")]
