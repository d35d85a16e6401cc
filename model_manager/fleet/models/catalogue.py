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
        self._hashed: dict[str, set[str]] = {}
        self._files: dict[str, set[str]] = {}
        self.recounted: set[str] = set()
        """Places whose rows were counted again; whoever follows them takes them out."""
        self.counts = 0
        self.heard = 0

    def changed(self, change: Changed) -> None:
        """Hear of a change of one machine's inventory."""
        self.heard += 1
        if change.touched is None:
            self._touched.update(_touched(change))
        else:
            self._touched.update([copy.place for copy in change.touched])

    @property
    def counted(self) -> Mapping[str, ModelRow]:
        """The rows as they were counted last."""
        return self._rows

    def rows(self, who_has: WhoHas) -> Mapping[str, ModelRow]:
        """`folder/name` → its row, as of now."""
        touched, self._touched = self._touched, set()
        self.counts += bool(touched)
        self.recounted |= touched
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

    def hashed(self, digits: str) -> Iterable[str]:
        """The `folder/name` with this SHA-256, or whose SHA-256 begins with these ten digits. Ask for rows first."""
        return self._hashed.get(digits, ())

    def called(self, file: str) -> Iterable[str]:
        """The `folder/name` whose file is called so, in whatever directory. Ask for rows first."""
        return self._files.get(file, ())

    def _put(self, place: str, row: ModelRow) -> None:
        before = self._rows.get(place)
        if before is None:
            self._order = None
            self._slots.setdefault(_slot(row), set()).add(place)
            self._files.setdefault(place.rpartition("/")[2], set()).add(place)
        if before is None or before.hashes != row.hashes:
            self._unhash(place, before.hashes if before else ())
            for digits in _digits(row.hashes):
                self._hashed.setdefault(digits, set()).add(place)
        self._rows[place] = row

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
        self._order = None
        self._unfile(place)
        self._unhash(place, row.hashes)
        places = self._slots[_slot(row)]
        places.discard(place)
        if not places:
            del self._slots[_slot(row)]


def _touched(change: Changed) -> set[str]:
    before, after = _entries(change.before), _entries(change.after)
    if before is after:
        return set()
    return {*_places(after, before), *_places(before, after)}


def _places(entries: Mapping[str, Copy], others: Mapping[str, Copy]) -> Iterator[str]:
    """Of those that the others do not have just so. Copies are shared: most are the very same object."""
    for path, copy in entries.items():
        other = others.get(path)
        if other is not copy and other != copy:
            yield copy.place


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


def _digits(hashes: Iterable[str]) -> Iterator[str]:
    for sha256 in hashes:
        yield sha256
        yield sha256[:10]


def _slot(row: ModelRow) -> Slot:
    return ShelfPath(folder=row.folder, name=row.name).slot
