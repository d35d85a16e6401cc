"""What every model is like, by each thing that people filter by: brought up to date by what changed, however many models there are.

Working through fifty thousand models takes a second, in which nobody else would be answered; a change touches a few.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from model_manager.fleet.models.journal import Journal
from model_manager.fleet.models.releases import Releases, Said
from model_manager.fleet.registry import Registry
from model_manager.fleet.shapes import ModelRow

PIECE: Final = 100
"""Models that are looked at before others have their turn: some 2 ms."""

COUPLE: Final = 2

MOST_DIGITS: Final = 12
UNTOLD: Final = "?"
"""In place of a base model that nobody told."""

K = TypeVar("K", bound=Hashable)


class Trait(NamedTuple):
    """Of one model; `there` False: nobody holds it, and it only tells which versions are known. `row` None: no machine of ours
    does. `model` and `version` are CivitAI's numbers, "" and 0 for none. `added` and `used` are seconds since 1970, None while
    that is not known."""

    there: bool
    type: str
    base: str
    tags: tuple[str, ...]
    model: str
    version: int
    row: ModelRow | None
    added: int | None
    used: int | None

    @property
    def hashes(self) -> tuple[str, ...]:
        return self.row.hashes if self.row else ()

    @property
    def several(self) -> bool:
        """A machine has it more than once."""
        return self.row is not None and self.row.copies > self.row.machines

    @property
    def conflicting(self) -> bool:
        return len(self.hashes) > 1

    @property
    def verified(self) -> bool:
        return self.row is not None and self.row.verified == self.row.copies


class Traits:
    """Each mapping has the places of a value. Do not change them. The `journal` has each change, and `version` is another one
    after it."""

    def __init__(self, registry: Registry, releases: Releases) -> None:
        self._registry = registry
        self._releases = releases
        self._of: dict[str, Trait] = {}
        self._dirty: dict[str, None] = {}
        self._unsure: set[str] = set()
        self._sharing: dict[str, set[str]] = {}
        self._turn = asyncio.Lock()
        self._published = 0
        self.types: dict[str, set[str]] = {}
        self.bases: dict[str, set[str]] = {}
        self.tags: dict[str, set[str]] = {}
        self.folders: Counter[str] = Counter()
        self.models: dict[str, set[str]] = {}
        self.conflicting: set[str] = set()
        self.verified: set[str] = set()
        self.twins: set[str] = set()
        self.outdated: set[str] = set()
        self.used: dict[str, int] = {}
        self.journal: Journal[Trait | None] = Journal()
        self._usage = registry.view.usage

    @property
    def version(self) -> int:
        return self.journal.version

    async def current(self) -> None:
        """Returns when all that is known is taken up; it is until somebody else has a turn."""
        if not self._turn.locked() and not self.take_up():
            return
        async with self._turn:
            while self.take_up():
                self._go_on()
                if self._dirty or self._unsure:
                    await asyncio.sleep(0)

    def _go_on(self) -> None:
        """A piece of what is to be done."""
        for place in list(islice(self._dirty, PIECE)):
            del self._dirty[place]
            self._look(place)
        if not self._dirty:
            self._judge([self._unsure.pop() for _ in range(min(PIECE, len(self._unsure)))])

    def of(self, place: str) -> Trait | None:
        """As of the last `current`; None for what nobody holds, claims, or tells of."""
        return self._of.get(place)

    def held(self, place: str) -> bool:
        """Whether a machine of ours held it, as of the last `current`."""
        trait = self._of.get(place)
        return trait is not None and trait.row is not None

    def now(self, place: str) -> Trait | None:
        """As of all that was known when somebody last asked for anything, also while others are still looked at."""
        return self._made(place) if place in self._dirty else self._of.get(place)

    def base(self, row: ModelRow) -> str:
        """The base model of a row, "" while nobody told it."""
        trait = self._of.get(row.model)
        return trait.base if trait else ""

    def latest(self, model: str) -> int:
        """The latest version of a model that is known, for whatever base model; 0 for none."""
        return max(later(self._told(model), self._releases.of(model)).values(), default=0)

    def take_up(self) -> bool:
        """Hear which models changed. Whether some are to be looked at."""
        registry, catalogue = self._registry, self._registry.view.catalogue
        registry.view.rows()
        if registry.view.usage is not self._usage:
            before, self._usage = self._usage, registry.view.usage
            for word in before.differing(self._usage):
                self._dirty |= dict.fromkeys(registry.meant(word))
        for source in (catalogue.recounted, registry.lore.changed):
            self._dirty |= dict.fromkeys(source)
            source.clear()
        told, registry.store.changed = registry.store.changed, set()
        self._dirty |= dict.fromkeys(told)
        self._unsure |= self._releases.since(self._published)
        self._published = self._releases.version
        return bool(self._dirty or self._unsure)

    def _look(self, place: str) -> None:
        before, now = self._of.get(place), self._made(place)
        if before == now:
            return
        self.journal.note(place, before)
        for trait, put in ((before, False), (now, True)):
            if trait is not None:
                self._index(place, trait, put=put)
        if now is None:
            del self._of[place]
        else:
            self._of[place] = now
        if now is None or not now.model:  # it is no version of anything any more
            self.outdated.discard(place)
        self._unsure |= {each.model for each in (before, now) if each is not None and each.model}
        self._couple(place, {*(before.hashes if before else ()), *(now.hashes if now else ())})

    def _made(self, place: str) -> Trait | None:
        """None for what nobody holds, claims, or tells of."""
        registry, row = self._registry, self._registry.row(place)
        there = row is not None or bool(registry.claimants(place))
        if not there and not registry.tells(place):
            return None
        version, model = number(registry.text(place, "civitai_version_id")), registry.text(place, "civitai_id")
        return Trait(
            there=there,
            type=registry.type(place),
            base=registry.text(place, "civitai_model_base"),
            tags=registry.tags(place) if there else (),
            model=model if version else "",
            version=version,
            row=row,
            added=registry.lore.added(place) if row else None,
            used=self._usage.anywhere(row.folder, row.name, row.hashes) if row else None,
        )

    def _index(self, place: str, trait: Trait, *, put: bool) -> None:
        for sha256 in trait.hashes:
            _put(self._sharing, sha256, place, put=put)
        if trait.model:
            _put(self.models, trait.model, place, put=put)
        if not trait.there:
            return
        _put(self.types, trait.type, place, put=put)
        _put(self.bases, trait.base, place, put=put)
        for tag in trait.tags:
            _put(self.tags, tag, place, put=put)
        for folder in above(place):
            self.folders[folder] += 1 if put else -1
            if not self.folders[folder]:
                del self.folders[folder]
        if trait.used is not None and put:
            self.used[place] = trait.used
        else:
            self.used.pop(place, None)
        for places, fits in ((self.conflicting, trait.conflicting), (self.verified, trait.verified)):
            (places.add if put and fits else places.discard)(place)

    def _couple(self, place: str, hashes: Iterable[str]) -> None:
        """Whether its bytes have another place too. Of the others only one that was or is left alone with them is touched."""
        few = (self._sharing.get(sha256, ()) for sha256 in hashes)
        for each in {place, *(twin for places in few if len(places) <= COUPLE for twin in places)}:
            trait = self._of.get(each)
            twin = trait is not None and (trait.several or any(len(self._sharing[h]) > 1 for h in trait.hashes))
            self._mark(self.twins, each, twin)

    def _judge(self, models: Iterable[str]) -> None:
        """Which models of these have a later version."""
        for model in models:
            places = self.models.get(model, ())
            known = later(self._told(model), self._releases.of(model))
            for place in places:
                trait = self._of[place]
                self._mark(self.outdated, place, trait.version < best(known, trait.base))

    def _mark(self, places: set[str], place: str, true: bool) -> None:
        if true != (place in places):
            (places.add if true else places.discard)(place)
            self.journal.note(place, self._of.get(place))

    def _told(self, model: str) -> Iterator[tuple[int, str]]:
        return ((self._of[place].version, self._of[place].base) for place in self.models.get(model, ()))


def later(told: Iterable[tuple[int, str]], said: Said | None) -> Mapping[str, int]:
    """By base model the latest version of a model that machines hold (number and base model), or that CivitAI publishes."""
    known: dict[str, int] = {}
    published = ((each.number, each.base) for each in (said.releases or ())) if said else ()
    for version, base in (*told, *published):
        known[base or UNTOLD] = max(known.get(base or UNTOLD, 0), version)
    return known


def best(known: Mapping[str, int], base: str) -> int:
    """The one that counts for somebody who has one for a base model: of the same, or where nobody told which."""
    if not base:
        return max(known.values(), default=0)
    return max(known.get(base, 0), known.get(UNTOLD, 0))


def number(text: str) -> int:
    """Of a version; 0 for none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else 0


def above(place: str) -> Iterator[str]:
    """The directories that it lies below."""
    at = place.find("/")
    while at >= 0:
        yield place[: at + 1]
        at = place.find("/", at + 1)


def _put(index: dict[K, set[str]], key: K, place: str, *, put: bool) -> None:
    if put:
        index.setdefault(key, set()).add(place)
    elif (places := index.get(key)) is not None:
        places.discard(place)
        if not places:
            del index[key]
