from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from model_manager.agent.threads import finishing, interruptible, started
from model_manager.errors import Stopped


async def test_work_brings_its_result_and_its_error() -> None:
    assert await finishing(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await finishing(divmod, 7, 0)


async def test_a_cancelled_caller_waits_for_the_thread_however_often_it_is_cancelled() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def write() -> None:
        begun.set()
        assert go_on.wait(20)
        ended.set()

    task = asyncio.get_running_loop().create_task(finishing(write))
    await asyncio.to_thread(begun.wait, 20)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_long_work_is_told_that_it_may_end_early() -> None:
    begun, halted = threading.Event(), threading.Event()

    def read(cancelled: Callable[[], bool]) -> None:
        begun.set()
        while not cancelled():
            halted.wait(0.001)
        halted.set()
        raise Stopped(what="Reading")

    task = asyncio.get_running_loop().create_task(interruptible(read))
    await asyncio.to_thread(begun.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert halted.is_set()


async def test_nobody_halts_work_that_is_wanted() -> None:
    assert await interruptible(lambda cancelled: cancelled()) is False


def test_threads_that_were_started_are_there_before_there_is_work() -> None:
    with started(3, "early") as pool:
        assert sum(thread.name.startswith("early") for thread in threading.enumerate()) == 3
        assert pool.submit(divmod, 7, 2).result(20) == (3, 1)


def test_where_no_thread_can_be_started_nobody_waits_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    start, left = threading.Thread.start, iter([True, True])

    def reluctant(thread: threading.Thread) -> None:
        if not next(left, False):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", reluctant)
    with pytest.raises(RuntimeError):
        started(3, "few")
