"""Blocking work on threads, without ever leaving a thread behind that still writes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def started(count: int, name: str) -> ThreadPoolExecutor:
    """So many threads that are there already: whoever starts one waits for it, and the event loop must not."""
    pool, all_there = ThreadPoolExecutor(count, name), threading.Barrier(count + 1)
    try:
        for _ in range(count):
            pool.submit(all_there.wait)
    except BaseException:
        all_there.abort()
        raise
    all_there.wait()
    return pool


async def finishing(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `work` on a thread. A cancelled caller waits for its end: nobody closes a file that is being written."""
    return await _awaited(asyncio.get_running_loop().run_in_executor(None, lambda: work(*args, **kwargs)), None)


async def interruptible(work: Callable[[Callable[[], bool]], R]) -> R:
    """Run long `work` on a thread; it asks the function that it is given whether it should end early."""
    halt = threading.Event()
    return await _awaited(asyncio.get_running_loop().run_in_executor(None, lambda: work(halt.is_set)), halt)


async def _awaited(future: asyncio.Future[R], halt: threading.Event | None) -> R:
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if halt is not None:
            halt.set()
        await end_of(future)
        raise


async def end_of(future: asyncio.Future[R]) -> None:
    """Wait for the thread. However often we are cancelled meanwhile: the thread has to end first."""
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            continue
    if not future.cancelled():
        future.exception()
