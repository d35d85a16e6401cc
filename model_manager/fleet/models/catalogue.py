"""Which models the fleet holds, by folder and name: kept up to date by what changed, counted again when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from model_manager.bus.mirroring import Changed
from model_manager.facts.mirror import Copy, Mirror
from model_manager.facts.shelf import ShelfPath
from model_manager.fleet.shapes import ModelRow

WhoHas = Callable[[str], Mapping[str, Sequence[Copy]]]
"""`folder/name` → machine → its copies."""

Slot = tuple[str, str]


class Catalogue:
    """One row for each model. A change only notes which rows it touches: a thousand changes cost one count. `counts` is another
    number after each of these."""

    def __init__(self) -> None:
        self._rows: dict[str, ModelRow] = {}
        self._touched: set[str] = set()
        self._order: list[str] | None = None
        self._slots: dict[Slot, set[str]] = {}
        self.counts = 0
        self.heard = 0

    def changed(self, change: Changed) -> None:
        """Hear of a change of one machine's inventory."""
        self.heard += 1
        self._touched.update(_touched(change))

    @property
    def counted(self) -> Mapping[str, ModelRow]:
        """The rows as they were counted last."""
        return self._rows

    def rows(self, who_has: WhoHas) -> Mapping[str, ModelRow]:
        """`folder/name` → its row, as of now."""
        touched, self._touched = self._touched, set()
        self.counts += bool(touched)
        for place in touched:
            holders = who_has(place)
            if holders:
                self._put(place, _row(place, holders))
            else:
                self._drop(place)
        return self._rows

    def order(self, who_has: WhoHas) -> Sequence[str]:
        """All `folder/name`, sorted."""
        self.rows(who_has)
        if self._order is None:
            self._order = sorted(self._rows)
        return self._order

    def places(self, path: ShelfPath) -> Iterable[str]:
        """The `folder/name` that are in the same place of ComfyUI, whatever they are spelt like. Ask for rows first."""
        return self._slots.get(path.slot, ())

    def _put(self, place: str, row: ModelRow) -> None:
        if place not in self._rows:
            self._order = None
            self._slots.setdefault(_slot(row), set()).add(place)
        self._rows[place] = row

    def _drop(self, place: str) -> None:
        row = self._rows.pop(place, None)
        if row is None:
            return
        self._order = None
        places = self._slots[_slot(row)]
        places.discard(place)
        if not places:
            del self._slots[_slot(row)]


def _touched(change: Changed) -> set[str]:
    if change.touched is not None:
        return {f"{copy.folder}/{copy.name}" for copy in change.touched}
    before, after = _entries(change.before), _entries(change.after)
    if before is after:
        return set()
    return {*_places(after, before), *_places(before, after)}


def _places(entries: Mapping[str, Copy], others: Mapping[str, Copy]) -> Iterator[str]:
    """Of those that the others do not have just so. Copies are shared: most are the very same object."""
    for path, copy in entries.items():
        other = others.get(path)
        if other is not copy and other != copy:
            yield f"{copy.folder}/{copy.name}"


def _entries(mirror: Mirror | None) -> Mapping[str, Copy]:
    return mirror.entries if mirror else {}


def _row(place: str, holders: Mapping[str, Sequence[Copy]]) -> ModelRow:
    copies = [copy for each in holders.values() for copy in each]
    return ModelRow(
        model=place,
        folder=copies[0].folder,
        name=copies[0].name,
        machines=len(holders),
        copies=len(copies),
        verified=sum(copy.verified for copy in copies),
        size=max(copy.size for copy in copies),
        bytes=sum(copy.size for copy in copies),
        hashes=tuple(sorted({copy.hash for copy in copies if copy.hash})),
        last_used=None,
    )


def _slot(row: ModelRow) -> Slot:
    return ShelfPath(folder=row.folder, name=row.name).slot
