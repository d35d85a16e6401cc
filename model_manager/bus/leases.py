"""Which machines live: their heartbeats, the leases that ran out, and the burial of the dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import fields as fields_of
from itertools import islice
from typing import Any, Final

from redis.asyncio import Redis

from model_manager.bus.connection import translate
from model_manager.bus.functions import Functions
from model_manager.bus.keys import Keys
from model_manager.bus.standing import deadlines, literal, stored, stored_machines
from model_manager.bus.withdrawing import Withdrawing
from model_manager.errors import BadRecord
from model_manager.facts import wire
from model_manager.facts.machine import Disk, Figures, Heartbeat, Readiness, WorkflowReadiness

_FIGURES: Final = tuple(field.name for field in fields_of(Figures))

BREATH: Final = 50
"""Leases that are read before others get a turn: some 1 ms."""

CHUNK: Final = 200
"""Hashes of one round trip."""

FORGOTTEN_AT_ONCE: Final = 500
"""Names of one call."""

NOTICE: Final = 120.0
"""Seconds that a machine without any lease has to beat before it counts as dead: the longest lease."""


@dataclass(frozen=True, slots=True)
class Lease:
    """`heartbeat` is the last one, or None: the machine is silent, or said something unreadable (`why`). `deadline`: when
    its lease runs out or ran out, in seconds of the server's clock; None when it has none, or was withdrawn."""

    machine_id: str
    heartbeat: Heartbeat | None
    deadline: float | None
    why: str = ""

    @property
    def alive(self) -> bool:
        return self.heartbeat is not None


@dataclass(frozen=True, slots=True)
class Looked:
    """All leases as of `at`, seconds of the server's clock."""

    at: float
    leases: Mapping[str, Lease]


class Leases:
    """Raises BusUnavailable from every method."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._withdrawing = Withdrawing(redis, keys, Functions(redis))

    async def look(self, known: Iterable[str] = ()) -> Looked:
        """The leases of `known` machines, and of every other that ever beat and was not withdrawn since."""
        ends = await deadlines(self._redis, self._keys)
        machines = dict.fromkeys([*known, *ends])
        found = await self._hashes({machine: self._keys.lease(machine) for machine in machines})
        at, leases = await self._now(), dict[str, Lease]()
        for n, machine in enumerate(machines, 1):
            leases[machine] = _lease(machine, found[machine], ends.get(machine))
            if n % BREATH == 0:
                await asyncio.sleep(0)
        return Looked(at, leases)

    async def progress(self, machines: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Downloads that run: machine id → field (`folder/name`, or `total`) → what docs/redis.md says of it."""
        found = await self._hashes({machine: self._keys.progress(machine) for machine in machines})
        return {machine: body for machine, fields in found.items() if (body := _decoded(fields))}

    async def orphans(self) -> tuple[str, ...]:
        """Machines with an inventory that no lease and no deadline speaks of, as after the loss of single keys. Looks at every
        key of the database. Each gets a deadline, two minutes from now: who is not there by then is buried."""
        ends = await deadlines(self._redis, self._keys)
        silent = await stored_machines(self._redis, self._keys) - ends.keys()
        found = [
            machine
            async for machine, said in stored(self._redis, self._keys, sorted(silent), models=False)
            if isinstance(said, BadRecord) or (said.leased is None and not said.withdrawn and not said.empty)
        ]
        until = (await self._now() + NOTICE) * 1000
        if found:
            with translate():
                await self._redis.zadd(self._keys.alive, {machine: int(until) for machine in found}, nx=True)
        return tuple(found)

    async def strays(self) -> tuple[str, ...]:
        """Takes members out of the reverse index of whose machine there is nothing else: no hash, no lease, no deadline; one that
        comes meanwhile stays. Returns their ids. Looks at every key of the database, and at every member."""
        listed: dict[str, list[str]] = {}
        async for name, members in self._index():
            for machine in {member.decode("utf-8", "replace") for member in members}:
                listed.setdefault(machine, []).append(name)
        known = {*await deadlines(self._redis, self._keys), *await stored_machines(self._redis, self._keys)}
        gone = [machine for machine in sorted(listed.keys() - known) if await self._forgotten(machine, listed[machine])]
        return tuple(gone)

    async def _forgotten(self, machine: str, names: list[str]) -> bool:
        pages = [names[n : n + FORGOTTEN_AT_ONCE] for n in range(0, len(names), FORGOTTEN_AT_ONCE)]
        return all([await self._withdrawing.forget(machine, page) for page in pages])

    async def _index(self) -> AsyncIterator[tuple[str, set[bytes]]]:
        """Every name of the reverse index, and its members."""
        head = len(self._keys.index("").encode())
        rest = self._redis.scan_iter(match=f"{literal(self._keys.index(''))}*", count=1_000, _type="set")
        with translate():
            keys = [key async for key in rest]
        for n in range(0, len(keys), CHUNK):
            with translate():
                async with self._redis.pipeline(transaction=False) as pipe:
                    for key in keys[n : n + CHUNK]:
                        pipe.smembers(key)
                    answers = await pipe.execute(raise_on_error=False)
            for key, members in zip(keys[n : n + CHUNK], answers, strict=True):
                if isinstance(members, set):
                    yield key[head:].decode("utf-8", "replace"), members

    async def bury(self) -> tuple[str, ...]:
        """Withdraws machines whose lease ran out, at most 100 at a time, their reverse index entries with them, whoever saw
        them die. Returns their ids."""
        return await self._withdrawing.bury()

    async def _now(self) -> float:
        with translate():
            seconds, micros = await self._redis.time()
        return float(seconds + micros / 1e6)

    async def _hashes(self, keys: Mapping[str, str]) -> dict[str, Any]:
        """By machine; the exception that Redis gave where the key is no hash."""
        found: dict[str, Any] = {}
        rest = iter(keys.items())
        while chunk := list(islice(rest, CHUNK)):
            with translate():
                async with self._redis.pipeline(transaction=False) as pipe:
                    for _, key in chunk:
                        pipe.hgetall(key)
                    answers = await pipe.execute(raise_on_error=False)
            found |= {machine: answer for (machine, _), answer in zip(chunk, answers, strict=True)}
        return found


