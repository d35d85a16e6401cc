"""The questions that are asked most, on both databases, answered as the rest of the catalog would."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model_manager.catalog.records import CatalogModel
from model_manager.catalog.storage.looking import BOTH, Question
from model_manager.catalog.storage.store import Store
from model_manager.facts import wire

STRANGE = "a'; DROP TABLE model;-- \\ % \u202e 模型 \x1e\x1f"
MODEL = CatalogModel(id="m", name="m.pt", sources=("https://h.example/m",), save_to="vae")


@pytest.mark.parametrize("by", ["id", "name", "either"])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("more", [0, 50])
async def test_every_question_is_answered_as_a_transaction_answers_it(
    filled: Store, by: str, whole: bool, more: int
) -> None:
    wanted = ["flux-dev", "t5xxl.safetensors", "nowhere", *(f"no-{n}" for n in range(more))]
    question = Question("model", by, whole)  # type: ignore[arg-type]
    async with filled.reading() as reader:
        expected = sorted(map(tuple, await reader.rows(question, wanted)))
    assert sorted(map(tuple, await filled.database.rows(question, wanted))) == expected
    async with filled.looking() as looker:
        assert sorted(map(tuple, await looker.rows(question, wanted))) == expected
    assert expected


@pytest.mark.parametrize("more", [0, 200])
async def test_records_as_one_text_are_those_that_references_lead_to_each_once(store: Store, more: int) -> None:
    for identity, name in (("a", "a.pt"), ("same", "same"), ("b", "a"), ("c", "c.pt")):
        await store.put(replace(MODEL, id=identity, name=name), "ann")
    nobody = [f"no-{n}" for n in range(more)]
    for wanted in (
        ["same"],
        ["a"],
        ["a.pt", "a"],
        ["b", "a"],
        ["c.pt", "c", "gone", "same"],
        [],
        ["gone"],
        ["c.pt", "\0"],
    ):
        found = await store.by_reference("model", wanted)
        expected = {each.id: each.doc for each in found.values()}
        missing = [each for each in [*wanted, *nobody] if each not in found]
        texts, absent = await store.texts("model", [*wanted, *nobody])
        assert sorted(each["id"] for each in wire.loads(f"[{texts}]")) == sorted(expected)
        assert absent == missing
        async with store.looking() as look, store.reading() as reader:
            for first in BOTH:
                told = await look.texts("model", [*wanted, *nobody], first)
                assert sorted(each["id"] for each in wire.loads(f"[{told.docs}]")) == sorted(expected)
                assert told.absent == missing
            assert (await reader.texts("model", [*wanted, *nobody]))[1] == missing


async def test_who_asks_by_ids_or_by_names_alone_is_answered_by_one_statement(store: Store) -> None:
    for n in range(4):
        await store.put(replace(MODEL, id=f"id{n}", name=f"{n}.pt"), "ann")
    async with store.looking() as look:
        assert (await look.texts("model", ["id0", "id1"], "name")).by == "id"
        assert (await look.texts("model", ["0.pt", "1.pt", "gone"], "id")).by == "name"
        assert (await look.texts("model", ["0.pt", "id1"], "id")).by == "id"
        mixed = await look.texts("model", ["0.pt", "id1"], "name")
        assert (mixed.by, mixed.absent) == ("name", [])


async def test_texts_of_collections_go_by_their_ids(filled: Store) -> None:
    docs, absent = await filled.texts("collection", ["c1", "both"])
    assert wire.loads(docs)["id"] == "c1"
    assert absent == ["both"]


async def test_what_nobody_has_is_no_row_and_nothing_asked_is_nothing_found(filled: Store) -> None:
    for wanted in ([], ["nobody"], [f"nobody-{n}" for n in range(100)]):
        assert await filled.by_reference("model", wanted) == {}


async def test_many_at_once_are_each_found_under_the_reference_that_was_given(store: Store) -> None:
    for n in range(40):
        await store.put(replace(MODEL, id=f"m{n}", name=f"{n}.pt"), "ann")
    wanted = [*(f"m{n}" for n in range(40)), *(f"{n}.pt" for n in range(40))]
    found = await store.by_reference("model", wanted)
    assert list(found) == wanted
    assert all(found[f"m{n}"] == found[f"{n}.pt"] for n in range(40))


async def test_no_text_is_told_apart_wrongly_from_another(store: Store) -> None:
    await store.put(replace(MODEL, id="x", name=STRANGE, description=STRANGE), "ann")
    await store.put(replace(MODEL, id="y", name="y.pt"), "ann")
    found = await store.by_reference("model", [STRANGE, "y", "\0", *(f"no-{n}" for n in range(20))])
    assert {reference: stored.id for reference, stored in found.items()} == {STRANGE: "x", "y": "y"}


async def test_a_collection_goes_by_its_id_alone(filled: Store) -> None:
    assert set(await filled.by_reference("collection", ["c1"])) == {"c1"}
    assert await filled.by_reference("collection", ["both"]) == {}


async def test_every_question_of_one_look_is_of_one_moment(filled: Store) -> None:
    async with filled.looking() as looker:
        before = await looker.by_id("collection", ["c1"])
        await filled.delete("collection", "c1", "ann")
        assert await looker.by_id("collection", ["c1"]) == before
    assert await filled.by_id("collection", ["c1"]) == {}


async def test_a_look_that_fails_leaves_the_next_one_alone(filled: Store) -> None:
    for _ in range(10):
        with pytest.raises(ValueError, match="ours"):
            async with filled.looking():
                raise ValueError("ours")
    assert await filled.by_id("model", ["t5"])
