from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable

import pytest

from model_manager.agent.transfers.rushing import Rush
from model_manager.errors import OriginUnavailable
from model_manager.library.incoming.buffers import Buffers
from model_manager.library.incoming.whole import Whole
from model_manager.sources.origin import Sink
from tests.agent.stage import until
from tests.library.shelves import offer

CONTENT = os.urandom(300_000)


class Bringing:
    """An answer that brings so many bytes and may wait in between."""

    def __init__(self, size: int = len(CONTENT), failure: Exception | None = None) -> None:
        self.size = size
        self.failure = failure
        self.go_on = threading.Event()
        self.go_on.set()
        self.overs: list[bool] = []

    def __call__(self, sink: Sink, seconds: float, over: Callable[[], bool]) -> None:
        room = sink.room()
        assert room is not None
        assert seconds > 0
        room[: self.size] = CONTENT[: self.size]
        sink.took(self.size)
        self.go_on.wait(20)
        self.overs.append(over())
        if self.failure:
            raise self.failure


class Scene:
    def __init__(self, bringing: Bringing, after: Callable[[], int] = lambda: 7) -> None:
        self.steps: list[str] = []
        self.bringing = bringing
        self.whole = Whole.of(offer(size=len(CONTENT)), "flux", Buffers(4), lambda head: None, lambda: None)
        self._after = after
        self.rush = Rush(bringing, self.whole, lambda: self.steps.append("came"), self._ended)

    def _ended(self) -> int:
        self.steps.append("after")
        return self._after()


async def test_everything_came_before_what_is_done_with_it_is_told() -> None:
    go_on = threading.Event()
    scene = Scene(Bringing(), lambda: 7 if go_on.wait(20) else 0)
    async with scene.rush as rush:
        assert await rush.received()
        assert scene.steps.count("came") == 1
        go_on.set()
        assert await rush.ended() == 7
    assert scene.whole.read(0, len(CONTENT)) == CONTENT[: 1 << 20]


async def test_a2_what_did_not_come_is_left_to_others() -> None:
    scene = Scene(Bringing(1000))
    async with scene.rush as rush:
        assert not await rush.received()
        assert await rush.ended() is None
    assert scene.steps == []


async def test_a1_a_break_is_raised_and_nothing_is_done_after_it() -> None:
    scene = Scene(Bringing(1000, OriginUnavailable(host="h", name="flux", why="it broke off")))
    async with scene.rush as rush:
        with pytest.raises(OriginUnavailable):
            await rush.received()
    assert scene.steps == []


async def test_i4_a_cancelled_caller_waits_for_the_thread_and_says_that_it_is_over() -> None:
    scene = Scene(Bringing(1000))
    scene.bringing.go_on.clear()

    async def bring() -> None:
        async with scene.rush as rush:
            await rush.received()

    task = asyncio.get_running_loop().create_task(bring())
    await until(lambda: scene.whole.at)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
    assert not task.done()
    scene.bringing.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert scene.bringing.overs == [True]


async def test_i4_a_cancel_after_the_last_byte_waits_for_what_is_done_with_it() -> None:
    go_on, done = threading.Event(), threading.Event()

    def after() -> int:
        go_on.wait(20)
        done.set()
        return 1

    scene = Scene(Bringing(), after)

    async def bring() -> None:
        async with scene.rush as rush:
            assert await rush.received()
            await rush.ended()

    task = asyncio.get_running_loop().create_task(bring())
    await until(lambda: "came" in scene.steps)
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()
