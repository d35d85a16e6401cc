"""The port: where the bytes of a model come from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Protocol

from model_manager.errors import Corrupt, OriginUnavailable
from model_manager.facts.model import Source
from model_manager.facts.transfer import Offer


class Sink(Protocol):
    """Where the bytes of one answer go: memory that is filled in place. One thread at a time calls it, and no call blocks."""

    def room(self) -> memoryview | None:
        """Memory for the bytes that come next. Empty: it has enough, stop. None: the disk is behind; ask again when rung.

        Raises what the disk or the judge of these bytes has raised meanwhile.
        """

    def took(self, size: int) -> None:
        """So many bytes were put at the beginning of the last room. Raises the same."""

    def when_free(self, ring: Callable[[], None]) -> None:
        """Call `ring` once, from any thread, when there is room again after a None."""


class Parts(Protocol):
    """Further ranges of the very object that an answer offered, each over a connection of its own."""

    host: str
    """Where they come from: limits and what is learnt of speed go by it."""

    enough: float
    """Bytes a second, of all of the host together, from which on we are slower than any network: more connections would only take
    turns with those that there are."""

    async def pour(self, start: int, stop: int, sink: Sink) -> None:
        """Bytes `start` to `stop` (exclusive) into the sink; returns early when the sink has enough.

        Raises Corrupt when another object answers, OriginUnavailable (also when a signed address has expired: open the
        source again), and what the sink raises.
        """


Burst = Callable[[Sink, float, Callable[[], bool]], None]
"""(sink, seconds, over): blocks, and brings into the sink what comes on the caller's own thread within so many seconds or until
`over` answers True. `Stream.pour` then goes on, and says what is wrong when nothing more comes. Raises as it does."""


class Stream:
    """The bytes of an object from `offer.start` to its end. `parts` is None where no other range of it can be proven."""

    def __init__(
        self,
        name: str,
        offer: Offer,
        body: AsyncIterator[bytes],
        *,
        parts: Parts | None = None,
        pouring: Callable[[Sink], Awaitable[None]] | None = None,
        burst: Burst | None = None,
    ) -> None:
        """`pouring`: a faster way than `body` for the same bytes; one of the two is used, once. `burst`: a way before it for a
        body that is short and comes at once."""
        self._name = name
        self.offer = offer
        self.parts = parts
        self.burst = burst
        self._body = body
        self._pouring = pouring

    async def pour(self, sink: Sink) -> None:
        """Every byte into the sink, or as many as it takes. Raises what `chunks` raises, and what the sink does."""
        if self._pouring is not None:
            await self._pouring(sink)
            return
        async with aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                if not await _poured(chunk, sink):
                    return

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The bytes in order, in pieces of at most 1 MiB; to be read once.

        Raises Corrupt when more come than `offer.size` says, OriginUnavailable when fewer do or the origin falls silent.
        """
        size, at = self.offer.size, self.offer.start
        async with _closing(self._body):
            async for chunk in self._body:
                at += len(chunk)
                if size is not None and at > size:
                    raise Corrupt(name=self._name, host=self.offer.host, why=f"more than its {size} bytes came")
                yield chunk
        if size is not None and at < size:
            raise OriginUnavailable(host=self.offer.host, name=self._name, why=f"it ended at byte {at} of {size}")


@asynccontextmanager
async def _closing(body: AsyncIterator[bytes]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        if isinstance(body, AsyncGenerator):
            await body.aclose()


async def _poured(chunk: bytes, sink: Sink) -> bool:
    """Whether the sink took all of it."""
    rest = memoryview(chunk)
    while rest:
        room = sink.room()
        if room is None:
            await _free(sink)
            continue
        if not room:
            return False
        size = min(len(room), len(rest))
        room[:size] = rest[:size]
        sink.took(size)
        rest = rest[size:]
    return True


async def _free(sink: Sink) -> None:
    loop, free = asyncio.get_running_loop(), asyncio.Event()

    def ring() -> None:
        loop.call_soon_threadsafe(free.set)

    sink.when_free(ring)
    await free.wait()


class Origin(Protocol):
    """Somewhere that models come from."""

    def claims(self, url: str) -> bool:
        """Whether this origin is the one for the address. The first that claims it is asked."""

    def open(
        self,
        model_name: str,
        source: Source,
        *,
        start: int = 0,
        validator: str | None = None,
        size: int | None = None,
        pinned: bool = False,
    ) -> AbstractAsyncContextManager[Stream]:
        """The object from byte `start`, proven by the strong `validator` to be the one whose first bytes we hold.

        `pinned`: no validator of this address is known, but a full digest of the object is, which will judge the whole:
        the middle is asked for on trust (a mirror goes on where another origin broke off).

        Look at `stream.offer.start`: it is 0 when the object has changed, when there was no proof, or when the origin
        cannot go on in the middle; then what we hold is worthless. `size` is what the earlier offer said, if it did.

        Raises RangeBeyond when the object has no byte at `start`, Corrupt when the origin contradicts itself (start
        again from 0), NotAuthorized, NotFound, BadUrl or another Refused, and OriginUnavailable.
        """

    async def describe(self, model_name: str, source: Source) -> Offer:
        """What `open` would offer, for the price of one byte. Raises the same."""


def strong(validator: str | None) -> bool:
    """Whether an ETag proves that two answers are the same bytes (RFC 9110, 8.8.1): quoted, and not `W/"…"`."""
    if validator is None or not 2 < len(validator) <= 512:
        return False
    inner = validator[1:-1]
    return validator[0] == validator[-1] == '"' and inner.isascii() and inner.isprintable() and '"' not in inner
