"""From a file's rename into place, through a real agent, its index and its outbox, to a mirror of it in another process."""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from model_manager.bus.connection import connect
from model_manager.bus.following import Batch, Follower
from model_manager.bus.keys import Keys
from model_manager.bus.mirroring import Mirrors
from model_manager.decisions.folding import fold
from tests.stories.machine import Machine, catalog, safetensors

SETTLE: Final = 0.1
"""Seconds for which a file must rest before it is believed."""

APART: Final = 0.15
"""Seconds between two changes: each is noticed by itself."""


def changes_on_disk(rounds: int) -> list[float]:
    """99 quantiles in seconds, beyond the settle time."""
    home = Path(tempfile.mkdtemp(prefix="mm-"))
    try:
        times = asyncio.run(_measured(home, rounds))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return statistics.quantiles([each - SETTLE for each in times], n=100)


async def _measured(home: Path, rounds: int) -> list[float]:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(catalog(home / "c", {"models": [], "workflows": []}))
        machine = Machine(home / "m", url, {"MODEL_MANAGER_SETTLE_SECONDS": str(SETTLE)})
        stack.callback(machine.end)
        machine.start()
        await machine.until_ready()
        shelf = machine.store / "loras"
        shelf.mkdir(exist_ok=True)
        await asyncio.sleep(1)
        redis, keys = connect(f"unix://{machine.state / 'redis' / 'valkey.sock'}", timeout=60), Keys()
        stack.push_async_callback(redis.aclose)
        mirrors = Mirrors(redis, keys, fold)
        batches = Follower(redis, keys, await mirrors.start()).batches()
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(_read(batches, mirrors))
            times = [await _until_seen(shelf, f"new{n}.safetensors", mirrors) for n in range(rounds)]
            reading.cancel()
    return times


async def _until_seen(shelf: Path, name: str, mirrors: Mirrors) -> float:
    draft = shelf.parent / f".draft-{name}"
    draft.write_bytes(safetensors(2000))
    old = time.time() - 3600
    os.utime(draft, (old, old))
    begun = time.monotonic()
    draft.rename(shelf / name)
    while not any(mirrors.holders(name)):
        await asyncio.sleep(0.0005)
    took = time.monotonic() - begun
    await asyncio.sleep(APART)
    return took


async def _read(batches: AsyncIterator[Batch], mirrors: Mirrors) -> None:
    async for batch in batches:
        await mirrors.take(batch.told)
