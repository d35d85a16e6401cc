"""Which of very many numbers are there more than once, in eight bytes each."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

SHELVES: Final = 256
"""Numbers are sorted in so many parts: of a million, each part takes a moment that nobody notices who is served meanwhile."""


class Repeating:
    def __init__(self) -> None:
        self._shelves = [array("q") for _ in range(SHELVES)]

    def add(self, numbers: Iterable[int]) -> None:
        """Of 64 bits, signed."""
        shelves = self._shelves
        for each in numbers:
            shelves[each % SHELVES].append(each)

    async def several(self) -> set[int]:
        """Those that were added more than once."""
        found: set[int] = set()
        for shelf in self._shelves:
            found |= {one for one, other in pairwise(sorted(shelf)) if one == other}
            await asyncio.sleep(0)
        return found
