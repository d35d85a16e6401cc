"""What machines know of their models besides the bytes, gathered little by little: lists can be sorted by it without asking anybody."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from model_manager.errors import Unavailable
from model_manager.facts.description import ORDER
from model_manager.fleet.models.enquiring import Enquiring
from model_manager.fleet.store import Word
from model_manager.fleet.view import View
from model_manager.serving.problems import Answer

FIRST: Final = 5.0
"""Seconds until the first question: what an aggregator is for is there before."""

EVERY: Final = 2.0
"""Seconds between two rounds."""

AT_ONCE: Final = 4
"""Machines that are asked in a round."""

MANY: Final = 100
"""Models of one question."""

AGAIN: Final = 6 * 3600.0
"""Seconds after which a model is asked about again."""

SILENT: Final = 120.0
"""Seconds for which a machine that did not reply is left alone."""

LOOKED: Final = 5_000
"""Files that are looked at in a round: nobody waits for long meanwhile."""

TIDY: Final = 300.0
"""Seconds between two looks for what is nowhere any more."""

LONGEST: Final = 2_000
"""Characters of a field that are remembered."""

Words = Mapping[str, Word]


class Lore:
    """By `folder/name`: the word that is believed of each field. `version` is another after each change."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, Words]] = {}
        self._at: dict[str, tuple[str, float]] = {}
        self._added: dict[str, int] = {}
        self.version = 0
        self.changed: set[str] = set()
        """Places of which something else is known now; whoever follows them takes them out."""

    def of(self, place: str) -> Words:
        """Nothing while its machines were not asked."""
        known = self._known.get(place)
        return known[1] if known else {}

    def places(self) -> Mapping[str, tuple[str, Words]]:
        return self._known

    def added(self, place: str) -> int | None:
        """When a machine first saw it, seconds since 1970: of those that were asked the earliest."""
        return self._added.get(place)

    def learn(
        self, place: str, sha256: str, told: Iterable[Mapping[str, Any]], now: float, first_seen: object = ""
    ) -> None:
        """`first_seen` is ISO 8601; what is none counts as nothing."""
        self._at[place] = sha256, now
        seen, known = seconds_of(first_seen), self._added.get(place)
        if seen is not None and (known is None or seen < known):
            self._added[place] = seen
            self.changed.add(place)
            self.version += 1
        self.put(place, sha256, believed(told))

    def put(self, place: str, sha256: str, words: Words) -> None:
        if self._known.get(place, ("", {}))[1] != words:
            self._known[place] = sha256, words
            self.changed.add(place)
            self.version += 1

    def due(self, place: str, sha256: str, now: float) -> bool:
        """Whether nobody asked lately, or it is other bytes now."""
        asked = self._at.get(place)
        return asked is None or asked[0] != sha256 or now - asked[1] > AGAIN

    def keep(self, places: Iterable[str]) -> None:
        """Only of these: the others are nowhere any more."""
        here = set(places)
        for known in (self._known, self._at, self._added):
            for place in [each for each in known if each not in here]:
                del known[place]
                self.changed.add(place)


class Gathering:
    """The loop that asks."""

    def __init__(self, lore: Lore, view: View, enquiring: Enquiring, monotonic: Callable[[], float]) -> None:
        self._lore = lore
        self._view = view
        self._enquiring = enquiring
        self._monotonic = monotonic
        self._quiet: dict[str, float] = {}
        self._next = ""
        self._tidied = monotonic()

    async def run(self) -> None:
        await asyncio.sleep(FIRST)
        while True:
            if self._view.exact and self._view.away is None:
                self._tidy()
                for machine_id in list(islice(self.askable(), AT_ONCE)):
                    await self.gather(machine_id)
            await asyncio.sleep(EVERY)

    def _tidy(self) -> None:
        if self._monotonic() - self._tidied > TIDY:
            self._tidied = self._monotonic()
            self._lore.keep(self._view.rows())

    def askable(self) -> Iterator[str]:
        """Machines that live and have something to tell, in turn; only so many files are looked at in a round."""
        now, left, ids = self._monotonic(), LOOKED, self._view.ids
        begin = bisect_left(ids, self._next)
        for machine_id in ids[begin:] + ids[:begin]:
            self._next = machine_id
            if left <= 0:
                return
            mirror = self._view.mirror(machine_id)
            left -= 1 + len(mirror.entries if mirror else ())
            asked = self._view.state(machine_id) == "live" and self._quiet.get(machine_id, 0.0) <= now
            if asked and next(self._due(machine_id), None) is not None:
                yield machine_id
        self._next = ""

    def _due(self, machine_id: str) -> Iterator[tuple[str, str, str]]:
        """Path, place and hash of what it should be asked about."""
        mirror, now = self._view.mirror(machine_id), self._monotonic()
        for path, copy in mirror.entries.items() if mirror else ():
            place = f"{copy.folder}/{copy.name}"
            if self._lore.due(place, copy.hash, now):
                yield path, place, copy.hash

    async def gather(self, machine_id: str) -> None:
        """One question. Who does not reply is left alone for a while."""
        wanted = {path: (place, sha256) for path, place, sha256 in islice(self._due(machine_id), MANY)}
        if not wanted:
            return
        try:
            said = await self._enquiring.ask(machine_id, "describe", list(wanted))
        except (Answer, Unavailable):
            self._quiet[machine_id] = self._monotonic() + SILENT
            return
        now = self._monotonic()
        told = {each.get("path"): each for each in said.get("files", ()) if isinstance(each, dict)}
        for path, (place, sha256) in wanted.items():
            each = told.get(path, {})
            self._lore.learn(place, sha256, each.get("told", ()), now, each.get("first_seen"))


def seconds_of(text: object) -> int | None:
    """Since 1970, of a time in ISO 8601; without a zone it is UTC. None for what is none, or before 1970."""
    try:
        read = datetime.fromisoformat(text) if isinstance(text, str) else None
        seconds = 0 if read is None else int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None


def believed(told: Iterable[Mapping[str, Any]]) -> dict[str, Word]:
    """Of several tellers of a field the one that comes first in the order; what is no text is left out."""
    found: dict[str, Word] = {}
    plain = [each for each in told if _plain(each)] if isinstance(told, list | tuple) else []
    for each in sorted(plain, key=_rank):
        word = Word(str(each["value"])[:LONGEST], str(each["teller"]), str(each.get("at", "")))
        found.setdefault(str(each["field"]), word)
    return found


def _plain(each: Any) -> bool:
    return isinstance(each, dict) and all(isinstance(each.get(name), str) for name in ("field", "value", "teller"))


def _rank(each: Mapping[str, Any]) -> int:
    teller = each["teller"]
    return ORDER.index(teller) if teller in ORDER else len(ORDER)
