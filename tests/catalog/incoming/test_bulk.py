"""Many records at once, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from model_manager.catalog.incoming import bulk
from model_manager.catalog.incoming.bulk import load
from model_manager.catalog.incoming.findings import Incoming
from model_manager.catalog.incoming.intake import incoming
from model_manager.catalog.records import Asked, CatalogModel, Counts, Record
from model_manager.catalog.storage.store import Store
from tests.catalog.conftest import model

MODEL = CatalogModel(id="", name="m.pt", version="", sources=("https://h.example/m",), save_to="vae/m.pt")


def came(*records: Record, current: bool = True) -> list[Incoming]:
    return [Incoming(record=record, current=current) for record in records]


async def test_what_is_new_is_made_what_is_other_is_replaced_and_the_rest_stays(store: Store) -> None:
    first = await load(store, came(MODEL, replace(MODEL, name="n.pt", save_to="vae/n.pt")), "ann")
    assert (first.created, first.replaced, first.unchanged, first.findings) == (2, 0, 0, ())
    second = await load(store, came(MODEL, replace(MODEL, name="n.pt", licence="MIT", save_to="vae/n.pt")), "bob")
    assert (second.created, second.replaced, second.unchanged) == (0, 1, 1)
    _, changes = await store.changes(2, 10)
    assert [(each.who, each.id, each.revision) for each in changes] == [("bob", "n.pt", 2)]


async def test_a_record_without_an_id_is_that_of_its_name(store: Store) -> None:
    await load(store, came(replace(MODEL, id="seven")), "ann")
    report = await load(store, came(replace(MODEL, licence="MIT")), "ann")
    assert report.replaced == 1
    assert set(await store.by_id("model", ["seven", "m.pt"])) == {"seven"}


async def test_f6_of_two_that_share_a_name_the_first_stays_and_it_is_told(store: Store) -> None:
    other = replace(MODEL, licence="other")
    report = await load(store, came(replace(MODEL, id="a"), replace(other, id="b"), replace(other, id="a")), "ann")
    assert (report.created, report.left_out) == (1, 2)
    assert [each.what for each in report.findings] == [
        "its name is that of 'a'",
        "it is described twice; the first one stays",
    ]


async def test_f6_names_and_places_that_only_case_tells_apart_are_told(store: Store) -> None:
    report = await load(store, came(MODEL, replace(MODEL, name="M.pt", save_to="vae/M.pt")), "ann")
    assert (report.created, {each.done for each in report.findings}) == (2, {"kept"})
    assert len(report.findings) == 2


async def test_versions_of_one_model_in_one_import_end_with_the_one_that_is_current(store: Store) -> None:
    items = [*came(replace(MODEL, version="1"), current=False), *came(replace(MODEL, version="2"))]
    report = await load(store, items, "ann")
    assert report.left_out == 0
    assert [label for label, _ in await store.versions("m.pt")] == ["1", "2"]
    assert '"version":"2"' in (await store.by_id("model", ["m.pt"]))["m.pt"].doc


async def test_a_dry_run_says_the_same_and_writes_nothing(filled: Store) -> None:
    before = await filled.position(), await filled.counts()
    dry = await load(filled, came(MODEL), "ann", dry_run=True, replace_all=True)
    assert (await filled.position(), await filled.counts()) == before
    wet = await load(filled, came(MODEL), "ann", replace_all=True)
    assert (dry.created, dry.dry_run, wet.dry_run) == (wet.created, True, False)
    assert await filled.counts() == Counts(models=1, workflows=0, collections=0)


async def test_a_failure_in_the_middle_writes_nothing_at_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 2)

    def broken() -> Iterator[Incoming]:
        yield from came(*(replace(MODEL, name=f"m{at}.pt") for at in range(5)))
        raise OSError("the file ended")

    with pytest.raises(OSError, match="ended"):
        await load(store, broken(), "ann")
    assert (await store.counts()).empty


async def test_parts_of_a_large_import_are_whole_each_and_repeating_it_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 2)
    monkeypatch.setattr(bulk, "PART", 4)
    items = came(*(replace(MODEL, name=f"m{at}.pt", save_to=f"vae/m{at}.pt") for at in range(10)))

    def broken() -> Iterator[Incoming]:
        yield from items[:9]
        raise OSError("the file ended")

    with pytest.raises(OSError, match="ended"):
        await load(store, broken(), "ann")
    assert (await store.counts()).models == 8
    report = await load(store, items, "ann")
    assert (report.created, report.unchanged, report.findings) == (2, 8, ())
    _, changes = await store.changes(0, 100)
    assert [each.seq for each in changes] == list(range(1, 11))


async def test_f6_what_others_write_between_two_parts_is_seen(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 1)
    monkeypatch.setattr(bulk, "PART", 1)
    pause, waited = asyncio.sleep, []

    async def between(seconds: float) -> None:
        if not waited:
            waited.append(seconds)
            await store.put(replace(MODEL, id="theirs", name="m2.pt", version="1"), "bob")
        await pause(0)

    monkeypatch.setattr(bulk.asyncio, "sleep", between)
    items = came(*(replace(MODEL, id=f"m{at}", name=f"m{at}.pt", save_to=f"vae/m{at}.pt") for at in range(4)))
    report = await load(store, items, "ann")
    assert (report.created, [each.what for each in report.findings]) == (3, ["its name is that of 'theirs'"])


async def test_very_many_changes_are_told_as_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "TOLD", 3)
    await load(store, came(*(replace(MODEL, name=f"m{at}.pt") for at in range(10))), "ann")
    position, (told,) = await store.changes(0, 10)
    assert (told.kind, told.action, told.note, position.seq) == ("catalog", "imported", "10 created, 0 replaced", 1)


async def test_f5_findings_are_counted_and_only_the_first_are_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "SHOWN", 5)
    report = await load(store, (incoming("model", at, f"line {at}") for at in range(50)), "ann")
    assert (len(report.findings), report.findings_total, report.left_out) == (5, 50, 50)


async def test_thousands_of_models_are_found_one_by_one_afterwards(store: Store) -> None:
    items = (incoming("model", model(f"m{at}.pt", saveTo=f"vae/m{at}.pt"), str(at)) for at in range(2500))
    assert (await load(store, items, "ann")).created == 2500
    page = await store.found("model", Asked(limit=3, after="m2498.pt"))
    assert ([each.name for each in page.items], page.total) == (
        ["m2499.pt", "m25.pt", "m250.pt"],
        2500,
    )
