"""From a file's rename into place to its entry on the stream, beyond the settle time that keeps growing files out.

The peer is the bare chain without settling, index or outbox: watchfiles and one XADD.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from tests.bench.row import Row
from tests.stories.machine import Machine, catalog, safetensors

SETTLE = 0.1
PEER = """
import asyncio, sys
from redis.asyncio import Redis
from watchfiles import awatch
async def main(url, directory):
    redis = Redis.from_url(url)
    await redis.ping()
    await redis.xadd("peer", {"path": "watching"})
    async for changes in awatch(directory, step=10, debounce=50):
        for _, path in changes:
            await redis.xadd("peer", {"path": path})
asyncio.run(main(*sys.argv[1:]))
"""


def run(smoke: bool) -> Iterator[Row]:
    rounds = 3 if smoke else 100
    home = Path(tempfile.mkdtemp(prefix="mm-"))
    try:
        ours, peer = asyncio.run(_measured(home, rounds))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    for name, part in (("p50", 0.5), ("p99", 0.99)):
        mine, theirs = (sorted(times)[min(len(times) - 1, int(len(times) * part))] for times in (ours, peer))
        case = f"rename to stream entry, {name}, beyond {SETTLE * 1000:.0f} ms settle"
        yield Row(
            bench="announce", case=case, ours=round((mine - SETTLE) * 1000, 1), peer=round(theirs * 1000, 1), unit="ms"
        )


async def _measured(home: Path, rounds: int) -> tuple[list[float], list[float]]:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(catalog(home / "c", {"models": [], "workflows": []}))
        machine = Machine(home / "m", url, {"MODEL_MANAGER_SETTLE_SECONDS": str(SETTLE)})
        stack.callback(machine.end)
        machine.start()
        await machine.until_ready()
        shelf = machine.store / "loras"
        shelf.mkdir(exist_ok=True)
        await asyncio.sleep(1)
        redis = Redis(unix_socket_path=str(machine.state / "redis" / "valkey.sock"))
        stack.push_async_callback(redis.aclose)
        ours = await _times(shelf, rounds, redis, "model_manager:events", b"model.appeared")
        watched = home / "peer"
        watched.mkdir()
        async with _peer(str(machine.state / "redis" / "valkey.sock"), watched, redis):
            peer = await _times(watched, rounds, redis, "peer", None)
    return ours, peer


async def _times(shelf: Path, rounds: int, redis: Redis, stream: str, kind: bytes | None) -> list[float]:
    data, times = safetensors(2000), []
    for n in range(rounds):
        last = await redis.xrevrange(stream, count=1)
        cursor = last[0][0] if last else b"0"
        draft = shelf.parent / f".draft{n}"
        draft.write_bytes(data)
        old = time.time() - 3600
        os.utime(draft, (old, old))
        begun = time.monotonic()
        draft.rename(shelf / f"new{n}.safetensors")
        await _entry(redis, stream, cursor, kind, f"new{n}.safetensors")
        times.append(time.monotonic() - begun)
    return times


async def _entry(redis: Redis, stream: str, cursor: bytes, kind: bytes | None, name: str) -> None:
    while True:
        answer: Any = await redis.xread({stream: cursor}, block=10_000)
        for _, fields in answer[0][1]:
            if fields.get(b"kind") == kind and name.encode() in fields.get(b"data", fields.get(b"path", b"")):
                return


@asynccontextmanager
async def _peer(socket: str, directory: Path, redis: Redis) -> AsyncIterator[None]:
    process = subprocess.Popen([sys.executable, "-c", PEER, f"unix://{socket}", str(directory)])
    try:
        await _until(lambda: redis.exists("peer"))
        await asyncio.sleep(1)
        yield
    finally:
        process.terminate()
        process.wait(10)


async def _until(condition: Callable[[], Awaitable[Any]]) -> None:
    while not await condition():
        await asyncio.sleep(0.05)
