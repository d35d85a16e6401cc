"""A stranger who follows a machine through Redis with nothing but docs/events.md and docs/redis.md, and compares."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable
from typing import Any

import redis

from tests.stories.machine import Machine

Files = dict[str, dict[str, Any]]
"""Absolute path → the entry."""


class Reader:
    """Keeps (epoch, seq) and an inventory. `told` has every entry of the machine, `resyncs` why the hash was read."""

    def __init__(self, server: redis.Redis, machine_id: str = "m1") -> None:
        self._server = server
        self._machine_id = machine_id
        self._cursor = "-"
        self.position: tuple[int, int] | None = None
        self.held: Files = {}
        self.told: list[tuple[int, int, str, dict[str, Any]]] = []
        self.resyncs: list[str] = []

    def read(self) -> None:
        """Everything that came since the last time."""
        entries: Any = self._server.xrange("model_manager:events", min=self._cursor)
        for identity, fields in entries:
            self._cursor = f"({identity.decode()}"
            if fields[b"machine_id"].decode() == self._machine_id:
                self._take(fields)

    @property
    def kinds(self) -> list[str]:
        return [kind for _, _, kind, _ in self.told]

    def told_of(self, kind: str) -> list[dict[str, Any]]:
        return [data for _, _, each, data in self.told if each == kind]

    def complaints(self) -> list[str]:
        """What is not once and in order: within each epoch 1, 2, 3 …, and epochs that only grow."""
        wrong, at = [], (0, 0)
        for epoch, seq, kind, _ in self.told:
            if (epoch, seq) != (at[0], at[1] + 1) and not (epoch > at[0] and seq == 1):
                wrong.append(f"{kind} {epoch}-{seq} after {at[0]}-{at[1]}")
            at = epoch, seq
        return wrong

    def _take(self, fields: dict[bytes, bytes]) -> None:
        epoch, seq, kind = int(fields[b"epoch"]), int(fields[b"seq"]), fields[b"kind"].decode()
        body, digest = fields[b"data"], fields[b"digest"].decode()
        data = json.loads(zlib.decompress(body) if body[:1] == b"x" else body)
        self.told.append((epoch, seq, kind, data))
        if self.position is None:
            self._resync(f"{kind} of a stranger")
        elif (epoch, seq) <= self.position:
            return
        elif (epoch, seq) == (self.position[0], self.position[1] + 1):
            self.position = epoch, seq
            self._apply(kind, data)
            if digest_of(self.held.values()) != digest:
                self._resync(f"the digest after {kind} {epoch}-{seq}")
        elif kind == "machine.hello" and digest_of(self.held.values()) == digest:
            self.position = epoch, seq
        else:
            self._resync(f"a hole before {kind} {epoch}-{seq}")

    def _apply(self, kind: str, data: dict[str, Any]) -> None:
        if kind in ("model.appeared", "model.changed"):
            self.held |= {entry["path"]: entry for entry in data["models"]}
        elif kind == "model.vanished":
            for gone in data["models"]:
                self.held.pop(gone["path"], None)

    def _resync(self, why: str) -> None:
        self.resyncs.append(why)
        self.position, self.held = stored(self._server, self._machine_id)


def stored(server: redis.Redis, machine_id: str = "m1") -> tuple[tuple[int, int] | None, Files]:
    """What the machine's hash says, and the (epoch, seq) that it contains; None when a snapshot is on its way."""
    found: Any = server.hgetall(f"machine:{machine_id}:models")
    if b"epoch" not in found:
        return None, {}
    entries = [entry for each in json.loads(found[b"models"]).values() for entry in each]
    assert int(found[b"total_models"]) == len(entries)
    assert found[b"digest"].decode() == digest_of(entries)
    return (int(found[b"epoch"]), int(found[b"seq"])), {entry["path"]: entry for entry in entries}


def indexed(server: redis.Redis, machine_id: str = "m1") -> set[str]:
    """Names that the reverse index lists the machine under."""
    keys: Any = server.keys("models:index:*")
    return {key.decode().removeprefix("models:index:") for key in keys if server.sismember(key, machine_id)}


def digest_of(entries: Iterable[dict[str, Any]]) -> str:
    total = 0
    for entry in entries:
        line = "\0".join((entry["path"], str(entry["size"]), entry["hash"], "1" if entry["verified"] else "0"))
        total += int.from_bytes(hashlib.sha256(line.encode()).digest()[:16], "big")
    return f"{total % 2**128:032x}"


def settled(machine: Machine, reader: Reader, server: redis.Redis) -> bool:
    """Whether stream, hash, reverse index and lease say exactly what lies on the machine's disk, all verified."""
    try:
        reader.read()
        position, entries = stored(server)
        names = indexed(server)
        alive = server.hget("machine:m1:model_manager", "ready")
    except redis.RedisError:
        return False
    disk = {str(machine.store / name): digest for name, digest in machine.files().items()}
    ready = machine.ready()
    return (
        {path: entry["hash"] for path, entry in entries.items() if entry["verified"]} == disk
        and (reader.position, reader.held) == (position, entries)
        and names == {entry["name"] for entry in entries.values()}
        and alive == (b"1" if ready else b"0")
        and all(data["ready"] == ready for data in reader.told_of("readiness.changed")[-1:])
    )


async def converged(machine: Machine, reader: Reader, server: redis.Redis, at_most: float = 30.0) -> None:
    """Wait until it has settled, and insist that everything was told once and in order."""
    last: list[object] = []

    def look() -> bool:
        if settled(machine, reader, server):
            return True
        last[:] = [reader.position, reader.held, machine.files(), reader.kinds[-10:]]
        return False

    try:
        await machine.until(look, "Redis says what the disk has", at_most)
    except AssertionError as error:
        raise AssertionError(f"{error}\nreader: {last}\nRedis: {_said(server)}") from None
    assert reader.complaints() == []


def _said(server: redis.Redis) -> object:
    try:
        return stored(server), indexed(server)
    except redis.RedisError as error:
        return error
