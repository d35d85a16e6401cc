"""The public JSON of a large inventory, as the machine itself makes it: the server would take milliseconds to change it, and others wait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from model_manager.bus.arguments import Sent, changes
from model_manager.bus.connection import translate
from model_manager.bus.keys import Keys
from model_manager.errors import BadRecord
from model_manager.facts import wire
from model_manager.facts.event import Entry, Gone

SMALL: Final = 250_000
"""Bytes of a listing that the server may make itself again."""

LEFT_MS: Final = 60_000
"""A listing that no event followed is forgotten after this."""

Position = tuple[int, int]
"""Epoch and seq."""


@dataclass(slots=True)
class Listing:
    """The entries of a machine by folder and path, as of one position."""

    position: Position
    folders: dict[str, dict[str, bytes]]

    @classmethod
    def read(cls, position: Position, text: bytes, where: str) -> Listing:
        """From a public JSON. Raises BadRecord."""
        try:
            folders = {
                folder: {each["path"]: wire.dumps(each) for each in entries}
                for folder, entries in wire.loads(text, where).items()
            }
        except (AttributeError, KeyError, TypeError) as error:
            raise BadRecord(name=where, why=f"its models are no lists of files by folder ({error})") from None
        return cls(position, folders)

    def __len__(self) -> int:
        return sum(map(len, self.folders.values()))

    def lay(self, changed: Iterable[Entry | Gone]) -> None:
        """Lays the changes of an event over it."""
        for each in changed:
            for folder, files in self.folders.items():
                if isinstance(each, Gone) or folder != each.folder:
                    files.pop(each.path, None)
            if isinstance(each, Entry):
                self.folders.setdefault(each.folder, {})[each.path] = wire.dumps(each)

    def text(self) -> bytes:
        """The public JSON: folder → entries."""
        lists = ((folder, files.values()) for folder, files in self.folders.items() if files)
        return b"{%b}" % b",".join(b"%b:[%b]" % (wire.dumps(name), b",".join(texts)) for name, texts in lists)


class Listings:
    """Of one machine: what its public JSON will be is put beside the public hash by a plain write, and `mm_publish` puts it in place,
    together with the event. Only while its inventory is so large that the server wants it so. Raises BusUnavailable."""

    def __init__(self, redis: Redis, keys: Keys, machine_id: str) -> None:
        self._redis = redis
        self._keys = keys
        self._machine = machine_id
        self._wanted = False
        self._known: Listing | None = None

    async def prepare(self, events: Sequence[Sent]) -> None:
        """Before events are published, all of them or none: the listing that they lead to, where the server wanted one before."""
        if not self._wanted or not any(each.changes for each in events):
            return
        try:
            listing = self._known or await self._stored()
        except BadRecord:
            return  # the server finds the same, and asks for a snapshot
        self._known = None
        if listing is not None:
            await self._stage(listing, events)

    async def want(self, events: Sequence[Sent]) -> None:
        """The server wants one, and what was prepared, if anything, is not the one that it can use."""
        self._wanted, self._known = True, None
        await self.prepare(events)

    def published(self, events: Sequence[Sent]) -> None:
        """They were delivered."""
        if self._known is not None:
            self._known.position = max(self._known.position, _position(events[-1]))

    def forget(self) -> None:
        """The inventory may be another one from now on."""
        self._known, self._wanted = None, False

    async def _stage(self, listing: Listing, events: Sequence[Sent]) -> None:
        base, upto = listing.position, max(listing.position, _position(events[-1]))
        for each in events:
            if _position(each) > base:
                listing.lay(changes(each.envelope.event))
        text = listing.text()
        await put(self._redis, self._keys.listing(self._machine), text, base=_text(base), upto=_text(upto))
        listing.position = upto
        self._known, self._wanted = listing, len(text) > SMALL

    async def _stored(self) -> Listing | None:
        key = self._keys.models(self._machine)
        with translate():
            if await self._redis.type(key) != b"hash":
                return None
            found: Any = await self._redis.hmget(key, ["epoch", "seq", "total_models", "models"])
        *numbers, text = found
        if not (text and all(each and each.isdigit() for each in numbers)):
            return None
        listing = Listing.read((int(numbers[0]), int(numbers[1])), text, key)
        return listing if len(listing) == int(numbers[2]) else None


async def put(redis: Redis, key: str, text: bytes, *, base: str, upto: str) -> None:
    """Writes a listing where a function takes it from. Raises BusUnavailable."""
    with translate():
        async with redis.pipeline(transaction=True) as pipe:
            pipe.hset(key, items=["models", text, "base", base, "upto", upto])
            pipe.pexpire(key, LEFT_MS)
            await pipe.execute()


def _position(sent: Sent) -> Position:
    return sent.envelope.epoch, sent.envelope.seq


def _text(position: Position) -> str:
    return f"{position[0]} {position[1]}"
