"""Reading what machines told: the stream from a cursor on, its past, and a machine's whole inventory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from model_manager.bus.connection import translate
from model_manager.bus.keys import Keys
from model_manager.errors import BadRecord
from model_manager.facts import wire
from model_manager.facts.event import Entry, Envelope
from model_manager.facts.identity import MachineId

BLOCK_MS: Final = 2_000
"""Below every socket timeout, so that a silent server is told from a quiet stream."""

PAGE: Final = 500

Told = Envelope | BadRecord
"""An event, or why an entry of the stream is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What a machine holds as of (epoch, seq); `digest` is the one that its event of that place carries."""

    epoch: int
    seq: int
    digest: str
    entries: tuple[Entry, ...]


async def tail(redis: Redis, keys: Keys, cursor: str = "$") -> AsyncIterator[tuple[str, Told]]:
    """Entries after `cursor` ("0" = from the first, "$" = from now on), without end; the id of each is the next cursor.

    Entries that were trimmed meanwhile are not seen: a hole in a machine's seq says so, and `inventory` heals it.
    Raises BusUnavailable; go on from the last id.
    """
    if cursor == "$":
        cursor = await last_id(redis, keys)
    while True:
        with translate():
            answer: Any = await redis.xread({keys.events: cursor}, count=PAGE, block=BLOCK_MS)
        for _, entries in answer:
            for cursor, told in map(told_of, entries):
                yield cursor, told


async def history(
    redis: Redis, keys: Keys, *, machine_id: MachineId | None = None, count: int = 100
) -> list[tuple[str, Told]]:
    """The last `count` entries (of one machine, if named), oldest first. Raises BusUnavailable."""
    found: list[tuple[str, Told]] = []
    upto = "+"
    while len(found) < count:
        with translate():
            entries: Any = await redis.xrevrange(keys.events, max=upto, count=PAGE)
        found += [told_of(entry) for entry in entries if _concerns(entry[1], machine_id)]
        if len(entries) < PAGE:
            break
        upto = "(" + entries[-1][0].decode()
    return found[:count][::-1]


async def inventory(redis: Redis, keys: Keys, machine_id: MachineId) -> Inventory | None:
    """One machine's inventory, read in one step; None when Redis has none, or one that a snapshot is about to replace.

    Raises BusUnavailable, and BadRecord when what stands there is unreadable.
    """
    key = keys.models(machine_id)
    with translate():
        if await redis.type(key) not in (b"hash", b"none"):
            raise BadRecord(name=key, why="it is not a hash; the machine replaces it at its next heartbeat")
        values: Any = await redis.hmget(key, ["epoch", "seq", "digest", "models"])
    epoch, seq, digest, models = values
    if epoch is None or seq is None or digest is None or models is None:
        return None
    body = wire.loads(models, key)
    try:
        entries = tuple(Entry(**each) for folder in body.values() for each in folder)
        return Inventory(epoch=int(epoch), seq=int(seq), digest=digest.decode(), entries=entries)
    except (AttributeError, TypeError, ValueError) as error:
        raise BadRecord(name=key, why=f"{type(error).__name__}: {error}") from None


async def last_id(redis: Redis, keys: Keys) -> str:
    """Of the stream's last entry, "0" when there is none. Raises BusUnavailable."""
    with translate():
        entries: Any = await redis.xrevrange(keys.events, count=1)
    return entries[0][0].decode() if entries else "0"


def _concerns(fields: dict[bytes, bytes], machine_id: MachineId | None) -> bool:
    return machine_id is None or fields.get(b"machine_id") == str(machine_id).encode()


def sealed(entries: Any) -> list[tuple[str, Told]]:
    """As `told_of` each, of entries as Redis sends them; an event becomes a record when somebody asks for it."""
    try:
        return [(identity.decode(), wire.Sealed(fields)) for identity, fields in entries]
    except BadRecord:
        return list(map(_sealed, entries))


def _sealed(entry: Any) -> tuple[str, Told]:
    identity, fields = entry
    try:
        return identity.decode(), wire.Sealed(fields)
    except BadRecord as why:
        return identity.decode(), why


def told_of(entry: Any) -> tuple[str, Told]:
    """An entry as redis-py gives it: its id, and what it says."""
    identity, fields = entry
    try:
        return identity.decode(), wire.envelope(fields)
    except BadRecord as why:
        return identity.decode(), why
