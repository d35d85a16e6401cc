"""A machine that has no disk: it tells what an agent would tell, in the real protocol."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis

from model_manager.bus.publishing import Bus, Delivered, NeedsSnapshot, Published
from model_manager.errors import BusUnavailable
from model_manager.facts.event import (
    Entry,
    Envelope,
    Event,
    Gone,
    InventorySnapshot,
    MachineHello,
    ModelAppeared,
    ModelVanished,
)
from model_manager.facts.identity import MachineId
from model_manager.facts.machine import Heartbeat, Readiness
from model_manager.facts.mirror import MODULUS, copy_of
from tests.bus.telling import AT, entry

SLOWEST = 15.0
OUTBOX = 5_000
"""As the agent has them."""


class Pool:
    """The models of all machines, and what each adds to a digest."""

    def __init__(self, models: int) -> None:
        self.entries = [entry(f"set{n % 20}/model-{n:05d}.safetensors", size=10**9 + n) for n in range(models)]
        self.terms = {each.path: copy_of(each).term for each in self.entries}


class Machine:
    """`gate` bounds how many speak at once. `told` hears of every event with its (machine, epoch, seq)."""

    def __init__(
        self, redis: Redis, prefix: str, number: int, pool: Pool, gate: asyncio.Semaphore, heartbeat: float
    ) -> None:
        self.name = f"sim-{number:05d}"
        self._pool = pool
        self._gate = gate
        self._heartbeat = heartbeat
        self._chance = random.Random(number)
        self._epoch = int(time.time() * 1000)
        self._seq = 0
        self._outbox: list[Envelope] = []
        self._rung = asyncio.Event()
        self._wanted = False
        self._failures = 0
        self._answered = asyncio.Event()
        self.held = {each.path: each for each in pool.entries if self._chance.random() < 0.95}
        self._sum = sum(pool.terms[path] for path in self.held) % MODULUS
        self.told: dict[int, float] = {}
        self.events = self.snapshots = self.failed = 0
        self.beaten: list[float] = []
        self._bus = Bus(redis, MachineId(self.name), f"of-{self.name}", prefix, 200_000, 3 * heartbeat)
        self._tell(MachineHello(version="sim", host=self.name, boot_id="", models=len(self.held), bytes=0))

    @property
    def digest(self) -> str:
        return f"{self._sum:032x}"

    @property
    def position(self) -> tuple[int, int]:
        return self._epoch, self._seq

    def _tell(self, event: Event) -> Envelope:
        self._seq += 1
        self.events += 1
        self.told[self._seq] = time.perf_counter()
        envelope = Envelope(
            machine_id=self.name,
            instance="sim",
            epoch=self._epoch,
            seq=self._seq,
            at=AT,
            digest=self.digest,
            event=event,
        )
        self._outbox.append(envelope)
        self._rung.set()
        return envelope

    def change(self) -> None:
        """A model comes or goes."""
        each: Entry = self._chance.choice(self._pool.entries)
        if self.held.pop(each.path, None) is not None:
            self._sum = (self._sum - self._pool.terms[each.path]) % MODULUS
            self._tell(ModelVanished(models=(Gone(folder=each.folder, name=each.name, path=each.path),)))
        else:
            self.held[each.path] = each
            self._sum = (self._sum + self._pool.terms[each.path]) % MODULUS
            self._tell(ModelAppeared(models=(each,)))

    async def change_for_ever(self, every: float) -> None:
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / every))
            self.change()

    async def beat_for_ever(self) -> None:
        await asyncio.sleep(self._chance.random() * self._heartbeat)
        while True:
            begun = time.perf_counter()
            answer = await self._ask(lambda: self._bus.beat(self._said(), {}))
            if answer is not None:
                self.beaten.append(time.perf_counter() - begun)
                self._answered.set()
            if isinstance(answer, NeedsSnapshot):
                self._wanted = True
                self._rung.set()
            await asyncio.sleep(self._heartbeat * self._chance.uniform(0.9, 1.1))

    async def publish_for_ever(self) -> None:
        while True:
            await self._rung.wait()
            self._rung.clear()
            while self._outbox or self._wanted:
                await self._round()

    async def _round(self) -> None:
        """A snapshot when one is wanted, or when there is more history than is worth telling; else the outbox."""
        if self._wanted or len(self._outbox) > OUTBOX:
            await self._snapshot()
            return
        sent = list(self._outbox)
        answer = await self._ask(lambda: self._bus.publish(sent))
        if isinstance(answer, Delivered):
            del self._outbox[: len(sent)]
        elif answer is None:
            await self._wait()
        else:
            self._wanted = True

    async def _snapshot(self) -> None:
        before = list(self._outbox) if len(self._outbox) <= OUTBOX else []
        del self._outbox[: -len(before) or None]
        envelope = self._tell(InventorySnapshot(models=len(self.held), bytes=0))
        count, entries = len(self._outbox), list(self.held.values())
        answer = await self._ask(lambda: self._bus.snapshot(envelope, entries, before))
        if isinstance(answer, Delivered):
            del self._outbox[:count]
            self._wanted = False
            self.snapshots += 1
        else:
            await self._wait()

    async def _ask(self, what: Callable[[], Awaitable[Published]]) -> Published | None:
        """None while Redis is away."""
        async with self._gate:
            try:
                answer = await what()
            except BusUnavailable:
                self._failures += 1
                self.failed += 1
                return None
        self._failures = 0
        return answer

    async def _wait(self) -> None:
        """As the agent does: longer each time, until a heartbeat gets through."""
        self._answered.clear()
        try:
            async with asyncio.timeout(min(SLOWEST, 0.5 * 2 ** min(self._failures, 5))):
                await self._answered.wait()
        except TimeoutError:
            return

    def _said(self) -> Heartbeat:
        return Heartbeat(
            machine_id=self.name, installation=f"of-{self.name}", instance="sim", epoch=self._epoch, state="ready",
            readiness=Readiness(ready=True, reasons=()), disks=(), version="sim", host=self.name, at=AT,
        )  # fmt: skip
