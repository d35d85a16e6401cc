"""What changed lately, in order: who keeps a list brings it up to date by that, and makes none anew."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import Final, Generic, TypeVar

MOST: Final = 65_536
"""Changes that are remembered. Who is further behind makes its list anew."""

T = TypeVar("T")


class Journal(Generic[T]):
    """Of `folder/name`, each with what it was before. `version` is another one after each change."""

    def __init__(self, most: int = MOST) -> None:
        self._changes: deque[tuple[str, T]] = deque(maxlen=most)
        self.version = 0

    def note(self, place: str, before: T) -> None:
        self._changes.append((place, before))
        self.version += 1

    def since(self, version: int, most: int = MOST) -> Mapping[str, T] | None:
        """What changed after a version, and what each was as of then; None when that is too long ago, or were more than `most`
        changes."""
        missed = self.version - version
        if missed > min(most, len(self._changes)):
            return None
        return dict(islice(reversed(self._changes), missed))  # of several changes the first one comes last, and stays
