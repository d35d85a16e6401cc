"""Questions that the routes do not ask alone."""

from __future__ import annotations

from typing import Any

import pytest

from model_manager.catalog.records import Asked, Kind, Named
from model_manager.catalog.storage import reading as module
from model_manager.catalog.storage import writing
from model_manager.catalog.storage.reading import Reader
from model_manager.catalog.storage.store import Store


async def test_who_needs_a_model_is_found_under_its_id_and_its_name(filled: Store) -> None:
    async with filled.reading() as reader:
        assert await reader.users(Named(id="t5", name="t5xxl.safetensors")) == ("model:flux1-dev.safetensors",)
        assert await reader.users(Named(id="flux-dev", name="flux1-dev.safetensors")) == ("workflow:txt2img",)
        assert await reader.listing(Named(id="w2", name="lcm")) == ("collection:c1",)


async def test_everything_is_walked_through_by_id(filled: Store) -> None:
    async with filled.reading() as reader:
        first = await reader.after("model", "", 3)
        rest = await reader.after("model", first[-1].id, 3)
    assert [each.id for each in (*first, *rest)] == sorted(each.id for each in (*first, *rest))
    assert len({each.id for each in (*first, *rest)}) == 4


async def test_every_question_of_a_transaction_is_of_one_moment(filled: Store) -> None:
    async with filled.reading() as reader:
        before = await reader.position()
        await filled.delete("collection", "c1", "ann")
        assert await reader.position() == before
        assert (await reader.counts()).collections == 1
    assert (await filled.counts()).collections == 0


async def test_a_search_finds_text_and_never_patterns(filled: Store) -> None:
    for text, names in (
        ("100%", ["flux1-dev.safetensors"]),
        ("%", ["flux1-dev.safetensors"]),
        ("_", []),
        ("DEV", ["flux1-dev.safetensors"]),
    ):
        page = await filled.found("model", Asked(search=text, limit=10))
        assert [each.name for each in page.items] == names


async def test_the_position_and_the_counts_are_read_together(filled: Store) -> None:
    assert (await filled.position()).seq == 7
    assert (await filled.counts()).models == 4


async def test_who_turns_pages_has_records_counted_once_until_something_changes(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    count = Reader._total

    async def noted(self: Reader, kind: Kind, wanted: Any) -> int:
        counted.append(kind)
        return await count(self, kind, wanted)

    monkeypatch.setattr(Reader, "_total", noted)
    for after in ("", "a", "flux1-dev.safetensors"):
        assert (await filled.found("model", Asked(after=after, limit=1))).total == 4
    assert (await filled.found("model", Asked(search="dev", limit=1))).total == 1
    assert counted == ["model"] * 2
    async with filled.reading() as before:
        await before.position()
        await filled.delete("model", "flux-dev", "ann", force=True)
        assert (await filled.found("model", Asked(limit=1))).total == 3
        assert (await before.found("model", Asked(limit=1))).total == 4
    assert (await filled.found("model", Asked(search="dev", limit=1))).total == 0
    async with filled.transaction() as (reader, connection, _):
        await writing.remove(connection, "model", "t5")
        assert (await reader.found("model", Asked(limit=1))).total == 2, "what is not committed is seen only here"


async def test_only_so_many_sorts_are_remembered(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNTED", 3)
    for n in range(10):
        assert (await filled.found("model", Asked(search=f"no-{n}", limit=1))).total == 0
    assert len(filled._totals._known) <= 4


async def test_what_filters_let_through_is_counted_only_so_far(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNTED_TO", 2)
    page = await filled.found("model", Asked(search="s", limit=1))
    assert (page.total, page.more) == (2, True)
    page = await filled.found("model", Asked(auth_only=True, limit=1))
    assert (page.total, page.more) == (2, False)
    page = await filled.found("model", Asked(limit=1))
    assert (page.total, page.more) == (4, False)


async def test_a_page_that_holds_all_says_how_many_without_counting(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reader, "_total", None)
    assert (await filled.found("model", Asked(search="dev", limit=5))).total == 1
    assert (await filled.found("model", Asked(search="s", limit=5, offset=2))).total == 4
    assert (await filled.found("workflow", Asked(search="nowhere", limit=5))).total == 0


async def test_a_page_behind_the_end_still_says_how_many_there_are(filled: Store) -> None:
    assert (await filled.found("model", Asked(limit=5, offset=99))).total == 4
    assert (await filled.found("model", Asked(limit=5, after="zzz"))).total == 4
