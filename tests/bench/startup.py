"""From start to an open gate with everything present: 10,000 models in the index, 20 of them required.

The peer is what a shell script would do to open the same gate: list the tree and check the sums of what is required.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.bench.row import Row
from tests.stories.machine import Machine, catalog, record, safetensors, sha256, workflow

SIZE = 4096


def run(smoke: bool) -> Iterator[Row]:
    models, required, rounds = (200, 5, 1) if smoke else (10_000, 20, 5)
    home = Path(tempfile.mkdtemp(prefix="mm-"))
    try:
        ours, peer = asyncio.run(_measured(home, models, required, rounds))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    case = f"{models} models, {required} required"
    yield Row(bench="startup", case=case, ours=round(ours, 3), peer=round(peer, 3), unit="s", goal=3.0)


async def _measured(home: Path, models: int, required: int, rounds: int) -> tuple[float, float]:
    store = home / "m" / "models"
    sums = [_write(store / f"loras/set{n % 50:02d}/lora{n:05d}.safetensors", n) for n in range(models)]
    needed = [f"lora{n:05d}" for n in range(required)]
    records: dict[str, Any] = {
        "models": [_record(n, sums[n]) for n in range(required)],
        "workflows": [workflow("w", *needed)],
    }
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(catalog(home / "c", records))
        machine = Machine(home / "m", url, {"WORKFLOW_IDS": "w"})
        stack.callback(machine.end)
        machine.start()
        await machine.until(lambda: _indexed(machine, models), "everything is indexed and hashed", at_most=300)
        await machine.stop()
        ours = []
        for _ in range(rounds):
            begun = time.monotonic()
            machine.start()
            await machine.until_ready()
            ours.append(time.monotonic() - begun)
            await machine.stop()
        check = home / "sums"
        check.write_text("".join(f"{sums[n]}  {_path(store, n)}\n" for n in range(required)))
        return statistics.median(ours), statistics.median(_peer(store, check) for _ in range(rounds))


def _path(store: Path, n: int) -> Path:
    return store / f"loras/set{n % 50:02d}/lora{n:05d}.safetensors"


def _write(path: Path, n: int) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = safetensors(SIZE, n)
    path.write_bytes(data)
    return sha256(data)


def _record(n: int, digest: str) -> dict[str, Any]:
    place = f"loras/set{n % 50:02d}/lora{n:05d}.safetensors"
    return record(f"lora{n:05d}", f"http://127.0.0.1:9/{n}.safetensors", place, hash=digest)


def _indexed(machine: Machine, models: int) -> bool:
    inventory = machine.status()["inventory"]
    return machine.ready() and inventory["models"] == models and inventory["unhashed"] == 0


def _peer(store: Path, sums: Path) -> float:
    begun = time.monotonic()
    subprocess.run(["find", str(store), "-printf", "%s %T@ %i %p\n"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["sha256sum", "--check", "--quiet", str(sums)], check=True)
    return time.monotonic() - begun
