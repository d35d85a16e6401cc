"""arq and taskiq with a task that does nothing; run by an interpreter that has them, with nothing of ours.

    python queues.py arq|taskiq fill SOCKET COUNT     adds COUNT jobs; says the seconds that took
    python queues.py arq|taskiq work SOCKET SECONDS   one process, 100 tasks at a time; says the jobs done in SECONDS

`work` writes `ready` and waits for a line on standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

AT_ONCE = 100
done = 0


async def noop(*_: Any) -> None:
    global done
    done += 1


async def arq_fill(socket: str, count: int) -> None:
    from arq import create_pool

    pool = await create_pool(arq_settings(socket))
    for first in range(0, count, AT_ONCE):
        await asyncio.gather(*(pool.enqueue_job("noop", reference(first + n)) for n in range(AT_ONCE)))


async def arq_work(socket: str) -> None:
    from arq.worker import Worker, func

    worker = Worker(
        functions=[func(noop, name="noop", keep_result=0)],
        redis_settings=arq_settings(socket),
        max_jobs=AT_ONCE,
        poll_delay=0.005,
        handle_signals=False,
    )
    await worker.async_run()


def arq_settings(socket: str) -> Any:
    from arq.connections import RedisSettings

    return RedisSettings(unix_socket_path=socket)


async def taskiq_fill(socket: str, count: int) -> None:
    broker, task = taskiq_broker(socket)
    await broker.startup()
    for first in range(0, count, AT_ONCE):
        await asyncio.gather(*(task.kiq(reference(first + n)) for n in range(AT_ONCE)))


async def taskiq_work(socket: str) -> None:
    from taskiq.api import run_receiver_task

    broker, _ = taskiq_broker(socket)
    await run_receiver_task(broker, max_async_tasks=AT_ONCE, run_startup=True)


def taskiq_broker(socket: str) -> Any:
    from taskiq_redis import RedisStreamBroker

    broker = RedisStreamBroker(url=f"unix://{socket}", queue_name="bench")
    return broker, broker.register_task(noop, task_name="noop")


def reference(number: int) -> str:
    return f"s3://workflows/{number:024d}"


async def filled(kind: str, socket: str, count: int) -> dict[str, float]:
    begun = time.perf_counter()
    await {"arq": arq_fill, "taskiq": taskiq_fill}[kind](socket, count)
    return {"seconds": time.perf_counter() - begun}


async def worked(kind: str, socket: str, seconds: float) -> dict[str, float]:
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    working = asyncio.create_task({"arq": arq_work, "taskiq": taskiq_work}[kind](socket))  # noqa: TID251
    await asyncio.wait([working], timeout=seconds)
    if working.done():
        working.result()
    return {"done": done}


if __name__ == "__main__":
    kind, what, socket, amount = sys.argv[1:]
    figures = filled(kind, socket, int(amount)) if what == "fill" else worked(kind, socket, float(amount))
    print(json.dumps(asyncio.run(figures)), flush=True)
