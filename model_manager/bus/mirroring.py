"""Many machines mirrored: the stream folded, and a machine's own hash read where the stream does not say enough."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice
from sys import intern
from types import MappingProxyType
from typing import Final, NamedTuple

from redis.asyncio import Redis

from model_manager.bus.following import Followed, Gap
from model_manager.bus.holding import Holders
from model_manager.bus.keys import Keys
from model_manager.bus.standing import Stored, deadlines, stored, stored_machines
from model_manager.bus.tailing import last_id
from model_manager.errors import BadRecord
from model_manager.facts import wire
from model_manager.facts.event import Envelope
from model_manager.facts.mirror import Copy, Fold, Mirror, Resync, Said, departed, summed

FIRST: Final = 0.25
"""Seconds before a hash that did not say enough is looked at again; each further look waits twice as long."""

SLOWEST: Final = 30.0

BREATH: Final = 256
"""Envelopes folded before others get a turn."""


class Changed(NamedTuple):
    """A machine's mirror became another one, by an `envelope` or (None) by its hash. `before` None: it is new; `after` None:
    it was forgotten. `touched` are the copies that left and those that came; None: compare the entries of the two, which are
    the same dictionary where an envelope told what is touched."""

    machine_id: str
    before: Mirror | None
    after: Mirror | None
    envelope: Envelope | None
    touched: tuple[Copy, ...] | None = None


@dataclass(slots=True)
class _Owed:
    """A hash that is to be read, `due` by the clock. Only one that contains `seen` counts; any does when that is None."""

    why: str
    seen: tuple[int, int] | None
    due: float
    tries: int = 0


class Mirrors:
    """Every machine of the prefix. `fold` is the decision that lays an envelope over a mirror.

    A mirror is exact as of its (epoch, seq), proved by the digest. When the stream has a hole, the machine's hash is read;
    when the hash is older than the stream, a snapshot is on its way, and the machine is unsure until that comes.
    `listener` hears every change at once, and must neither wait nor raise. `touched` is given the `folder/name` of every copy that
    a machine gets or loses; whoever gave it takes them out. `changes` is another number after every change. Redis away raises
    BusUnavailable from any method; nothing is lost by it: the same is done at the next call.
    """

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        fold: Fold,
        *,
        listener: Callable[[Changed], None] | None = None,
        touched: set[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._fold = fold
        self._listener = listener
        self._clock = clock
        self._machines: dict[str, Mirror] = {}
        self._holders = Holders(touched)
        self.changes = 0
        self._owed: dict[str, _Owed] = {}
        self._behind: dict[str, tuple[int, int]] = {}
        self._doubt = False
        self._one = asyncio.Lock()

    @property
    def machines(self) -> Mapping[str, Mirror]:
        """By machine id, those that left included."""
        return MappingProxyType(self._machines)

    @property
    def unsure(self) -> dict[str, str]:
        """Machines whose hash has not said enough yet, and why it was asked. Their last mirror stays, if there was one."""
        return {machine: owed.why for machine, owed in self._owed.items()}

    @property
    def copies(self) -> Iterator[tuple[Copy, AbstractSet[str]]]:
        """Each distinct copy, and the machines that hold it."""
        return iter(self._holders)

    def holders(self, name: str) -> Iterator[tuple[Copy, AbstractSet[str]]]:
        """Copies of this name (within its folder, or `folder/name`), each with the machines that hold it; only to be read, at once."""
        return self._holders.named(name)

    def who_has(self, *, name: str | None = None, sha256: str | None = None) -> dict[str, tuple[Copy, ...]]:
        """Machine id → its copies of this name (within its folder, or `folder/name`) and with this SHA-256."""
        found = self._holders.named(name) if name is not None else self._holders.hashed(sha256 or "")
        holding: dict[str, tuple[Copy, ...]] = {}
        for copy, machines in found:
            if sha256 is None or copy.hash == sha256.lower():
                holding |= {machine: (*holding.get(machine, ()), copy) for machine in machines}
        return holding

    async def start(self) -> str:
        """Reads every machine's hash. Returns the cursor from which the stream goes on."""
        async with self._one:
            cursor = await last_id(self._redis, self._keys)
            for machine in {*await deadlines(self._redis, self._keys), *await stored_machines(self._redis, self._keys)}:
                self._owe(machine, "it is new here", None)
            await self._settle()
        return cursor

    async def take(self, told: Iterable[tuple[str, Followed]]) -> None:
        """What a Follower brought: folded in order, and then the hashes read that are due. An empty batch does that too."""
        async with self._one:
            rest = iter(told)
            while page := list(islice(rest, BREATH)):
                for _, each in page:
                    if isinstance(each, Envelope):
                        self._lay(each)
                    elif isinstance(each, Gap):
                        self._doubt = True
                if len(page) == BREATH:
                    await asyncio.sleep(0)
            if self._doubt:
                await self._compare(at_once=True)
                self._doubt = False
            await self._settle()

    async def audit(self) -> None:
        """Compares every mirror with its machine's hash, and reads what differs, now or, when the stream may still bring it,
        at the next audit. Catches what no entry tells: a withdrawal, and what a failover lost."""
        async with self._one:
            await self._compare(at_once=False)
            await self._settle()

    async def examine(self, machines: Iterable[str]) -> None:
        """Compares these with their hashes at once: those of whom the leases say that somebody withdrew them."""
        async with self._one:
            await self._compared(machines, at_once=True)
            await self._settle()

    def forget(self, machine_id: str) -> None:
        """Of a machine that will not come back. If it does, it is new."""
        self._owed.pop(machine_id, None)
        self._behind.pop(machine_id, None)
        before = self._machines.pop(machine_id, None)
        if before is not None:
            self._holders.replace(machine_id, before.entries, {})
            self._tell(Changed(machine_id, before, None, None))

    def _lay(self, envelope: Envelope) -> None:
        machine, holders = envelope.machine_id, self._holders
        before = self._machines.get(machine)
        changes = holders.laid(envelope)
        verdict = self._fold(before, envelope, changes)
        if type(verdict) is Mirror:
            if self._owed:
                self._owed.pop(machine, None)
            machine = before[0] if before is not None else intern(machine)
            self._machines[machine] = verdict
            self.changes += 1
            if verdict.left:
                holders.replace(machine, before.entries if before else {}, {})
            elif changes:
                holders.lay(machine, verdict.entries, changes)
            if self._listener is not None:
                self._listener(Changed(machine, before, verdict, envelope))
        elif isinstance(verdict, Resync):
            self._owe(machine, verdict.why, (envelope.epoch, envelope.seq))
            if envelope.kind == "inventory.snapshot":
                self._owed[machine].due = self._clock()

    def _owe(self, machine: str, why: str, seen: tuple[int, int] | None) -> None:
        owed = self._owed.get(machine)
        if owed is None:
            self._owed[machine] = _Owed(why, seen, self._clock())
        elif seen is not None:
            owed.seen = max(owed.seen or seen, seen)

    async def _compare(self, *, at_once: bool) -> None:
        known = dict.fromkeys([*self._machines, *await deadlines(self._redis, self._keys)])
        self._behind = await self._compared(known, at_once=at_once)

    async def _compared(self, known: Iterable[str], *, at_once: bool) -> dict[str, tuple[int, int]]:
        """Those that are behind their hashes, and where these stand."""
        behind: dict[str, tuple[int, int]] = {}
        async for machine, said in stored(self._redis, self._keys, known, models=False):
            mirror = self._machines.get(machine)
            if mirror is None:
                self._owe(machine, "it is new here", None)
            elif isinstance(said, BadRecord):
                self._owe(machine, str(said), None)
            elif said.withdrawn:
                self._depart(machine, said)
            elif said.position is not None and said.ahead is None:
                self._doubt_of(mirror, said, said.position, behind, at_once)
        return behind

    def _doubt_of(
        self,
        mirror: Mirror,
        said: Stored,
        position: tuple[int, int],
        behind: dict[str, tuple[int, int]],
        at_once: bool,
    ) -> None:
        """A mirror that is behind its hash may be so for the stream is on its way: it is behind when it still is at the next
        audit. One that is ahead saw what a failover lost, and the machine sends it again; unless the process that lives is
        an earlier one, as that of a machine that was made anew with a clock that goes wrong."""
        machine = mirror.machine_id
        if position > mirror.position:
            if at_once or mirror.position < self._behind.get(machine, (0, 0)):
                self._owe(machine, "its hash is ahead of what the stream told", position)
            else:
                behind[machine] = position
        elif position == mirror.position:
            if said.digest != mirror.digest or mirror.left:
                self._owe(machine, "its hash contradicts what the stream told", position)
        elif said.leased is not None and said.leased < mirror.epoch:
            self._owed[machine] = _Owed("its process is an earlier one", None, self._clock())

    async def _settle(self) -> None:
        now = self._clock()
        due = [machine for machine, owed in self._owed.items() if owed.due <= now]
        async for machine, said in stored(self._redis, self._keys, due, models=True):
            owed = self._owed.get(machine)
            if owed is not None:
                self._judge(machine, owed, said)
            await asyncio.sleep(0)

    def _judge(self, machine: str, owed: _Owed, said: Stored | BadRecord) -> None:
        why = str(said) if isinstance(said, BadRecord) else "a snapshot of it is on its way"
        try:
            if isinstance(said, Stored) and self._answered(machine, owed, said):
                del self._owed[machine]
                return
        except BadRecord as error:
            why = str(error)
        owed.why = why
        owed.due = self._clock() + min(SLOWEST, FIRST * 2**owed.tries)
        owed.tries = min(owed.tries + 1, 10)

    def _answered(self, machine: str, owed: _Owed, said: Stored) -> bool:
        """Whether the hash says what was to be known, which then is; of a machine that neither we nor Redis know, nothing.
        Raises BadRecord when it is unreadable."""
        if said.withdrawn:
            self._depart(machine, said)
            return True
        if said.position is None:
            forgotten = owed.seen is None or said.leased is None
            return said.empty and forgotten and machine not in self._machines
        if owed.seen is not None and said.position < owed.seen:
            return False
        before = self._machines.get(machine)
        self._become(before, self._mirror_of(machine, before, said, said.position))
        return True

    def _mirror_of(self, machine: str, before: Mirror | None, said: Stored, position: tuple[int, int]) -> Mirror:
        entries = self._entries(machine, said)
        return Mirror(
            machine_id=intern(machine),
            instance=said.instance,
            epoch=position[0],
            seq=position[1],
            entries=entries,
            sum=int(said.digest, 16),
            at=said.at,
            said=before.said if before is not None and before.epoch == position[0] else Said(),
        )

    def _entries(self, machine: str, said: Stored) -> dict[str, Copy]:
        key = self._keys.models(machine)
        body = wire.loads(said.models, key)
        try:
            copies = [self._holders.read(each) for folder in body.values() for each in folder]
        except (AttributeError, KeyError, TypeError) as error:
            raise BadRecord(name=key, why=f"{type(error).__name__}: {error}") from None
        if f"{summed(copies):032x}" != said.digest:
            raise BadRecord(name=key, why="its digest is not that of its models; the machine's next snapshot mends it")
        return {copy.path: copy for copy in copies}

    def _depart(self, machine: str, said: Stored) -> None:
        """It was withdrawn. One that we never knew is nothing to us."""
        before = self._machines.get(machine)
        if before is not None and not before.left and said.ahead is not None:
            self._become(before, departed(before.machine_id, said.ahead, before.at))

    def _become(self, before: Mirror | None, after: Mirror) -> None:
        self._holders.replace(after.machine_id, before.entries if before else {}, after.entries)
        self._machines[after.machine_id] = after
        self._tell(Changed(after.machine_id, before, after, None))

    def _tell(self, changed: Changed) -> None:
        self.changes += 1
        if self._listener is not None:
            self._listener(changed)
