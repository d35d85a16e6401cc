"""Eight workers of ours in one process that do nothing: `python -m tests.bench.claiming.worker SOCKET SECONDS`.

Each call is of another machine, so that none runs dry, and tells that the job before is done. Writes `ready`, waits for a
line on standard input, says the jobs done in SECONDS.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis

from model_manager.bus.connection import connect

HANDS: Final = 8
STRIDE: Final = 37
"""Machines between one worker's and the next one's."""


@dataclass(slots=True)
class Done:
    jobs: int = 0


async def hand(redis: Redis, order: dict[str, Any], number: int, end: float, done: Done) -> None:
    machines = order["machines"]
    finished = earlier = ""
    for n in count():
        if time.monotonic() > end:
            return
        machine, lease, models = machines[(number * STRIDE + n) % len(machines)]
        token = f"{number}:{n}"
        keys = (order["root"], lease, models)
        asked = (machine, f"w{number}", "", token, "600000", "0", "0", finished, earlier, "", "0")
        reply: Any = await redis.fcall(order["claim"], len(keys), *keys, *asked)
        if reply[0] not in (b"JOB", b"EMPTY"):
            raise AssertionError(reply)
        done.jobs += finished != ""
        finished, earlier = (reply[1].decode(), token) if reply[0] == b"JOB" else ("", "")


async def work(socket: str, seconds: float) -> int:
    order, done = json.loads(Path(os.environ["BENCH_ORDER"]).read_text()), Done()
    clients = [connect(f"unix://{socket}") for _ in range(HANDS)]
    for client in clients:
        await client.ping()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    end = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for number, client in enumerate(clients):
            group.create_task(hand(client, order, number, end, done))
    return done.jobs


if __name__ == "__main__":
    print(json.dumps({"done": asyncio.run(work(sys.argv[1], float(sys.argv[2])))}), flush=True)
