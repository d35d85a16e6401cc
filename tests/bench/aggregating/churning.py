"""Machines whose models come, change and go a hundred times a second: a process of its own, so that nobody who measures waits for it.

`python -m tests.bench.aggregating.churning REDIS_URL CHANGES_PER_SECOND` says `ready`, and goes on until it is killed.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from dataclasses import replace

from model_manager.bus.connection import connect
from model_manager.bus.publishing import Bus
from model_manager.facts.event import Entry
from model_manager.facts.identity import MachineId
from tests.bus.telling import Teller, entry

MACHINES = 20
FOLDERS = ("checkpoints", "loras", "vae", "controlnet", "text_encoders")
HELD = 40
"""Models of each, about."""

NEW = 0.3
"""Of the models that appear these have a name that nobody had."""


class Churn:
    def __init__(self, url: str) -> None:
        self._redis = connect(url, timeout=60)
        self._chance = random.Random(7)
        self._names = 0
        names = [f"churn-{n:02d}" for n in range(MACHINES)]
        self._tellers = [Teller(name) for name in names]
        self._buses = [Bus(self._redis, MachineId.parse(name), name, "", 10**7, 600.0) for name in names]

    async def begin(self) -> None:
        for teller, bus in zip(self._tellers, self._buses, strict=True):
            teller.held = {each.path: each for each in (self._model() for _ in range(HELD))}
            await bus.beat(teller.beat(installation=teller.machine), {})
            await bus.snapshot(teller.snapshot(), teller.entries)
            teller.outbox.clear()

    async def run(self, rate: float) -> None:
        begun = time.perf_counter()
        for n in range(10**9):
            await asyncio.sleep(max(0.0, begun + n / rate - time.perf_counter()))
            number = self._chance.randrange(MACHINES)
            await self._change(self._tellers[number], self._buses[number])

    async def _change(self, teller: Teller, bus: Bus) -> None:
        """One model of it appears, changes or vanishes."""
        held = teller.entries
        what = self._chance.random()
        if what < 0.4 or not held:
            teller.appear(self._model())
        elif what < 0.6:
            each = self._chance.choice(held)
            teller.change(replace(each, verified=not each.verified, evidence="" if each.verified else "pin"))
        else:
            teller.vanish(self._chance.choice(held))
        await bus.publish(teller.outbox)
        teller.outbox.clear()

    def _model(self) -> Entry:
        """One of the fleet's 50,000, or a new one."""
        if self._chance.random() < NEW:
            self._names += 1
            return entry(f"set{self._names % 40}/late-{self._names:06d}.safetensors", self._chance.choice(FOLDERS))
        n = self._chance.randrange(50_000)
        return entry(f"set{n % 40}/model-{n:05d}.safetensors", FOLDERS[n % len(FOLDERS)], size=10**9 + n)


async def _main(url: str, rate: float) -> None:
    churn = Churn(url)
    await churn.begin()
    print("ready", flush=True)
    await churn.run(rate)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], float(sys.argv[2])))
