from __future__ import annotations

from model_manager.facts.disk import Diff
from model_manager.facts.event import DiskLow
from model_manager.index.history import Change, Place, advanced, change_of

from .making import held

START = Place(machine_id="m", instance="i", epoch=3)


def test_a_file_that_left_and_came_back_in_one_diff_is_told_as_both() -> None:
    old, new = held(size=1), held(size=2)
    change = change_of(Diff(vanished=(old,), appeared=(new,)), {old.file: old})
    assert change == Change(vanished=(old,), appeared=(new,))


def test_of_two_records_for_one_path_the_last_counts() -> None:
    first, last = held(size=1), held(size=2)
    assert change_of(Diff(changed=(first,), appeared=(last,)), {}) == Change(appeared=(last,))


def test_what_vanished_is_told_as_the_rows_knew_it() -> None:
    known = held(size=1, content="x")
    assert change_of(Diff(vanished=(held(size=9),)), {known.file: known}).vanished == (known,)


def test_removing_what_was_added_leads_back_to_the_start() -> None:
    items = (held("a.gguf"), held("b.gguf", size=5))
    assert START.adding(items).removing(items) == START


def test_events_alone_move_only_the_number() -> None:
    low = DiskLow(root="/", free=0, floor=1)
    places = [place for place, _ in advanced(START, Change(), (low, low))]
    assert [place.seq for place in places] == [1, 2]
    assert {place.digest for place in places} == {START.digest}
