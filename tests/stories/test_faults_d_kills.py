"""Killed at random bytes: nothing wrong ever stands under a final name, and little is paid for twice."""

from __future__ import annotations

import asyncio
import random
import signal
import statistics
import time
from dataclasses import dataclass, field

import pytest

from model_manager.library.incoming.partial import SYNC_EVERY
from tests.stories.bringing import Bringing, Wish
from tests.stories.machine import safetensors, sha256
from tests.stories.origin import Reply, Request, Thing

MEBI = 1024 * 1024
AGAIN = 64 * MEBI
"""Bytes of a file that a kill may cost."""


@dataclass
class Killing:
    """The origin stops before byte `at` and says so; `reached` is where each kill came, `again` what it cost."""

    size: int
    rng: random.Random
    at: int = 0
    held: asyncio.Event = field(default_factory=asyncio.Event)
    reached: int = 0
    again: list[int] = field(default_factory=list)

    def aim(self) -> None:
        """One in ten kills comes after the last byte: while it is hashed, synced, renamed, written down."""
        self.at = self.size if self.rng.random() < 0.1 else self.rng.randrange(self.size)
        self.held.clear()

    async def behave(self, request: Request, thing: Thing, reply: Reply) -> None:
        if self.reached:
            self.again.append(self.reached - request.start)
            self.reached = 0
        if self.at <= request.start:
            self.at = self.rng.randint(request.start + 1, self.size)
        stop = self.at

        async def pause() -> None:
            self.reached = stop
            self.held.set()
            while not reply.writer.transport.is_closing():
                await asyncio.sleep(0.01)

        await reply.honest(request, thing, limit=stop - request.start, before_end=pause)
        self.reached = stop
        self.held.set()


@pytest.mark.parametrize("origin", ["plain", "TLS"], indirect=True)
@pytest.mark.parametrize(
    ("kills", "size"),
    [
        pytest.param(10, 100 * MEBI, marks=pytest.mark.timeout(120)),
        pytest.param(200, 160 * MEBI, marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
    ],
)
async def test_d1_killed_at_random_bytes(bringing: Bringing, kills: int, size: int) -> None:
    seed = time.time_ns()
    data = safetensors(size, 70)
    killing = Killing(size, random.Random(seed))
    wish = Wish(served=data, right=data, behaviour=killing.behave)
    machine = await bringing.bring(wish, start=False)
    final, began, completed = machine.store / wish.file, time.monotonic(), 0
    for _ in range(kills):
        if final.exists():
            assert sha256(final.read_bytes()) == sha256(data), seed
            final.unlink()
            completed += 1
            killing.reached = 0
        killing.aim()
        machine.start()
        done = f"byte {killing.at} is sent, or every byte was here (seed {seed})"
        await machine.until(lambda: killing.held.is_set() or final.exists(), done, 60)
        await asyncio.sleep(killing.rng.uniform(0, 0.3 if killing.at == size else 0.03))
        machine.kill(signal.SIGKILL)
        await machine.exited()
    bringing.origin.behaviours.clear()
    machine.start()
    await bringing.brought(at_most=60)
    print(
        f"\nD1: {kills} kills of a download of {size / MEBI:.0f} MiB (seed {seed}) in {time.monotonic() - began:.0f} s; "
        f"{completed} were complete in spite of it; fetched again, MiB: most {max(killing.again, default=0) / MEBI:.1f}, "
        f"mean {statistics.mean(killing.again or [0]) / MEBI:.1f}, of {len(killing.again)} (a sync each {SYNC_EVERY / MEBI:.0f})"
    )
    assert max(killing.again, default=0) <= AGAIN, seed


@dataclass
class Counted:
    """128 KiB each 20 ms and connection; `most` ranges were on their way at once since the last kill."""

    now: int = 0
    most: int = 0

    async def behave(self, request: Request, thing: Thing, reply: Reply) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await reply.honest(request, thing, pause=0.02, piece=128 * 1024)
        finally:
            self.now -= 1


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(2, marks=pytest.mark.timeout(120)),
        pytest.param(30, marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
    ],
)
async def test_d1_killed_while_many_connections_bring_it(bringing: Bringing, kills: int) -> None:
    """Each kill is of a download of its own, so that all that its origin sends beyond the file is what this kill cost."""
    seed, counted, data = time.time_ns(), Counted(), safetensors(160 * MEBI, 71)
    rng = random.Random(seed)
    wish = Wish(served=data, right=data, behaviour=counted.behave)
    machine = await bringing.bring(wish, start=False, MODEL_DOWNLOAD_CONNECTIONS="*=16")
    final, sent, costs, widths = machine.store / wish.file, bringing.origin.sent, list[int](), list[int]()
    for _ in range(kills):
        final.unlink(missing_ok=True)
        before, at, counted.most = sent[wish.path], rng.randint(len(data) // 2, len(data) - 8 * MEBI), 0
        machine.start()
        await machine.until(lambda: sent[wish.path] - before >= at, f"byte {at} is sent (seed {seed})", 60)  # noqa: B023
        machine.kill(signal.SIGKILL)
        await machine.exited()
        widths.append(counted.most)
        machine.start()
        await machine.until(final.exists, f"all is here (seed {seed})", 60)
        assert sha256(final.read_bytes()) == sha256(data), seed
        costs.append(sent[wish.path] - before - len(data))
        machine.kill(signal.SIGKILL)
        await machine.exited()
    machine.start()
    await bringing.brought(at_most=60)
    mean = statistics.mean(costs) / MEBI
    print(
        f"\nD1: fetched again, MiB: most {max(costs) / MEBI:.1f}, mean {mean:.1f}; ranges at once when killed: {widths}"
    )
    assert min(widths) > 8, widths
    assert max(costs) <= AGAIN, (costs, seed)
