from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from model_manager.decisions.spanning import LEAST_WAITS, LONGEST, MIB, SHORTEST, WINDOW, Spans, cut, half, span_size


def test_the_lowest_bytes_come_first() -> None:
    spans = Spans([(100 * MIB, 120 * MIB), (0, 40 * MIB)])
    assert [spans.take(30 * MIB) for _ in range(4)] == [
        (0, 40 * MIB),
        (100 * MIB, 120 * MIB),
        None,
        None,
    ]


def test_what_is_given_back_is_taken_next() -> None:
    spans = Spans([(0, 100 * MIB)])
    assert spans.take(10 * MIB) == (0, 10 * MIB)
    spans.give_back(4 * MIB + 7, 10 * MIB)
    assert spans.take(10 * MIB) == (4 * MIB + 7, 10 * MIB)
    assert spans.take(10 * MIB) == (10 * MIB, 20 * MIB)


def test_nothing_given_back_changes_nothing() -> None:
    spans = Spans([(0, MIB)])
    spans.give_back(5, 5)
    assert spans.bytes == MIB


@given(
    st.lists(st.integers(0, 500), min_size=2, max_size=8, unique=True),
    st.lists(st.tuples(st.integers(1, 80), st.floats(0, 1)), max_size=200),
)
def test_every_byte_is_taken_exactly_once_whatever_comes_back(edges: list[int], moves: list[tuple[int, float]]) -> None:
    edges = sorted(edges)[: len(edges) // 2 * 2]
    missing = [(a * MIB + 3, b * MIB + 1) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]
    spans, brought = Spans(missing), []
    moves = [*moves, *[(64, 1.0)] * 600]
    for size, share in moves:
        if (span := spans.take(size * MIB)) is None:
            break
        start, stop = span
        at = start + round((stop - start) * share)
        brought.append((start, at))
        spans.give_back(at, stop)
    assert spans.bytes == 0
    reached: list[tuple[int, int]] = []
    for start, stop in sorted(piece for piece in brought if piece[0] < piece[1]):
        if reached and reached[-1][1] == start:
            reached[-1] = (reached[-1][0], stop)
        else:
            reached.append((start, stop))
    assert reached == _merged(missing)


def _merged(missing: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(missing):
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    return merged


def test_a_span_ends_where_blocks_end_and_leaves_no_crumbs() -> None:
    assert Spans([(5, 100 * MIB)]).take(8 * MIB) == (5, 10 * MIB)
    assert Spans([(0, 11 * MIB)]).take(8 * MIB) == (0, 11 * MIB)


def test_a_request_lasts_ten_times_as_long_as_its_wait_within_bounds() -> None:
    assert span_size(40e6, 0.0003) == SHORTEST
    assert span_size(40e6, 0.05) == 20_000_000
    assert span_size(1e9, 0.1) == LONGEST


def test_what_all_connections_ask_for_together_fits_into_memory_unless_the_way_is_long() -> None:
    assert span_size(40e6, 0.05, 4) == WINDOW // 4
    assert span_size(40e6, 0.02, 16) == WINDOW // 16 == SHORTEST
    assert span_size(40e6, 0.1, 16) == 40e6 * 0.1 * LEAST_WAITS
    assert span_size(1e9, 0.1, 16) == LONGEST


def test_a_range_is_cut_ahead_of_what_is_under_way() -> None:
    assert cut(10 * MIB + 5, 100 * MIB, 8 * MIB) == 20 * MIB
    assert cut(10 * MIB, 20 * MIB, 8 * MIB) is None


def test_only_what_is_long_enough_is_halved() -> None:
    assert half(0, 64 * MIB) == 32 * MIB
    assert half(56 * MIB, 64 * MIB) is None
