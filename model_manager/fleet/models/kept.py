"""Lists of models that somebody asked for, brought up to date by what changed: another look at all models takes a hundred times as
long."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from model_manager.fleet.models.journal import Journal

MOST: Final = 128
"""Lists that are kept."""

ROOM: Final = 2_000_000
"""Models in all of them: 8 bytes each."""

FEW: Final = 256
"""Changes up to which a list is mended."""

T = TypeVar("T")

Rank = Callable[[str, T], Any]
"""By what a list is in order: the place, and what is known of it."""


@dataclass(slots=True)
class Shown(Generic[T]):
    """A list as of a version of the journal. `fits`: whether a place is in it now; `rank` None: it goes by name."""

    version: int
    places: list[str]
    fits: Callable[[str], bool]
    rank: Rank[T] | None


class Kept(Generic[T]):
    """Lists by question. `of`: what is known of a place now, as the journal tells what was known before."""

    def __init__(self, journal: Journal[T], of: Callable[[str], T]) -> None:
        self._journal = journal
        self._of = of
        self._shown: OrderedDict[Hashable, Shown[T]] = OrderedDict()
        self._taken = 0

    def get(self, question: Hashable) -> Sequence[str] | None:
        """As of now; None when it is to be made anew. It is the same object, brought up to date: done with it before anybody else has
        a turn, nobody sees it change. (A copy for each change would be fifty thousand names that Python searches for garbage.)"""
        shown = self._shown.get(question)
        if shown is None:
            return None
        self._shown.move_to_end(question)
        if shown.version != self._journal.version:
            changed = self._journal.since(shown.version, FEW)
            if changed is None:
                self._drop(question)
                return None
            self._taken -= len(shown.places)
            self._mend(shown, changed)
            self._taken += len(shown.places)
            shown.version = self._journal.version
        return shown.places

    def put(
        self, question: Hashable, places: list[str], fits: Callable[[str], bool], rank: Rank[T] | None = None
    ) -> Sequence[str]:
        """It was made just now, and is nobody else's."""
        self._drop(question)
        self._shown[question] = Shown(self._journal.version, places, fits, rank)
        self._taken += len(places)
        while len(self._shown) > 1 and (len(self._shown) > MOST or self._taken > ROOM):
            self._taken -= len(self._shown.popitem(last=False)[1].places)
        return places

    def clear(self) -> None:
        self._shown.clear()
        self._taken = 0

    def _drop(self, question: Hashable) -> None:
        if (before := self._shown.pop(question, None)) is not None:
            self._taken -= len(before.places)

    def _mend(self, shown: Shown[T], changed: Mapping[str, T]) -> None:
        """Those that changed leave where they stood, and those of them that fit go where they stand now. Most stay: a list by size does
        not care how many copies there are."""
        places, ranks = shown.places, {place: self._ranked(shown, place, before) for place, before in changed.items()}

        def key(place: str) -> Any:
            return ranks[place] if place in ranks else self._ranked(shown, place, self._of(place))

        left, come = list[int](), list[str]()
        for place, before in ranks.items():
            at, fits = _found(places, place, before, key), shown.fits(place)
            if at is not None and fits and before == self._ranked(shown, place, self._of(place)):
                continue
            if at is not None:
                left.append(at)
            if fits:
                come.append(place)
        for at in sorted(left, reverse=True):
            del places[at]
        ranks.clear()
        for place in come:
            places.insert(bisect_left(places, key(place), key=key), place)

    def _ranked(self, shown: Shown[T], place: str, known: T) -> Any:
        return place if shown.rank is None else shown.rank(place, known)


def _found(places: Sequence[str], place: str, rank: Any, key: Callable[[str], Any]) -> int | None:
    at = bisect_left(places, rank, key=key)
    return at if at < len(places) and places[at] == place else None
