"""Which bytes does which connection bring?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MIB: Final = 1024 * 1024

WHOLE: Final = 2 * MIB
"""Spans begin and end at multiples of it, so that they fill blocks, which can be written past the page cache."""

WAITS: Final = 10
"""A request lasts so many times as long as the wait for its first byte, so that asking costs a tenth."""

SHORTEST: Final = 4 * MIB
LONGEST: Final = 32 * MIB
WINDOW: Final = 64 * MIB
"""What comes before its turn is kept in memory until the hash is there, as far as there is memory: spans are short, and all
that are on their way together no longer than this, or the rest would be read back while the hash waits."""

LEAST_WAITS: Final = 3
"""So many times as long as the wait a request lasts all the same: asking costs no more than a quarter."""


class Spans:
    """The bytes that nobody brings yet, lowest first: the hash needs them in order."""

    def __init__(self, missing: Iterable[tuple[int, int]]) -> None:
        """`missing`: [start, stop) in bytes, disjoint."""
        self._free = sorted(missing)

    @property
    def bytes(self) -> int:
        return sum(stop - start for start, stop in self._free)

    def take(self, size: int) -> tuple[int, int] | None:
        """About `size` bytes from the lowest gap, ending at a multiple of WHOLE; None when nothing is left."""
        if not self._free:
            return None
        start, stop = self._free.pop(0)
        end = (start + size + WHOLE - 1) // WHOLE * WHOLE
        if stop - end < size // 2:
            end = stop
        if end < stop:
            self._free.insert(0, (end, stop))
        return start, min(end, stop)

    def give_back(self, start: int, stop: int) -> None:
        """Bytes that were taken and not brought."""
        if start < stop:
            self._free = sorted([*self._free, (start, stop)])


def span_size(speed: float, wait: float, connections: int = 1) -> int:
    """Bytes to ask for at once where one connection brings `speed` bytes a second, the first after `wait` seconds, and so many
    connections take turns."""
    together = max(WINDOW // max(1, connections), int(speed * wait * LEAST_WAITS))
    return max(SHORTEST, min(LONGEST, together, int(speed * wait * WAITS)))


def cut(at: int, stop: int, ahead: int) -> int | None:
    """Where a range that has come to byte `at` of `stop` can end early, `ahead` bytes on; None when the rest is too short."""
    end = (at + ahead + WHOLE - 1) // WHOLE * WHOLE
    return end if stop - end >= SHORTEST else None


def half(at: int, stop: int) -> int | None:
    """Where to halve what is left of a range, for a connection that has nothing to do."""
    return cut(at, stop, (stop - at) // 2) if stop - at >= 4 * SHORTEST else None
