"""A short object on its way into memory: whole in a moment, or handed on to those who write bytes as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

from model_manager.decisions.judging import header_length
from model_manager.errors import ModelManagerError
from model_manager.library.contents.reading import HEAD, MAX_HEADER
from model_manager.library.incoming.whole import Whole
from model_manager.sources.origin import Sink, Stream

PATIENCE: Final = 0.5
"""Seconds that bytes may stay in memory alone: a line that needs longer leaves time enough to write them as they come."""

SHORTAGE: Final = 0.1
"""Seconds that it waits for memory of others."""


class Gathering:
    """One answer into one Whole. It ends whole, or broken, or goes on as a stream of the `rest`."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._turn, self._over = asyncio.Event(), asyncio.Event()
        self._failure: Exception | None = None
        self._pouring: asyncio.Task[None] | None = None

    def ring(self) -> None:
        """From any thread: there is no memory for the rest. Others give theirs back, or all wait for each other."""
        self._loop.call_soon_threadsafe(self._loop.call_later, SHORTAGE, self._turn.set)

    def rest(self, whole: Whole, at: int) -> Stream:
        """The answer from byte `at` on, when what came before was taken from the Whole."""
        return _Rest(self._stream, self, whole, at)

    @asynccontextmanager
    async def into(self, whole: Whole) -> AsyncIterator[None]:
        """Bytes come for the length of the block, after which nobody fills the Whole any more."""
        failure: Exception | None = None
        async with asyncio.TaskGroup() as group:
            self._pouring = group.create_task(self._pour(whole))
            try:
                yield
            except Exception as error:
                failure = error
            finally:
                self._pouring.cancel()
        if failure is not None:
            raise failure

    async def decided(self) -> None:
        """Until everything came, or it takes too long or too much. Raises what the answer raised."""
        late = self._loop.call_later(PATIENCE, self._turn.set)
        try:
            await self._turn.wait()
        finally:
            late.cancel()
        if self._failure is not None:
            raise self._failure

    async def go_on(self, whole: Whole, sink: Sink) -> None:
        """What came and is not in full blocks, then everything else, into the sink. Raises what the answer raised."""
        whole.pass_on(sink)
        try:
            await self._over.wait()
        except asyncio.CancelledError:
            await self._let_go()
            with suppress(ModelManagerError):  # what there is no room for is fetched again
                whole.room()
            raise
        await _flushed(whole, sink)
        if self._failure is not None:
            raise self._failure

    async def _pour(self, whole: Whole) -> None:
        try:
            await self._stream.pour(whole)
        except Exception as error:
            self._failure = error
        finally:
            self._over.set()
            self._turn.set()

    async def _let_go(self) -> None:
        """However often we are cancelled meanwhile: the sink is nobody's before the answer has let go of it."""
        while self._pouring is not None and not self._pouring.done():
            self._pouring.cancel()
            try:
                await asyncio.wait([self._pouring])
            except asyncio.CancelledError:
                continue


class _Rest(Stream):
    """The answer from byte `at` on, after blocks were taken from its Whole."""

    def __init__(self, stream: Stream, gathering: Gathering, whole: Whole, at: int) -> None:
        self.offer = replace(stream.offer, start=at)
        self.parts = stream.parts
        self._gathering = gathering
        self._whole = whole

    async def pour(self, sink: Sink) -> None:
        await self._gathering.go_on(self._whole, sink)


async def _flushed(whole: Whole, sink: Sink) -> None:
    """Nothing waits in memory any more."""
    free = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ring() -> None:
        loop.call_soon_threadsafe(free.set)

    while whole.room() is None:
        free.clear()
        sink.when_free(ring)
        await free.wait()


def beginning_of(whole: Whole) -> tuple[bytes, bytes | None]:
    """As of a file (library.reading)."""
    head = whole.read(0, HEAD)
    length = header_length(head)
    return head, whole.read(8, 8 + length) if length is not None and length <= MAX_HEADER else None
