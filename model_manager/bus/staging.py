"""Inventories that are too large for one call: their parts are staged, and count together from the last call on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final
from uuid import uuid4

from redis.asyncio import Redis

from model_manager.bus import arguments
from model_manager.bus.functions import Argument, Functions
from model_manager.bus.keys import Keys
from model_manager.bus.listing import SMALL, put
from model_manager.bus.withdrawing import ROUNDS, Withdrawing
from model_manager.errors import BusUnavailable
from model_manager.facts import wire
from model_manager.facts.event import Entry, Envelope

AT_ONCE: Final = 100
"""Entries that one call takes; more are staged."""

PART: Final = 64
PART_BYTES: Final = 128 * 1024
"""Entries and names of one part, and about so many bytes of entries."""

BEGINNINGS: Final = 2_000
"""Calls that may clear away what was stored before, 500 entries each."""

Answer = tuple[str, list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """One machine's side of a snapshot. Raises BusUnavailable; then nothing of it counts, and it may be repeated."""

    redis: Redis
    functions: Functions
    keys: Keys
    withdrawing: Withdrawing
    machine: str
    installation: str
    trim: tuple[str, str]

    async def snapshot(self, envelope: Envelope, entries: Sequence[Entry]) -> Answer:
        """The answer of mm_snapshot, or of mm_adopt where it is too much for one call."""
        if len(entries) <= AT_ONCE:
            word, rest = await self._at_once(envelope, entries)
            if word != "STAGE":
                return word, rest
        return await self._in_parts(envelope, entries)

    async def _at_once(self, envelope: Envelope, entries: Sequence[Entry]) -> Answer:
        names = {each.name: None for each in entries if each.verified}
        names.update(dict.fromkeys(await self.withdrawing.stored_names(self.machine)))
        body = (*arguments.event(envelope), *arguments.contents(entries))
        for _ in range(ROUNDS):
            keys = (*self._own, self.keys.events, self.keys.routing, *map(self.keys.index, names))
            values = (self.machine, self.installation, *self.trim, *arguments.counted(names), *body)
            word, rest = await self.functions.call("mm_snapshot", keys, values)
            if word != "NEEDS":
                return word, rest
            names.update(dict.fromkeys(rest))
        raise BusUnavailable(why="the stored inventory changes faster than it can be replaced")

    async def _in_parts(self, envelope: Envelope, entries: Sequence[Entry]) -> Answer:
        """LOST: another process of this machine, or its burial, came in between; the snapshot is asked for again."""
        token = uuid4().hex
        counts = _counts(entries)
        gone = [name for name in await self.withdrawing.stored_names(self.machine) if name not in counts]
        word, rest = await self._begin(envelope, token)
        listed = iter([*counts.items(), *((name, 0) for name in gone)])
        parts = 0
        for part in _parts(entries, listed):
            if word == "OK":
                parts += 1
                word, rest = await self._stage(envelope, token, parts, *part)
        if word == "OK":
            word, rest = await self._adopt(envelope, entries, token, parts, len(counts))
        if word == "LOST":
            raise BusUnavailable(why="what was staged of the inventory was taken away")
        return word, rest

    async def _begin(self, envelope: Envelope, token: str) -> Answer:
        for _ in range(BEGINNINGS):
            word, rest = await self._stage(envelope, token, 0, (), ())
            if word != "MORE":
                return word, rest
        raise BusUnavailable(why="the stored inventory could not be cleared away")

    async def _stage(
        self, envelope: Envelope, token: str, part: int, entries: Sequence[Entry], names: Sequence[tuple[str, int]]
    ) -> Answer:
        keys = (*self._own, self.keys.routing, *(self.keys.index(name) for name, _ in names))
        head = (self.machine, self.installation, str(envelope.epoch), str(envelope.seq), token, str(part))
        listed = (*arguments.counted(name for name, _ in names), *(str(count) for _, count in names))
        body: Iterable[Argument] = (value for each in entries for value in _staged(each))
        return await self.functions.call("mm_stage", keys, (*head, *listed, str(len(entries)), *body))

    async def _adopt(self, envelope: Envelope, entries: Sequence[Entry], token: str, parts: int, names: int) -> Answer:
        bytes_ = sum(each.size for each in entries)
        numbers = map(str, (parts, len({each.path for each in entries}), names, bytes_))
        values = (self.machine, self.installation, *self.trim, *arguments.event(envelope), token, *numbers)
        keys = (*self._own, self.keys.events, self.keys.routing)
        text = _by_folder(entries)
        if len(text) > SMALL:
            await put(self.redis, self.keys.listing(self.machine), text, base=token, upto=token)
            word, rest = await self.functions.call("mm_adopt", keys, (*values, ""))
            if word != "LIST":
                return word, rest
        return await self.functions.call("mm_adopt", keys, (*values, text))

    @property
    def _own(self) -> tuple[str, ...]:
        k, machine = self.keys, self.machine
        return k.models(machine), k.inventory(machine), k.names(machine), k.lease(machine)


def _counts(entries: Sequence[Entry]) -> dict[str, int]:
    """Verified entries by name."""
    found: dict[str, int] = {}
    for each in entries:
        if each.verified:
            found[each.name] = found.get(each.name, 0) + 1
    return found


def _parts(
    entries: Sequence[Entry], names: Iterator[tuple[str, int]]
) -> Iterator[tuple[Sequence[Entry], Sequence[tuple[str, int]]]]:
    """All entries and all names, within the limits of a part."""
    at = 0
    while True:
        some = _fitting(entries, at)
        at += len(some)
        listed = tuple(islice(names, PART))
        if not some and not listed:
            return
        yield some, listed


def _fitting(entries: Sequence[Entry], first: int) -> Sequence[Entry]:
    size, last = 0, first
    while last < len(entries) and last - first < PART and (last == first or size < PART_BYTES):
        size += len(entries[last].path) + len(wire.dumps(entries[last]))
        last += 1
    return entries[first:last]


def _staged(entry: Entry) -> tuple[Argument, ...]:
    return entry.path, wire.dumps(entry), entry.name, "1" if entry.verified else "0"


def _by_folder(entries: Sequence[Entry]) -> bytes:
    """The public JSON: folder -> entries."""
    folders: dict[str, list[bytes]] = {}
    for each in entries:
        folders.setdefault(each.folder, []).append(wire.dumps(each))
    return b"{%b}" % b",".join(b"%b:[%b]" % (wire.dumps(name), b",".join(texts)) for name, texts in folders.items())
