"""A worker in a process of its own, to be killed: `python -m tests.stories.claimer URL WORKER LEASE SECONDS`.

It claims jobs of the machine m1, says each on a line, works for SECONDS, and completes it.
"""

from __future__ import annotations

import asyncio
import sys

from model_manager.bus.claims import Claims
from model_manager.bus.connection import connect
from model_manager.errors import LeaseLost


async def work(url: str, worker: str, lease: float, seconds: float) -> None:
    claims = Claims(connect(url, timeout=5.0), patience=30.0)
    while True:
        work = await claims.claim("m1", worker, wait=30, lease=lease)
        if work is None:
            continue
        print(work.job, flush=True)
        try:
            async with claims.held(work):
                await asyncio.sleep(seconds)
        except LeaseLost:
            continue
        print(await claims.complete(work, worker), flush=True)


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))
