"""Eight workers of ours in one process that do nothing: `python -m tests.bench.claiming.worker SOCKET SECONDS`.

They are of one machine until nothing is left that it can do, then of the next one. A call tells that the jobs before are done; as
`Claims.next` does, workers share calls. Writes `ready`, waits for a line on standard input, says the jobs done in SECONDS.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis

from model_manager.bus.connection import connect
from model_manager.bus.gathering import Gathering

HANDS: Final = 8
CALLS: Final = 2
FEW: Final = 4
"""As workers of one machine have them."""

VALUES: Final = 9
"""That are told to each worker of a call."""


@dataclass(slots=True)
class Done:
    jobs: int = 0


@dataclass(slots=True)
class Desk:
    """`turn`: the machine that they are of. `free`: connections without a call on its way."""

    order: dict[str, Any]
    free: list[Redis]
    turn: int = 0

    async def ask(self, questions: Sequence[Sequence[str]]) -> list[list[bytes]]:
        redis, machines = self.free.pop(), self.order["machines"]
        machine, lease, models = machines[self.turn]
        values = [value for question in questions for value in question]
        asked = (machine, "", "600000", str(len(questions)), *values)
        reply: Any = await redis.fcall(self.order["next"], 3, self.order["root"], lease, models, *asked)
        self.free.append(redis)
        if reply[0] != b"OK":
            raise AssertionError(reply)
        if reply[1] == b"EMPTY":
            self.turn = (self.turn + 1) % len(machines)
        return [reply[first : first + VALUES] for first in range(1, len(reply), VALUES)]


async def hand(desk: Gathering[Sequence[str], list[bytes]], number: int, end: float, done: Done) -> None:
    finished = earlier = ""
    for n in count():
        if time.monotonic() > end:
            return
        token = f"{number}:{n}"
        told = await desk.asked((f"w{number}", token, finished, earlier, ""))
        if told[0] not in (b"JOB", b"EMPTY", b"AGAIN"):
            raise AssertionError(told)
        done.jobs += finished != ""
        finished, earlier = (told[1].decode(), token) if told[0] == b"JOB" else ("", "")


async def work(socket: str, seconds: float) -> int:
    order, done = json.loads(Path(os.environ["BENCH_ORDER"]).read_text()), Done()
    clients = [connect(f"unix://{socket}") for _ in range(CALLS)]
    for client in clients:
        await client.ping()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    end = time.monotonic() + seconds
    desk = Gathering(Desk(order, clients).ask, most=HANDS, calls=CALLS, few=FEW)
    async with asyncio.TaskGroup() as group:
        for number in range(HANDS):
            group.create_task(hand(desk, number, end, done))
    return done.jobs


if __name__ == "__main__":
    print(json.dumps({"done": asyncio.run(work(sys.argv[1], float(sys.argv[2])))}), flush=True)
