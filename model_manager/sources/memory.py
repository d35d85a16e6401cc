"""An origin without a network: for tests, for trying things out, and with a script of failures for stories."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from model_manager.errors import Corrupt, ModelManagerError, NotFound, OriginUnavailable, RangeBeyond
from model_manager.facts.identity import Pin
from model_manager.facts.model import Source
from model_manager.facts.transfer import Offer
from model_manager.sources.origin import Sink, Stream, strong

HOST = "memory"
PIECE = 64 * 1024
"""Bytes of one chunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """An object: its bytes, its ETag, what is promised of it, and whether its length is told.

    `pieces`: whether other parts of it may be asked for beside the first answer.
    """

    data: bytes
    etag: str | None = None
    promise: Pin | None = None
    sized: bool = True
    ranges: bool = True
    """Whether it can be read from the middle."""
    pieces: bool = False


class MemoryOrigin:
    """`things` by address; they may be changed at any time, as on a real server. `sent` counts bytes handed out."""

    def __init__(self, things: dict[str, Thing] | None = None) -> None:
        self.things = things if things is not None else {}
        self.sent = 0
        self.opened: list[tuple[str, int]] = []

    def claims(self, url: str) -> bool:
        return url in self.things

    @asynccontextmanager
    async def open(
        self,
        model_name: str,
        source: Source,
        *,
        start: int = 0,
        validator: str | None = None,
        size: int | None = None,
        pinned: bool = False,
    ) -> AsyncIterator[Stream]:
        thing = self._thing(model_name, source)
        self.opened.append((source.url, start))
        proven = validator == thing.etag if strong(validator) else pinned
        begin = start if thing.ranges and proven else 0
        if begin and begin >= len(thing.data):
            raise RangeBeyond(size=len(thing.data), host=HOST, start=begin, name=model_name)
        if begin and size is not None and size != len(thing.data):
            raise Corrupt(name=model_name, host=HOST, why=f"it has {len(thing.data)} bytes now and had {size} before")
        yield Stream(
            model_name, _offer(thing, begin), self._pieces(thing.data[begin:]), parts=self._parts(model_name, source)
        )

    async def describe(self, model_name: str, source: Source) -> Offer:
        return _offer(self._thing(model_name, source), 0)

    def _parts(self, name: str, source: Source) -> MemoryParts | None:
        thing = self._thing(name, source)
        return MemoryParts(self, name, source) if thing.pieces and thing.ranges and strong(thing.etag) else None

    def _thing(self, name: str, source: Source) -> Thing:
        if source.url not in self.things:
            raise NotFound(where=HOST, name=name)
        return self.things[source.url]

    async def _pieces(self, data: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(data), PIECE):
            piece = data[at : at + PIECE]
            self.sent += len(piece)
            yield piece
            await asyncio.sleep(0)


class MemoryParts:
    """Parts of one object as it was when it was offered."""

    def __init__(self, origin: MemoryOrigin, name: str, source: Source) -> None:
        self.host = HOST
        self.enough = float("inf")
        self._origin = origin
        self._name = name
        self._source = source
        self._etag = origin.things[source.url].etag

    async def pour(self, start: int, stop: int, sink: Sink) -> None:
        async with self._origin.open(self._name, self._source, start=start, validator=self._etag) as stream:
            if stream.offer.start != start:
                raise Corrupt(name=self._name, host=HOST, why="another object came")
            await stream.pour(_Until(sink, stop - start))


class _Until:
    """A sink that has enough after so many bytes."""

    def __init__(self, sink: Sink, size: int) -> None:
        self._sink = sink
        self._left = size

    def room(self) -> memoryview | None:
        room = self._sink.room()
        return room if room is None else room[: self._left]

    def took(self, size: int) -> None:
        self._left -= size
        self._sink.took(size)

    def when_free(self, ring: Callable[[], None]) -> None:
        self._sink.when_free(ring)


def _offer(thing: Thing, start: int) -> Offer:
    return Offer(
        size=len(thing.data) if thing.sized else None,
        validator=thing.etag if strong(thing.etag) else None,
        promise=thing.promise,
        start=start,
        host=HOST,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fine:
    """Nothing happens to this request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """The request fails at once (a 429 is `Fail(error=OriginUnavailable(..., retry_after=3))`)."""

    error: ModelManagerError


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """The connection breaks after this many bytes."""

    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang:
    """Nothing more comes after this many bytes, and nothing says so."""

    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """The object is another one from this request on."""

    thing: Thing


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """One byte arrives wrong, under the right length and ETag; `at` counts from the start of the object."""

    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Surplus:
    """More bytes come than were offered."""

    extra: int


Step = Fine | Fail | Drop | Hang | Swap | Flip | Surplus


class FlakyOrigin(MemoryOrigin):
    """Each `open` takes the next step of the `script`; when it is used up, all is well."""

    def __init__(self, things: dict[str, Thing], script: Iterable[Step]) -> None:
        super().__init__(things)
        self._script: Iterator[Step] = iter(script)

    @asynccontextmanager
    async def open(
        self,
        model_name: str,
        source: Source,
        *,
        start: int = 0,
        validator: str | None = None,
        size: int | None = None,
        pinned: bool = False,
    ) -> AsyncIterator[Stream]:
        step = next(self._script, Fine())
        if isinstance(step, Fail):
            raise step.error
        if isinstance(step, Swap):
            self.things[source.url] = step.thing
        async with super().open(
            model_name, source, start=start, validator=validator, size=size, pinned=pinned
        ) as stream:
            data = self._thing(model_name, source).data[stream.offer.start :]
            body = self._played(step, model_name, data, stream.offer.start)
            yield Stream(model_name, stream.offer, body, parts=stream.parts)

    async def _played(self, step: Step, name: str, data: bytes, start: int) -> AsyncIterator[bytes]:
        match step:
            case Flip(at=at) if start <= at < start + len(data):
                here = at - start
                data = data[:here] + bytes([data[here] ^ 1]) + data[here + 1 :]
            case Surplus(extra=extra):
                data += bytes(extra)
            case Drop(after=after) | Hang(after=after):
                data = data[:after]
        async for piece in self._pieces(data):
            yield piece
        if isinstance(step, Drop):
            raise OriginUnavailable(host=HOST, name=name, why="the connection broke")
        if isinstance(step, Hang):
            await asyncio.Event().wait()
