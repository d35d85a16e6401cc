"""The bytes of one object on their way to the disk, over as many connections as help."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial as bound
from typing import Final

from model_manager.agent.clock import Clock
from model_manager.agent.transfers.carrying import Carrier
from model_manager.agent.transfers.widths import LOOK, Crowd, Widths
from model_manager.decisions.spanning import Spans, cut, half, span_size
from model_manager.errors import Corrupt, ModelManagerError, OriginUnavailable
from model_manager.library.incoming.partial import Partial
from model_manager.sources.origin import Parts, Sink, Stream

FIRST_WAIT: Final = 0.03
"""Seconds until the first byte of an answer, before any was measured. Too long, and the first spans are longer than memory holds."""

AHEAD: Final = 1024 * 1024 * 1024
"""Bytes that may be fetched before the hash has come to them: what is farther ahead would not be in memory any more."""

APART: Final = 0.005
"""Seconds between two that begin: connections that take the same steps together keep the event loop from everything else."""

BREAKS: Final = 3
"""Answers in a row that may break off before the whole attempt counts as broken."""


class Drawing:
    """One object, from an answer that was opened to the last byte that is missing. Bytes that came are kept whatever happens."""

    def __init__(self, partial: Partial, widths: Widths, clock: Clock) -> None:
        self._brought = 0
        self._partial = partial
        self._widths = widths
        self._crowd: Crowd | None = None
        self._clock = clock
        self._wait = FIRST_WAIT
        self._carriers: list[Carrier] = []
        self._spans = Spans(())
        self._parts: Parts | None = None
        self._begun = clock.monotonic()
        self._workers = 1
        self._tasks: set[asyncio.Task[None]] = set()
        self._breaks = 0

    @property
    def received(self) -> int:
        """Bytes that came so far, by every connection."""
        return self._brought + sum(carrier.received for carrier in self._carriers)

    @property
    def connections(self) -> int:
        """How many carry bytes now."""
        return len(self._carriers)

    @property
    def left(self) -> int:
        """Bytes that nobody has brought yet, as far as their number is known."""
        return self._spans.bytes + sum(carrier.left for carrier in self._carriers)

    @property
    def flowing(self) -> bool:
        """Whether as many connections as are wanted bring bytes, or there is nothing for more."""
        enough = len(self._carriers) >= self._wanted or not self._spans.bytes
        return enough and all(carrier.flowing for carrier in self._carriers)

    def was_held(self) -> bool:
        """Whether the disk or the hash kept the foremost connection waiting since the last question. Those ahead of it may wait
        for its bytes: that is the network's doing."""
        held = [(carrier.at, carrier.was_held()) for carrier in self._carriers]
        return min(held, default=(0, False))[1]

    async def draw(self, opened: AbstractAsyncContextManager[Stream], watch: Callable[[], None]) -> None:
        """Bring what is missing, as far as the origin can serve it: see `Partial.missing` for what is left.

        `opened` gives the stream from the first missing byte, which the partial has begun under its offer; `watch` is
        called each LOOK seconds and may raise to give up. Raises what origin, disk and `watch` raise, as one error.
        """
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch(group, watch))
                async with opened as stream:
                    await self._first(stream)
                await self._work()
                while self._tasks:
                    await asyncio.wait(tuple(self._tasks))
                watching.cancel()
        except BaseExceptionGroup as errors:
            raise _one(errors) from None
        finally:
            if self._crowd is not None:
                self._crowd.leave(self)

    @property
    def _wanted(self) -> int:
        return self._crowd.share(self) if self._crowd is not None else 1

    async def _first(self, stream: Stream) -> None:
        """The answer that was opened carries until it is cut short for others, or to the end of its gap."""
        missing = self._partial.missing() if self._partial.total is not None else ()
        self._spans = Spans(missing[1:] if stream.parts else ())
        self._parts = stream.parts
        if stream.parts is not None:
            self._crowd = self._widths.crowd(stream.parts.host)
            self._crowd.enough = stream.parts.enough
            self._crowd.enter(self)
        stop = missing[0][1] if missing else self._partial.total
        await self._carry(stream.offer.start, stop, stream.pour)

    async def _carry(
        self, start: int, stop: int | None, pour: Callable[[Sink], Awaitable[None]], *, warm: bool = False
    ) -> None:
        """One answer into one lane. What it did not bring goes back to the spans."""
        carrier = Carrier(self._partial.lane(start, stop), self._clock.monotonic, warm=warm)
        self._carriers.append(carrier)
        try:
            await pour(carrier)
        finally:
            self._carriers.remove(carrier)
            self._brought += carrier.received
            if carrier.waited is not None:
                self._wait += (carrier.waited - self._wait) / 4
            left = carrier.end()
            if left is not None and self._parts is not None:
                self._spans.give_back(*left)

    async def _work(self, after: float = 0.0) -> None:
        """Span after span, as long as so many connections are wanted; the first `after` so many seconds."""
        warm = False
        try:
            await asyncio.sleep(after)
            while (parts := self._parts) and self._workers <= self._wanted and (span := self._next()):
                while self._carriers and span[0] - self._partial.hashed > AHEAD:  # noqa: ASYNC110 - the hash rings no bell
                    await asyncio.sleep(LOOK)
                await self._bring(parts, *span, warm)
                warm = True
        finally:
            self._workers -= 1

    async def _bring(self, parts: Parts, start: int, stop: int, warm: bool) -> None:
        try:
            await self._carry(start, stop, bound(parts.pour, start, stop), warm=warm)
            self._breaks = 0
        except OriginUnavailable:
            self._breaks += 1
            if not self._carriers or self._breaks >= BREAKS:
                raise
            if self._crowd is not None:
                self._crowd.refused(len(self._carriers))

    def _next(self) -> tuple[int, int] | None:
        """The lowest bytes that nobody brings; when there are none, the later half of what the slowest has before it."""
        if span := self._spans.take(self._span):
            return span
        behind = max(self._carriers, key=lambda carrier: carrier.left, default=None)
        return behind.shorten(half) if behind else None

    @property
    def _span(self) -> int:
        seconds = max(0.1, self._clock.monotonic() - self._begun)
        connections = max(1, len(self._carriers))
        return span_size(self.received / seconds / connections, self._wait, max(connections, self._widths.connections))

    async def _watch(self, group: asyncio.TaskGroup, watch: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(LOOK)
            watch()
            if self._crowd is not None and self._carriers:
                self._crowd.look()
                self._hire(group)

    def _hire(self, group: asyncio.TaskGroup) -> None:
        """As many workers as are wanted, as far as there is something for them; the first answer makes room for them."""
        if self._wanted > len(self._carriers) == 1 and not self._spans.bytes:
            ahead = self._span
            if later := self._carriers[0].shorten(lambda at, stop: cut(at, stop, ahead)):
                self._spans.give_back(*later)
        for turn in range(self._wanted - self._workers if self._spans.bytes else 0):
            self._workers += 1
            task = group.create_task(self._work(turn * APART))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


def _one(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure that decides: one that is not ours to expect, then wrong bytes, then the first."""
    found = list(_leaves(errors))
    strange = [error for error in found if not isinstance(error, ModelManagerError)]
    corrupt = [error for error in found if isinstance(error, Corrupt)]
    return (strange or corrupt or found)[0]


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
