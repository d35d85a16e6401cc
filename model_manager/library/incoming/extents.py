"""Which bytes of a file are here: spans in order that neither overlap nor touch."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Span = tuple[int, int]
"""Bytes from the first number to before the second."""


class Extents:
    """Spans [start, stop). Changed by one thread at a time; `size`, the sum of bytes, is right at any moment for others."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self.size = 0
        self._starts: list[int] = []
        self._stops: list[int] = []
        for start, stop in spans:
            self.add(start, stop)

    @property
    def spans(self) -> tuple[Span, ...]:
        return tuple(zip(self._starts, self._stops, strict=True))

    @property
    def last(self) -> int:
        """The end of the last byte that is here; 0 when there is none."""
        return self._stops[-1] if self._stops else 0

    def add(self, start: int, stop: int) -> None:
        if start >= stop:
            return
        first = bisect_left(self._stops, start)
        after = bisect_right(self._starts, stop)
        if first < after:
            start, stop = min(start, self._starts[first]), max(stop, self._stops[after - 1])
        self._put(first, after, [(start, stop)])

    def remove(self, start: int, stop: int) -> None:
        first = bisect_right(self._stops, start)
        after = bisect_left(self._starts, stop)
        if start >= stop or first >= after:
            return
        rest = [(self._starts[first], start), (stop, self._stops[after - 1])]
        self._put(first, after, [(a, b) for a, b in rest if a < b])

    def end_from(self, start: int) -> int:
        """How far the bytes go on without a hole from `start`: `start` itself when that byte is not here."""
        at = bisect_right(self._starts, start) - 1
        return max(start, self._stops[at]) if at >= 0 else start

    def gaps(self, start: int, stop: int) -> Iterator[Span]:
        """What is missing between two places, in order."""
        at = start
        for begin, end in self.spans[bisect_right(self._stops, start) :]:
            if begin >= stop:
                break
            if at < begin:
                yield at, begin
            at = max(at, end)
        if at < stop:
            yield at, stop

    def _put(self, first: int, after: int, spans: list[Span]) -> None:
        gone = sum(self._stops[first:after]) - sum(self._starts[first:after])
        self._starts[first:after] = [start for start, _ in spans]
        self._stops[first:after] = [stop for _, stop in spans]
        self.size += sum(stop - start for start, stop in spans) - gone
