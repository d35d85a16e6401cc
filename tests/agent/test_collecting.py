from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from model_manager.agent.collecting import set_aside, undisturbed

USUAL = gc.get_threshold()


class Node:
    """Something that can be in a cycle."""


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_nothing_old_is_searched_while_many_records_are_made() -> None:
    with undisturbed():
        searched = gc.get_stats()[2]["collections"]
        kept = [Node() for _ in range(300_000)]
        assert gc.get_stats()[2]["collections"] == searched
    assert len(kept) == 300_000


def test_the_search_is_as_usual_afterwards_also_after_a_failure_and_a_look_within_a_look() -> None:
    with pytest.raises(ValueError, match="away"), undisturbed(), undisturbed():
        raise ValueError("away")
    assert gc.get_threshold() == USUAL


def test_what_is_set_aside_is_not_searched_and_still_goes_when_nobody_holds_it() -> None:
    kept = [Node() for _ in range(1000)]
    set_aside()
    assert gc.get_freeze_count() >= 1000
    before = gc.get_freeze_count()
    kept.clear()
    assert gc.get_freeze_count() <= before - 1000


def test_cycles_that_come_later_are_still_found() -> None:
    set_aside()
    node = Node()
    node.__dict__["itself"] = node
    del node
    assert gc.collect() >= 1
