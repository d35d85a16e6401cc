"""Random histories of a small fleet on a real server: machines that change, crash, leave and die, a server that loses what it
had, readers that start again; and what must be true when it is quiet."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from model_manager.bus.connection import connect
from model_manager.bus.following import Batch, Follower
from model_manager.bus.leases import Leases
from model_manager.bus.locating import Address, sought
from model_manager.bus.mirroring import Mirrors
from model_manager.bus.publishing import Bus, Delivered, Fenced, NeedsSnapshot, Published
from model_manager.decisions.folding import fold
from model_manager.errors import BusUnavailable
from model_manager.facts.event import Envelope, Event, ReadinessChanged, Unknown
from model_manager.facts.identity import MachineId
from model_manager.facts.mirror import CopyKey, copy_of
from tests.bus.fleets import Pair
from tests.bus.telling import Teller, entry

POOL = [entry(f"{n}.pt", folder, size=n + 1) for n in range(8) for folder in ("loras", "vae")]


LOSSES = {
    "somebody_dies", "trimmed", "flushed", "made_anew", "remembered", "set_back", "key_lost", "delivered_again", "audited",
    "replica_falls_behind", "failed_over",
}  # fmt: skip
"""What no entry of the stream tells."""


class Remembering(Teller):
    """`past` is what was held at each (epoch, seq)."""

    def __init__(self, machine: str) -> None:
        super().__init__(machine)
        self.past: dict[tuple[int, int], dict[str, CopyKey]] = {}

    def tell(self, event: Event) -> Envelope:
        envelope = super().tell(event)
        self.past[self.epoch, self.seq] = {path: copy_of(each).key for path, each in self.held.items()}
        return envelope


class Machine:
    """A machine as the agent plays it: what Redis has not acknowledged waits in the outbox, and outlives the process."""

    def __init__(self, redis: Redis, name: str) -> None:
        self._redis = redis
        self.teller = Remembering(name)
        self.on = True
        self._boot()
        self.teller.hello()

    def _boot(self) -> None:
        self.bus = Bus(self._redis, MachineId(self.teller.machine), f"at-{self.teller.machine}", "", 10_000, 60.0)

    def crash(self) -> None:
        """The process ends and the next begins; what it had not sent is sent by that one."""
        self.on = True
        self._boot()
        self.teller.restart()

    async def send(self, chance: random.Random, *, half: bool = False) -> None:
        """What the agent's publishing does. `half`: it is killed between the history and the snapshot."""
        if not self.on or not self.teller.outbox:
            return
        answer = await self.bus.publish(self.teller.outbox)
        if chance.random() < 0.2:
            answer = await self.bus.publish(self.teller.outbox)
        if isinstance(answer, NeedsSnapshot):
            answer = await self._snapshot(half)
        if isinstance(answer, Delivered):
            self.teller.outbox.clear()
        elif isinstance(answer, Fenced):
            self._begin_above(answer.epoch)

    def _begin_above(self, epoch: int) -> None:
        """Its clock went wrong, and Redis, which had forgotten, knows a later process again: the agent ends, and begins anew."""
        self.teller.outbox.clear()
        self.teller.epoch = epoch + 500
        self.crash()

    async def _snapshot(self, half: bool) -> Published | None:
        before = list(self.teller.outbox)
        snapshot = self.teller.snapshot()
        if half:
            await self.bus._publish(before, blind=True)
            return None
        return await self.bus.snapshot(snapshot, self.teller.entries, before=before)

    async def beat(self, chance: random.Random) -> None:
        if not self.on:
            return
        heartbeat = self.teller.beat(installation=f"at-{self.teller.machine}")
        answer: Published | None = await self.bus.beat(heartbeat, {})
        if isinstance(answer, NeedsSnapshot):
            answer = await self._snapshot(half=False)
            assert isinstance(answer, Delivered), answer
            self.teller.outbox.clear()
        elif isinstance(answer, Fenced):
            self._begin_above(answer.epoch)

    async def bye(self) -> None:
        if self.on:
            await self.bus.bye(self.teller.bye())
            self.teller.outbox.clear()
            self.on = False


