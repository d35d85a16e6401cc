from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from model_manager.library.incoming.extents import Extents

SPAN = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (min(pair), max(pair)))


@given(steps=st.lists(st.tuples(st.booleans(), SPAN), max_size=20), asked=SPAN)
def test_extents_are_what_a_set_of_bytes_is(steps: list[tuple[bool, tuple[int, int]]], asked: tuple[int, int]) -> None:
    extents, there = Extents(), set[int]()
    for adding, span in steps:
        if adding:
            extents.add(*span)
            there |= set(range(*span))
        else:
            extents.remove(*span)
            there -= set(range(*span))
    assert [at for start, stop in extents.spans for at in range(start, stop)] == sorted(there)
    assert all(a[1] < b[0] for a, b in zip(extents.spans, extents.spans[1:], strict=False))
    assert extents.size == len(there)
    assert extents.last == max(there, default=-1) + 1
    assert [at for start, stop in extents.gaps(*asked) for at in range(start, stop)] == [
        at for at in range(*asked) if at not in there
    ]
    assert extents.end_from(asked[0]) == next(at for at in range(asked[0], 62) if at not in there)
