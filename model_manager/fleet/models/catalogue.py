"""Which models the fleet holds, by folder and name: kept up to date by what changed, counted again when somebody asks."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Final

from model_manager.facts.mirror import Copy
from model_manager.facts.shelf import ShelfPath
from model_manager.fleet.models.journal import Journal
from model_manager.fleet.shapes import ModelCounts, ModelRow

WhoHas = Callable[[str], Iterable[tuple[Copy, AbstractSet[str]]]]
"""`folder/name` → each distinct copy of it, and the machines that hold that."""

Slot = tuple[str, str]

FEW: Final = 128
"""Names that come or go one by one; of more the order is made anew."""


class Catalogue:
    """One row for each model. Of changes it is only `touched` which rows they concern: a thousand cost one count. `counts` is
    another number after each of these, and the `journal` has each row that became another one."""

    def __init__(self) -> None:
        self._rows: dict[str, ModelRow] = {}
        self.touched: set[str] = set()
        """Places whose rows are to be counted again; whoever changes what is held puts them in."""
        self._order: list[str] = []
        self._moved: set[str] = set()
        self._bytes = self._copies = 0
        self.single: set[str] = set()
        """Places that one machine only has. As of the last count, as all that stands here."""
        self._slots: dict[Slot, set[str]] = {}
        self._hashed: dict[str, set[str]] = {}
        self._files: dict[str, set[str]] = {}
        self.recounted: set[str] = set()
        """Places whose rows were counted again; whoever follows them takes them out."""
        self.journal: Journal[ModelRow | None] = Journal()
        self.counts = 0

    @property
    def counted(self) -> Mapping[str, ModelRow]:
        """The rows as they were counted last."""
        return self._rows

    @property
    def waiting(self) -> int:
        """Rows that are to be counted again."""
        return len(self.touched)

    @property
    def totals(self) -> ModelCounts:
        """All rows together, as they were counted last."""
        return ModelCounts(distinct=len(self._rows), copies=self._copies, single=len(self.single), bytes=self._bytes)

    def rows(self, who_has: WhoHas) -> Mapping[str, ModelRow]:
        """`folder/name` → its row, as of now."""
        if self.touched:
            touched = list(self.touched)
            self.touched.clear()
            self._count(touched, who_has)
        return self._rows

    def count_some(self, who_has: WhoHas, most: int) -> None:
        """So many of the rows that are to be counted again: whoever asks next waits for the rest alone."""
        touched = list(islice(self.touched, most))
        self.touched.difference_update(touched)
        self._count(touched, who_has)

    def order(self, who_has: WhoHas) -> Sequence[str]:
        """All `folder/name`, sorted: another object whenever it is another list."""
        self.rows(who_has)
        if self._moved:
            moved, self._moved = self._moved, set()
            self._order = (_mended if len(moved) <= FEW else _merged)(self._order, moved, self._rows)
        return self._order

    def _count(self, touched: Iterable[str], who_has: WhoHas) -> None:
        self.counts += 1
        for place in touched:
            self.recounted.add(place)
            holders = list(who_has(place))
            if holders:
                self._put(place, _row(place, holders))
            else:
                self._drop(place)

    def places(self, path: ShelfPath) -> Iterable[str]:
        """The `folder/name` that are in the same place of ComfyUI, whatever they are spelt like. Ask for rows first."""
        return self._slots.get(path.slot, ())

    def hashed(self, digits: str) -> Iterable[str]:
        """The `folder/name` with this SHA-256, or whose SHA-256 begins with these ten digits. Ask for rows first."""
        return self._hashed.get(digits, ())

    def called(self, file: str) -> Iterable[str]:
        """The `folder/name` whose file is called so, in whatever directory. Ask for rows first."""
        return self._files.get(file, ())

    def _put(self, place: str, row: ModelRow) -> None:
        before = self._rows.get(place)
        if before == row:
            return
        if before is None:
            self._moved ^= {place}
            self._slots.setdefault(_slot(row), set()).add(place)
            self._files.setdefault(place.rpartition("/")[2], set()).add(place)
        if before is None or before.hashes != row.hashes:
            self._unhash(place, before.hashes if before else ())
            for digits in _digits(row.hashes):
                self._hashed.setdefault(digits, set()).add(place)
        self._rows[place] = row
        self._sum(place, before, row)

    def _sum(self, place: str, before: ModelRow | None, after: ModelRow | None) -> None:
        self._copies += (after.copies if after else 0) - (before.copies if before else 0)
        self._bytes += (after.bytes if after else 0) - (before.bytes if before else 0)
        (self.single.add if after and after.machines == 1 else self.single.discard)(place)
        self.journal.note(place, before)

    def _unfile(self, place: str) -> None:
        file = place.rpartition("/")[2]
        self._files[file].discard(place)
        if not self._files[file]:
            del self._files[file]

    def _unhash(self, place: str, hashes: Iterable[str]) -> None:
        for digits in _digits(hashes):
            if (places := self._hashed.get(digits)) is not None:
                places.discard(place)
                if not places:
                    del self._hashed[digits]

    def _drop(self, place: str) -> None:
        row = self._rows.pop(place, None)
        if row is None:
            return
        self._moved ^= {place}
        self._unfile(place)
        self._unhash(place, row.hashes)
        places = self._slots[_slot(row)]
        places.discard(place)
        if not places:
            del self._slots[_slot(row)]
        self._sum(place, row, None)


def _row(place: str, holders: Sequence[tuple[Copy, AbstractSet[str]]]) -> ModelRow:
    first = holders[0][0]
    return ModelRow(
        model=place,
        folder=first.folder,
        name=first.name,
        machines=len(holders[0][1]) if len(holders) == 1 else len(set().union(*(who for _, who in holders))),
        copies=sum(len(who) for _, who in holders),
        verified=sum(len(who) for copy, who in holders if copy.verified),
        size=max(copy.size for copy, _ in holders),
        bytes=sum(copy.size * len(who) for copy, who in holders),
        hashes=tuple(sorted({copy.hash for copy, _ in holders if copy.hash})),
        last_used=None,
        added=None,
    )


def _mended(order: list[str], moved: AbstractSet[str], rows: Mapping[str, ModelRow]) -> list[str]:
    order = order.copy()
    for place in moved:
        if place in rows:
            insort(order, place)
        else:
            del order[bisect_left(order, place)]
    return order


def _merged(order: list[str], moved: AbstractSet[str], rows: Mapping[str, ModelRow]) -> list[str]:
    """Two lists that are in order are merged by sorting them."""
    found = [place for place in order if place not in moved]
    found += sorted(place for place in moved if place in rows)
    found.sort()
    return found


def _digits(hashes: Iterable[str]) -> Iterator[str]:
    for sha256 in hashes:
        yield sha256
        yield sha256[:10]


def _slot(row: ModelRow) -> Slot:
    return ShelfPath(folder=row.folder, name=row.name).slot