class Line:
    """The way from machines and readers to whichever of two servers is the primary. While it is `cut` nobody gets there but
    `admin`, who does to the server what happens to servers."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.is_cut = False
        self.redis = sought(self._where, {"socket_timeout": 20.0, "retry": Retry(NoBackoff(), 0), "protocol": 2})
        self.admin = connect(f"redis://127.0.0.1:{pair.primary.port}", timeout=20.0)

    async def _where(self) -> Address:
        return "127.0.0.1", 1 if self.is_cut else self.pair.primary.port

    async def cut(self) -> None:
        self.is_cut = True
        await self.redis.connection_pool.disconnect()

    async def fail_over(self) -> None:
        self.pair.fail_over()
        await self.redis.connection_pool.disconnect()
        await self.admin.aclose()
        self.admin = connect(f"redis://127.0.0.1:{self.pair.primary.port}", timeout=20.0)

    async def aclose(self) -> None:
        await self.redis.aclose()
        await self.admin.aclose()


class World:
    """Three machines, one server, one reader. Every step is drawn from `chance`, so that a seed tells the whole history."""

    def __init__(self, line: Line, chance: random.Random, *, losses: bool = True, failovers: bool = False) -> None:
        self.line = line
        self.redis = redis = line.redis
        self.failovers = failovers
        if failovers:
            line.pair.catch_up()
        self.chance = chance
        self.losses = losses
        self.machines = [Machine(redis, f"m{n}") for n in range(3)]
        self.keys = self.machines[0].bus.keys
        self.leases = Leases(redis, self.keys)
        self.steps: list[str] = []
        self._time = 0.0
        self._kept: dict[bytes, bytes] = {}
        self._last: Batch | None = None
        self._fresh()

    def _fresh(self) -> None:
        self.mirrors = Mirrors(self.redis, self.keys, fold, clock=self._clock)
        self.batches: Any = None

    def _clock(self) -> float:
        self._time += 50
        return self._time

    async def play(self, steps: int) -> None:
        doings: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (30, self.disk_changes), (25, self.somebody_sends), (8, self.somebody_beats), (6, self.somebody_restarts),
            (3, self.killed_in_the_middle), (3, self.somebody_leaves), (3, self.somebody_dies), (25, self.reader_reads),
            (3, self.reader_starts_again), (4, self.delivered_again), (3, self.trimmed), (1, self.flushed), (1, self.made_anew),
            (2, self.remembered), (2, self.set_back), (2, self.key_lost), (2, self.audited), (2, self.index_lost),
            (2, self.cut_off), (6, self.reached_again),
        ]  # fmt: skip
        if self.failovers:
            doings += [(4, self.replica_falls_behind), (3, self.failed_over)]
        if not self.losses:
            doings = [(weight, doing) for weight, doing in doings if doing.__name__ not in LOSSES]
        weights = [weight for weight, _ in doings]
        for _ in range(steps):
            _, doing = self.chance.choices(doings, weights)[0]
            self.steps.append(doing.__name__)
            try:
                await doing()
            except BusUnavailable:
                assert self.line.is_cut
            self.insist_on_the_past()

    @property
    def admin(self) -> Redis:
        """Reaches the server at any time."""
        return self.line.admin

    def _one(self) -> Machine:
        return self.chance.choice(self.machines)

    async def disk_changes(self) -> None:
        machine = self._one()
        if machine.on:
            _change(machine.teller, self.chance)

    async def somebody_sends(self) -> None:
        await self._one().send(self.chance)

    async def killed_in_the_middle(self) -> None:
        machine = self._one()
        await machine.send(self.chance, half=True)
        machine.crash()

    async def somebody_beats(self) -> None:
        await self._one().beat(self.chance)

    async def somebody_restarts(self) -> None:
        self._one().crash()

    async def index_lost(self) -> None:
        """The next process finds other files than the last one knew, and says so at once."""
        machine = self._one()
        for each in self.chance.sample(POOL, 3):
            if machine.teller.held.pop(each.path, None) is None:
                machine.teller.held[each.path] = each
        machine.teller.outbox.clear()
        machine.crash()

    async def somebody_leaves(self) -> None:
        machine = self._one()
        if not machine.teller.outbox and not self.line.is_cut:
            await machine.bye()

    async def somebody_dies(self) -> None:
        """Its lease runs out, and perhaps somebody withdraws it."""
        machine = self._one()
        await self._expire(machine)
        if self.chance.random() < 0.7:
            await self.leases.bury()

    async def _expire(self, machine: Machine) -> None:
        machine.on = False
        name = machine.teller.machine
        await self.admin.delete(self.keys.lease(name))
        await self.admin.zadd(self.keys.alive, {name: 1}, xx=True)

    async def trimmed(self) -> None:
        await self.admin.xtrim(self.keys.events, maxlen=self.chance.choice([0, 1, 5]), approximate=False)

    async def made_anew(self) -> None:
        """All of Redis is lost, and one machine is made anew, with a clock that goes wrong."""
        await self.flushed()
        machine = self._one()
        machine.teller.epoch = min(epoch for epoch, _ in machine.teller.past) - 1_000
        machine.teller.outbox.clear()
        machine.crash()

    async def flushed(self) -> None:
        await self.admin.flushall()
        self._kept = {}

    async def key_lost(self) -> None:
        name = self._one().teller.machine
        k = self.keys
        await self.admin.delete(
            self.chance.choice([k.models(name), k.inventory(name), k.names(name), k.alive, k.events])
        )

    async def remembered(self) -> None:
        """What a replica has that is about to fall behind."""
        keys = await self.admin.keys("*")
        self._kept = {key: await self.admin.dump(key) for key in keys}

    async def set_back(self) -> None:
        """A failover to that replica: what was acknowledged since is lost."""
        if self._kept:
            await self.admin.flushall()
            for key, value in self._kept.items():
                await self.admin.restore(key, 0, value)

    async def cut_off(self) -> None:
        """Nobody reaches the server; what happens meanwhile is told later."""
        await self.line.cut()

    async def reached_again(self) -> None:
        self.line.is_cut = False

    async def replica_falls_behind(self) -> None:
        self.line.pair.fall_behind()

    async def failed_over(self) -> None:
        """To the replica, as of where it fell behind: what was acknowledged since is lost."""
        await self.line.fail_over()
        self._kept = {}

    async def audited(self) -> None:
        await self.mirrors.audit()

    async def reader_starts_again(self) -> None:
        self._fresh()

    async def reader_reads(self) -> None:
        if self.batches is None:
            cursor = await self.mirrors.start()
            self.batches = Follower(
                self.redis,
                self.keys,
                cursor,
                block_ms=0,
                page=self.chance.choice([2, 7, 100]),
                clock=self._clock,
                sleep=_at_once,
            ).batches()
        self._last = await anext(self.batches)
        await self.mirrors.take(self._last.told)

    async def delivered_again(self) -> None:
        """The last batch once more, in some order, parts of it missing."""
        if self._last is not None and self.batches is not None:
            told = self.chance.sample(self._last.told, self.chance.randint(0, len(self._last.told)))
            await self.mirrors.take(told)

    async def quiet(self) -> None:
        """Everybody gets a turn: two heartbeats, the burial of the dead, the reader to the end of the stream; and, where the
        server lost something, two audits."""
        self.line.is_cut = False
        for machine in self.machines * 2:
            await machine.beat(self.chance)
            await machine.send(self.chance)
        await self._bury_the_dead()
        await self._read_all()
        for _ in range(2 if self.losses else 0):
            await self.mirrors.audit()
        await self._read_all()
        looked = await self.leases.look(self.mirrors.machines)
        for name, lease in looked.leases.items():
            known_there = await self.admin.exists(self.keys.models(name))
            if not lease.alive and lease.deadline is None and not known_there:
                self.mirrors.forget(name)

    async def _bury_the_dead(self) -> None:
        """Their leases run out, one that a failover brought back too; who has no deadline is given one; and that passes."""
        dead = [machine for machine in self.machines if not machine.on]
        for machine in dead:
            await self._expire(machine)
        await self.leases.orphans()
        for machine in dead:
            await self._expire(machine)
        await self.leases.bury()

    async def _read_all(self) -> None:
        quiet = 0
        while quiet < 2:
            await self.reader_reads()
            quiet = 0 if self._last and self._last.told else quiet + 1

    def insist_on_the_past(self) -> None:
        """A mirror is at every moment what its machine held at that place of its history, however old that is."""
        for machine in self.machines:
            mirror = self.mirrors.machines.get(machine.teller.machine)
            if mirror is not None and not mirror.left:
                held = {path: copy.key for path, copy in mirror.entries.items()}
                assert held == machine.teller.past[mirror.position]

    def insist(self) -> None:
        """Every mirror is the disk, and who is away holds nothing."""
        assert self.mirrors.unsure == {}
        for machine in self.machines:
            teller, mirror = machine.teller, self.mirrors.machines.get(machine.teller.machine)
            if machine.on:
                assert mirror is not None
                assert mirror.entries == {path: copy_of(each) for path, each in teller.held.items()}
                assert (mirror.position, mirror.digest, mirror.left) == (
                    (teller.epoch, teller.seq),
                    teller.digest,
                    False,
                )
            else:
                assert mirror is None or (mirror.left and not mirror.entries)
        held = {(copy.key, name) for name, mirror in self.mirrors.machines.items() for copy in mirror.entries.values()}
        assert held == {(copy.key, name) for copy, names in self.mirrors.copies for name in names}


async def _at_once(seconds: float) -> None:
    """Nobody waits in a history."""


def _change(teller: Teller, chance: random.Random) -> Envelope:
    some = chance.sample(POOL, chance.choice([1, 2, 3, 9]))
    here = [each for each in some if each.path in teller.held]
    away = [each for each in some if each.path not in teller.held]
    kind = chance.random()
    if kind < 0.15:
        return teller.tell(ReadinessChanged(ready=True, reasons=(), workflows={}))
    if kind < 0.25:
        return teller.tell(Unknown(kind="model.warmed", data={"a": 1}))
    if here and kind < 0.55:
        return teller.vanish(*here)
    if here and kind < 0.75:
        return teller.change(
            *(replace(each, verified=chance.random() < 0.5, size=chance.randrange(9)) for each in here)
        )
    return teller.appear(*away) if away else teller.vanish(*here)
