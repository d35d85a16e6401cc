"""What is remembered of a catalog's answers, and for how long."""

from __future__ import annotations

import pytest

from model_manager.sources import catalog_tags as module
from model_manager.sources.catalog_tags import Tags


def test_an_answer_is_asked_for_by_its_tag_and_handed_out_again() -> None:
    tags = Tags()
    assert (tags.header("/a"), tags.has("/a")) == ({}, False)
    tags.keep("/a", 'W/"1"', ["content"], 9)
    assert tags.header("/a") == {"If-None-Match": 'W/"1"'}
    assert tags.again("/a") == ["content"]


@pytest.mark.parametrize("tag", [None, "x\r\nHost: evil", "é", "x" * 201])
def test_k12_what_is_no_tag_is_never_sent_back_and_the_old_answer_goes(tag: str | None) -> None:
    tags = Tags()
    tags.keep("/a", '"1"', 1, 1)
    tags.keep("/a", tag, 2, 1)
    assert not tags.has("/a")


def test_f5_answers_are_bounded_and_the_least_recently_asked_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 30)
    monkeypatch.setattr(module, "MAX_ANSWER", 20)
    tags = Tags()
    for path in "abc":
        tags.keep(path, '"1"', path, 10)
    tags.again("a")
    tags.keep("d", '"1"', "d", 10)
    tags.keep("large", '"1"', "large", 21)
    assert [path for path in ("a", "b", "c", "d", "large") if tags.has(path)] == ["a", "c", "d"]
