from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from model_manager.fleet.models.journal import Journal


@given(changes=st.lists(st.tuples(st.sampled_from("abc"), st.integers()), max_size=12), most=st.integers(1, 12))
def test_it_tells_what_each_was_before_the_first_change_since(changes: list[tuple[str, int]], most: int) -> None:
    journal: Journal[int] = Journal(most)
    for place, before in changes:
        journal.note(place, before)
    for version in range(len(changes) + 1):
        plain: dict[str, int] = {}
        for place, before in changes[version:]:
            plain.setdefault(place, before)
        expected = plain if len(changes) - version <= most else None
        assert journal.since(version) == expected
    assert journal.version == len(changes)


def test_who_wants_only_few_is_told_that_they_are_more() -> None:
    journal: Journal[None] = Journal()
    for place in "abc":
        journal.note(place, None)
    assert journal.since(0, 2) is None
    assert journal.since(1, 2) == {"b": None, "c": None}
    assert journal.since(3, 0) == {}
