"""The conformance suite of the store: every test runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from model_manager.catalog.records import CatalogCollection, CatalogModel, CatalogWorkflow, Counts, Need
from model_manager.catalog.storage import store as module
from model_manager.catalog.storage.store import Store
from model_manager.errors import CatalogChanged, CatalogConflict, NotFound

MODEL = CatalogModel(id="m", name="m.pt", sources=("https://h.example/m",), save_to="vae", hash="a1" * 32)


async def test_an_id_wins_over_a_name(filled: Store) -> None:
    await filled.put(replace(MODEL, id="x", name="flux-dev"), "ann")
    found = await filled.by_reference("model", ["flux-dev", "x"])
    assert {reference: stored.id for reference, stored in found.items()} == {"flux-dev": "flux-dev", "x": "x"}


async def test_names_are_told_apart_by_case_and_sorted_by_their_bytes(store: Store) -> None:
    for name in ("b.pt", "B.pt", "a.pt", "Ä.pt", "_.pt"):
        await store.put(replace(MODEL, id=name, name=name), "ann")
    assert await store.by_name("model", ["A.pt"]) == {}
    assert [each.name async for each in store.walk("model")] == sorted(["b.pt", "B.pt", "a.pt", "Ä.pt", "_.pt"])


async def test_a_put_of_the_same_changes_nothing_and_is_no_change(store: Store) -> None:
    assert (await store.put(MODEL, "ann")).action == "created"
    before = await store.position()
    written = await store.put(MODEL, "bob")
    assert (written.action, written.stored.revision) == (None, 1)
    assert await store.position() == before


async def test_an_expected_revision_that_is_not_there_writes_nothing(store: Store) -> None:
    with pytest.raises(CatalogChanged):
        await store.put(MODEL, "ann", expected=1)
    await store.put(MODEL, "ann", expected=0)
    with pytest.raises(CatalogChanged):
        await store.put(replace(MODEL, licence="x"), "ann", expected=0)
    assert (await store.put(replace(MODEL, licence="x"), "ann", expected=1)).stored.revision == 2
    with pytest.raises(CatalogChanged):
        await store.delete("model", "m", "ann", expected=1)


async def test_of_writers_at_once_with_the_same_revision_one_writes(store: Store) -> None:
    await store.put(MODEL, "ann")

    async def write(number: int) -> bool:
        try:
            await store.put(replace(MODEL, licence=f"l{number}"), f"w{number}", expected=1)
        except CatalogChanged:
            return False
        return True

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(write(number)) for number in range(8)]
    assert sum(task.result() for task in tasks) == 1
    assert (await store.position()).seq == 2


async def test_changes_are_numbered_without_holes_whoever_writes(store: Store) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(store.put(replace(MODEL, id=f"m{number}", name=f"m{number}.pt"), f"w{number % 3}"))
    position, changes = await store.changes(0, 100)
    assert [each.seq for each in changes] == list(range(1, 21))
    assert position.seq == 20
    assert {each.id for each in changes} == {f"m{number}" for number in range(20)}


async def test_a_name_belongs_to_one_record(store: Store) -> None:
    await store.put(MODEL, "ann")
    with pytest.raises(CatalogConflict, match="'m' has this name"):
        await store.put(replace(MODEL, id="other"), "ann")
    await store.put(replace(MODEL, name="renamed.pt"), "ann")
    assert (await store.put(replace(MODEL, id="other"), "ann")).action == "created"
    assert set(await store.by_reference("model", ["m.pt", "renamed.pt"])) == {"m.pt", "renamed.pt"}


async def test_a_failed_write_leaves_no_trace(store: Store) -> None:
    await store.put(MODEL, "ann")
    before = await store.position()
    for attempt in (
        store.put(replace(MODEL, id="o"), "a"),
        store.delete("model", "nobody", "a"),
        store.make_current("m", "9", "a"),
    ):
        with pytest.raises((CatalogConflict, NotFound)):
            await attempt
    assert await store.position() == before
    assert await store.counts() == Counts(models=1, workflows=0, collections=0)


async def test_versions_share_an_id_and_one_is_answered(store: Store) -> None:
    await store.put(MODEL, "ann")
    await store.put(replace(MODEL, version="2", licence="two"), "ann", current=False)
    assert (await store.by_id("model", ["m"]))["m"].revision == 2
    assert '"version":"1"' in (await store.by_id("model", ["m"]))["m"].doc
    await store.make_current("m", "2", "ann")
    assert '"licence":"two"' in (await store.by_name("model", ["m.pt"]))["m.pt"].doc
    assert [label for label, _ in await store.versions("m")] == ["1", "2"]
    await store.delete_version("m", "1", "ann")
    assert [label for label, _ in await store.versions("m")] == ["2"]
    await store.delete("model", "m", "ann")
    assert await store.versions("m") == ()


async def test_the_answered_version_written_as_one_of_many_is_answered_as_it_is_now(store: Store) -> None:
    await store.put(MODEL, "ann")
    await store.put(replace(MODEL, licence="new"), "ann", current=False)
    for found in (await store.by_id("model", ["m"]), await store.by_reference("model", ["m"])):
        assert '"licence":"new"' in found["m"].doc
    assert dict(await store.versions("m")) == {"1": found["m"].doc}


async def test_what_is_needed_stays_unless_it_is_forced(store: Store) -> None:
    await store.put(MODEL, "ann")
    await store.put(CatalogWorkflow(id="w", name="flow", needs=(Need(model="m.pt"),)), "ann")
    await store.put(CatalogCollection(id="c", name="c", workflows=("flow",)), "ann")
    for kind, key, user in (("model", "m", "workflow:flow"), ("workflow", "w", "collection:c")):
        with pytest.raises(CatalogConflict, match=user):
            await store.delete(kind, key, "ann")  # type: ignore[arg-type]
        await store.delete(kind, key, "ann", force=True)  # type: ignore[arg-type]
    assert await store.counts() == Counts(models=0, workflows=0, collections=1)


async def test_the_trail_holds_what_was_and_what_is(store: Store) -> None:
    await store.put(MODEL, "ann")
    await store.put(replace(MODEL, licence="MIT"), "bob")
    (last, first) = await store.history("model", "m", 100, 10)
    assert (last.who, last.before, first.before) == ("bob", first.after, None)
    assert '"licence":"MIT"' in (last.after or "")
    assert await store.history("workflow", "", 100, 10) == ()


async def test_many_questions_at_once_are_all_answered(filled: Store) -> None:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(filled.by_id("workflow", ["w1", "w2"])) for _ in range(100)]
    assert {tuple(sorted(task.result())) for task in asked} == {("w1", "w2")}


async def test_no_text_is_too_strange_to_be_kept_or_asked_for(store: Store) -> None:
    strange = "Robert'); DROP TABLE model;-- \\ % _ \" \u202e 模型 \x1b[31m"
    await store.put(replace(MODEL, description=strange, licence=strange), "ann'; --")
    assert (await store.by_reference("model", [strange, "\0", "m"])).keys() == {"m"}
    assert (await store.history("model", "m", 9, 9))[0].who == "ann'; --"


async def test_names_and_addresses_come_page_by_page_and_none_is_missing_or_twice(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WALK", 3)
    for n in range(8):
        urls = tuple(f"https://h.example/{n}/{at}" for at in range(n % 4))
        await store.put(replace(MODEL, id=f"m{n}", name=f"m{n}.pt", sources=urls), "ann")
    names = [page async for page in store.names()]
    assert names == [["m0.pt", "m1.pt", "m2.pt"], ["m3.pt", "m4.pt", "m5.pt"], ["m6.pt", "m7.pt"]]
    found = [url async for page in store.addresses() for url in page]
    assert sorted(found) == [f"https://h.example/{n}/{at}" for n in range(8) for at in range(n % 4)]


async def test_what_workflows_need_and_nobody_has_is_told_once(filled: Store) -> None:
    needs = (Need(model="t5"), Need(model="t5xxl.safetensors"), Need(model="nowhere.safetensors"))
    await filled.put(CatalogWorkflow(id="w9", name="w9", needs=needs), "ann")
    assert await filled.missing() == ["nowhere.safetensors"]