def _lease(machine: str, fields: Any, deadline: float | None) -> Lease:
    if isinstance(fields, Exception):
        return Lease(machine, None, deadline, "its lease is not a hash; the next heartbeat replaces it")
    if not fields:
        return Lease(machine, None, deadline)
    try:
        return Lease(machine, _heartbeat(fields), deadline)
    except (BadRecord, KeyError, TypeError, ValueError) as error:
        return Lease(machine, None, deadline, f"its heartbeat is unreadable ({type(error).__name__}: {error})")


def _heartbeat(fields: Mapping[bytes, bytes]) -> Heartbeat:
    """Fields that a later release adds are nothing to us."""
    said = {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in fields.items()}
    workflows = wire.loads(said["workflows"], "workflows")
    return Heartbeat(
        machine_id=said["machine_id"],
        installation=said["installation"],
        instance=said["instance"],
        epoch=int(said["epoch"]),
        state=said["state"],
        readiness=Readiness(
            ready=said["ready"] == "1",
            reasons=tuple(map(str, wire.loads(said["reasons"], "reasons"))),
            workflows=tuple(
                WorkflowReadiness(name=str(each["name"]), ready=each["ready"] is True, reasons=tuple(each["reasons"]))
                for each in workflows
            ),
            generation=said["generation"],
            required=int(said["required"]),
            present=int(said["present"]),
        ),
        disks=tuple(
            Disk(
                root=str(each["root"]),
                free=int(each["free"]),
                total=int(each["total"]),
                floor=int(each["floor"]),
                quarantined=None if each.get("quarantined") is None else int(each["quarantined"]),
            )
            for each in wire.loads(said["disks"], "disks")
        ),
        version=said["version"],
        host=said["host"],
        at=said["at"],
        collections=tuple(map(str, wire.loads(said.get("collections", "[]"), "collections"))),
        figures=_figures(said.get("figures", "null")),
    )


def _figures(text: str) -> Figures | None:
    """None when an earlier release tells none, or they are unreadable: nothing depends on them."""
    try:
        told = wire.loads(text, "figures")
    except BadRecord:
        return None
    if not isinstance(told, dict):
        return None
    known: dict[str, Any] = {name: told[name] for name in _FIGURES if type(told.get(name)) in (int, float)}
    return Figures(**known)


def _decoded(fields: Any) -> dict[str, Any]:
    """Fields that are unreadable are left out: they are overwritten within a second."""
    if isinstance(fields, Exception):
        return {}
    body = {}
    for name, value in fields.items():
        try:
            body[name.decode("utf-8", "replace")] = wire.loads(value, "progress")
        except BadRecord:
            continue
    return body
