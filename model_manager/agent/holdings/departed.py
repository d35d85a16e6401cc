"""Files that left a moment ago: one that was moved is often seen to leave before it is seen to come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from model_manager.facts.disk import Held

REMEMBERED: Final = 60.0
"""Seconds for which a file that left may still come back under another name."""

AT_MOST: Final = 10_000
"""Files that are remembered; the oldest are forgotten first."""


class Departed:
    """What was read once and left lately, by path."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, Held]] = {}

    def remember(self, gone: Iterable[Held], now: float) -> None:
        """`now` in monotonic seconds."""
        for held in gone:
            if held.digests is not None:
                self._left.pop(held.file, None)
                self._left[held.file] = (now, held)
        for file in [*self._outlived(now)]:
            del self._left[file]

    def lately(self, now: float) -> list[Held]:
        return [held for since, held in self._left.values() if now - since <= REMEMBERED]

    def _outlived(self, now: float) -> Iterator[str]:
        surplus = len(self._left) - AT_MOST
        for number, (file, (since, _)) in enumerate(self._left.items()):
            if number >= surplus and now - since <= REMEMBERED:
                return
            yield file
