"""Assignments that are pushed to a running machine through `machine:{id}:assignment`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, cast

from redis.asyncio import Redis

from model_manager.bus.connection import translate
from model_manager.bus.keys import Keys
from model_manager.errors import BadAssignment, BadRecord
from model_manager.facts import wire
from model_manager.facts.identity import MachineId
from model_manager.facts.model import Assignment
from model_manager.facts.record import ASSIGNED, assignment_record

Mode = Literal["add", "replace"]
EVERY: Final = 2.0
"""Seconds between two looks at a hash, and the longest wait at a stream."""

KEPT: Final = 100
_Fields = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Pushed:
    """An assignment that adds to what the machine's own configuration says, or replaces it."""

    assignment: Assignment
    mode: Mode


async def pushed(
    redis: Redis, keys: Keys, machine_id: MachineId, *, every: float = EVERY
) -> AsyncIterator[Pushed | BadRecord | None]:
    """First what stands there now (None = nothing), then every change of it, without end.

    A hash counts as a whole, a stream by its last entry. What cannot be read, or names nothing, comes as the BadRecord
    that says why (and as None when that was deleted), and a deleted key says nothing: neither narrows what the machine
    serves. Raises BusUnavailable.
    """
    key = keys.assignment(machine_id)
    cursor, fields = await _current(redis, key)
    said = _read(key, fields)
    yield said
    last = fields
    last_cursor = cursor
    while True:
        await _changed(redis, key, cursor, every)
        cursor, fields = await _current(redis, key)
        gone = fields is None and not isinstance(said, BadRecord)
        if not gone and (cursor, fields) != (last_cursor, last):
            last, last_cursor = fields, cursor
            said = _read(key, fields)
            yield said


async def push(redis: Redis, keys: Keys, machine_id: MachineId, assignment: Assignment, mode: Mode) -> None:
    """Hands a machine an assignment. Raises BadAssignment for an empty one, BusUnavailable."""
    key = keys.assignment(machine_id)
    if assignment.empty:
        raise BadAssignment(name=key, why="it names nothing")
    fields: dict[Any, Any] = {part: wire.dumps(names) for part, names in asdict(assignment).items() if names}
    fields["mode"] = mode
    with translate():
        found = await redis.type(key)
        async with redis.pipeline(transaction=True) as pipe:
            if found not in (b"none", b"stream"):
                pipe.delete(key)
            if found == b"hash":
                pipe.hset(key, mapping=fields)
            else:
                pipe.xadd(key, fields, maxlen=KEPT)
            await pipe.execute()


async def _current(redis: Redis, key: str) -> tuple[str | None, _Fields | None]:
    """The id of the stream's last entry (None for a hash) and the fields; no fields = no key."""
    with translate():
        kind: Any = await redis.type(key)
        if kind == b"none":
            return None, None
        if kind == b"hash":
            whole: Any = await redis.hgetall(key)
            return None, whole
        if kind == b"stream":
            entries: Any = await redis.xrevrange(key, count=1)
            return (entries[0][0].decode(), entries[0][1]) if entries else (None, None)
    return None, {b"": kind}


async def _changed(redis: Redis, key: str, cursor: str | None, every: float) -> None:
    """Returns when a stream has a newer entry, and anyway after `every` seconds."""
    if cursor is None:
        await asyncio.sleep(every)
        return
    with translate():
        if await redis.type(key) != b"stream":
            await asyncio.sleep(every)
            return
        await redis.xread({key: cursor}, count=1, block=max(1, int(every * 1000)))


def _read(key: str, fields: _Fields | None) -> Pushed | BadRecord | None:
    if fields is None:
        return None
    try:
        return _parsed(key, fields)
    except BadRecord as why:
        return why


def _parsed(key: str, fields: _Fields) -> Pushed:
    if b"" in fields:
        raise BadAssignment(name=key, why=f"a {fields[b''].decode()} is neither a hash nor a stream")
    given: dict[str, Any] = {part: _text(key, fields[part.encode()]) for part in ASSIGNED if part.encode() in fields}
    mode = _text(key, fields.get(b"mode", b"replace"))
    if b"assignment" in fields:
        body = wire.loads(fields[b"assignment"], key)
        if not isinstance(body, dict):
            raise BadAssignment(name=key, why="its field 'assignment' is not a JSON object")
        given = {part: body[part] for part in ASSIGNED if body.get(part)}
        mode = body.get("mode", mode)
    if mode not in ("add", "replace"):
        raise BadAssignment(name=key, why=f"its mode '{mode}' is neither 'add' nor 'replace'")
    assignment = assignment_record(given, key)
    if assignment.empty:
        raise BadAssignment(name=key, why=f"it names nothing in {', '.join(ASSIGNED)}")
    return Pushed(assignment, cast(Mode, mode))


def _text(key: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise BadAssignment(name=key, why="it is not UTF-8") from None
