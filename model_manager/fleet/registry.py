"""Models of the fleet by number, as programs know them that were made for a single table: and what is told of each.

A number is made of `folder/name` alone, so that every aggregator gives the same one, after any reset.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

from model_manager.errors import BadRecord, StoreUnavailable, printable
from model_manager.facts import wire
from model_manager.facts.mirror import Copy
from model_manager.fleet.jobs.mentioning import Called, called
from model_manager.fleet.models.finding import Finding
from model_manager.fleet.models.lore import Lore
from model_manager.fleet.shapes import ModelRow
from model_manager.fleet.store import Claimed, Store, Word
from model_manager.fleet.view import View
from model_manager.serving.problems import Answer, away, no_such

FULL: Final = 64
DIGITS: Final = {FULL: "sha256", 10: "autov2"}
TYPES: Final = {"checkpoints": "checkpoint", "loras": "lora"}

MOST_TAGS: Final = 50
"""Tags of one model."""

T = TypeVar("T")

State = tuple[int, tuple[int, int], int]


def number_of(place: str) -> int:
    """53 bits, which every JSON reader takes: the chance that two of 100,000 models share one is one in a million."""
    return int.from_bytes(hashlib.sha256(place.encode("utf-8", "surrogateescape")).digest()[:7], "big") >> 3


class Registry:
    def __init__(self, view: View, finding: Finding, store: Store, lore: Lore | None = None) -> None:
        self.view = view
        self.store = store
        self.lore = lore or Lore()
        self._finding = finding
        self._order: Sequence[str] = ()
        self._claimed: object = None
        self._known: dict[str, int] = {}
        self._merged: tuple[object, object, Sequence[str]] | None = None
        self._numbers: dict[int, str] = {}

    async def places(self, q: str = "", folder: str | None = None) -> Sequence[str]:
        """Every `folder/name` that a machine holds, ours or not; by name. Be done with it before anybody else has a turn."""
        await self.store.refresh()
        found, claims = self._finding.places(q, folder), self.store.claims
        if not claims:
            return found
        known = q, folder, self.view.catalogue.journal.version
        if self._merged is None or self._merged[0] != known or self._merged[1] is not claims:
            words = q.lower().split()
            more = [
                place
                for place in self._only_claimed()
                if all(word in place.lower() for word in words) and (folder is None or place.startswith(f"{folder}/"))
            ]
            self._merged = known, claims, sorted([*found, *more])
        return self._merged[2]

    def _only_claimed(self) -> set[str]:
        rows = self.view.rows()
        return {place for held in self.store.claims.values() for place in held if place not in rows}

    async def place(self, given: str) -> str:
        """Of a number or a digest. Raises Answer 404, 409 for a digest of several models."""
        await self.store.refresh()
        kind = DIGITS.get(len(given))
        if kind and all(each in "0123456789abcdefABCDEF" for each in given):
            found = sorted(self.hashed(given.lower()))
            if found:
                return found[0]
        if given.isdigit() and (known := self._numbered().get(int(given))):
            return known
        raise no_such("model", given, "GET /api/v1/models lists them with their numbers.")

    def _numbered(self) -> dict[int, str]:
        order, claims = self.view.order(), self.store.claims
        if order is not self._order or claims is not self._claimed:
            self._order, self._claimed = order, claims
            known = self._known
            self._known = {p: known[p] if p in known else number_of(p) for p in (*order, *self._only_claimed())}
            self._numbers = {number: place for place, number in self._known.items()}
        return self._numbers

    def hashed(self, digits: str) -> Iterator[str]:
        """Places of models with this SHA-256, or whose SHA-256 begins so."""
        self.view.rows()
        yield from self.view.catalogue.hashed(digits)
        for held in self.store.claims.values():
            yield from (place for place, each in held.items() if each.sha256 and each.sha256.startswith(digits))

    def meant(self, word: str) -> Iterable[str]:
        """Places of models that a job may have called so, in the words of its usage."""
        catalogue, (kind, _, text) = self.view.catalogue, word.partition(":")
        return catalogue.hashed(text) if kind == "h" else catalogue.called(text.rpartition("/")[2])

    def versioned(self, version: str) -> list[str]:
        """Places of which somebody told this CivitAI version."""
        return sorted(place for place in self.described() if self.text(place, "civitai_version_id") == version)

    async def lookup(self, asked: str) -> Sequence[str]:
        """SHA-256 of models with this CivitAI version, as far as the fleet knows."""
        await self.store.refresh()
        return [sha256 for place in self.versioned(asked) if (sha256 := self.sha256(place))]

    def same(self, sha256: str) -> tuple[str, ...]:
        """Places that machines of ours hold these bytes at, sorted."""
        self.view.rows()
        return tuple(sorted(self.view.catalogue.hashed(sha256))) if len(sha256) == FULL else ()

    def called(self, place: str) -> Called:
        """Every text by which a job may mean this model."""
        row, claimed = self.row(place), (each.sha256 for _, each in self.claimants(place))
        return called(place, filter(None, (*(row.hashes if row else ()), *claimed)))

    def row(self, place: str) -> ModelRow | None:
        return self.view.rows().get(place)

    def sha256(self, place: str) -> str:
        """The one that machines read, else what one claims; empty while nobody knows, or several differ."""
        row = self.row(place)
        if row is not None and row.hashes:
            return row.hashes[0] if len(row.hashes) == 1 else ""
        return next((each.sha256 for _, each in self.claimants(place) if each.sha256), "")

    def claimants(self, place: str) -> list[tuple[str, Claimed]]:
        """Machines that are not ours and say that they hold it."""
        return [(server, held[place]) for server, held in sorted(self.store.claims.items()) if place in held]

    def holders(self, place: str) -> dict[str, Sequence[Copy]]:
        """Our machines, and their copies."""
        return dict(sorted(self.view.who_has(place).items()))

    @property
    def state(self) -> State:
        """Another one after each change of what is held or told, as of the last refresh."""
        return self.view.catalogue.counts, self.store.version, self.lore.version

    def word(self, place: str, field: str) -> Word | None:
        """The one that is believed: what a person told here, what a machine of its own knows, what services told."""
        told = self.store.told.get(place)
        word = told.get(field) if told else None
        if word is not None and word.teller == "manual":
            return word
        return self.lore.of(place).get(field) or word

    def words(self, place: str) -> dict[str, Word]:
        """Every field that somebody told."""
        fields = {*self.store.told.get(place, {}), *self.lore.of(place)}
        return {field: word for field in sorted(fields) if (word := self.word(place, field))}

    def told(self, place: str, field: str) -> Any:
        """None while nobody told it."""
        return _value(self.word(place, field))

    def text(self, place: str, field: str) -> str:
        """The same as text, empty while nobody told it."""
        value = self.told(place, field)
        return "" if value is None else str(value)

    def tells(self, place: str) -> bool:
        """Whether somebody told anything of it."""
        return place in self.store.told or bool(self.lore.of(place))

    def described(self) -> set[str]:
        """Places of which somebody told anything."""
        return {*self.store.told, *self.lore.places()}

    def type(self, place: str) -> str:
        """checkpoint, lora, or the folder of anything else."""
        folder = place.partition("/")[0]
        return self.text(place, "type") or TYPES.get(folder, folder)

    def tags(self, place: str) -> tuple[str, ...]:
        """Tags that somebody told, and trained words."""
        each = (*_listed(self.told(place, "tags")), *_listed(self.told(place, "civitai_trained_words")))
        return tuple(dict.fromkeys(each))

    def base(self, row: ModelRow) -> str:
        """The base model, empty while nobody told it. As of the last refresh."""
        return self.text(row.model, "civitai_model_base")

    def insist_foreign(self, server: str) -> None:
        """Raises Answer 409 for a machine that tells for itself what it holds."""
        if self.view.knows(server):
            detail = f"'{server}' runs this product, and tells by itself what it holds. Ask it for a scan instead."
            raise Answer(409, "own-machine", detail)


async def kept(work: Awaitable[T]) -> T:
    """Raises Answer 503 while the store cannot be used."""
    try:
        return await work
    except StoreUnavailable as error:
        raise away("store", printable(error)) from None


def _listed(value: Any) -> list[str]:
    """A list, the JSON of one, or words with commas between them."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = wire.loads(value, "words")
        except BadRecord:
            return []
    found = value if isinstance(value, list) else value.split(",") if isinstance(value, str) else []
    return [text for each in found[:MOST_TAGS] if (text := str(each).strip())]


def _value(word: Any) -> Any:
    return None if word is None else word.value
