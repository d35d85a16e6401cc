"""One connection that is asked again and again. h11 says what the heads and the chunks mean; bodies of known length pass it by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Final

import h11
from multidict import CIMultiDict, CIMultiDictProxy

from model_manager.sources.transport.translating import Cut, Unanswered
from model_manager.sources.transport.wire import Carrier

MAX_HEAD: Final = 32 * 1024
MAX_FIELDS: Final = 128
MAX_INTERIM: Final = 8
"""Bytes and lines of an answer's head (and of its trailers); answers of the kind 1xx before it."""

PIECE: Final = 16 * 1024
"""Bytes that are given to h11 at once: a head is never much longer than allowed, and no loop waits for many tiny chunks."""

CHUNK: Final = 256 * 1024
"""Bytes of a body of known length that are read and handed on at once."""


async def readable(fileno: int) -> None:
    """Returns when the descriptor can be read."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(fileno, _ring, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fileno)


async def sent(wire: Carrier, data: bytes = b"") -> None:
    """Returns when everything is with the socket."""
    loop = asyncio.get_running_loop()
    wire.send(data)
    while wire.unsent:
        ready = loop.create_future()
        loop.add_writer(wire.fileno(), _ring, ready)
        try:
            await ready
        finally:
            loop.remove_writer(wire.fileno())
        wire.send(b"")


def _ring(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


class Line:
    """A connection, and the answer that it is at: one question, its head, its body, and then perhaps the next question."""

    def __init__(self, wire: Carrier) -> None:
        self.wire = wire
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.size: int | None = 0
        """Bytes of the body; None when only its end will tell."""
        self.left: int | None = 0
        """Bytes of the body that have not been read."""
        self.heard = False
        """Whether a byte came since the question."""
        self._http = h11.Connection(h11.CLIENT, MAX_HEAD)
        self._kept = True

    async def ask(self, method: str, target: str, headers: Iterable[tuple[str, str]]) -> None:
        """Sends a request without a body; returns with the head of the answer, and without limit of time.

        Raises Unanswered, OSError, and h11's ProtocolErrors.
        """
        self._http, self.heard, self._kept = h11.Connection(h11.CLIENT, MAX_HEAD), False, False
        request = self._http.send(h11.Request(method=method, target=target, headers=list(headers)))
        end = self._http.send(h11.EndOfMessage())
        await sent(self.wire, request + end)
        if not self.wire.pending():
            await readable(self.wire.fileno())
        self._begin(await self._head())

    async def _head(self) -> h11.Response:
        interim = 0
        while not isinstance(event := await self._event(), h11.Response):
            interim += 1
            if not isinstance(event, h11.InformationalResponse) or interim > MAX_INTERIM:
                raise h11.RemoteProtocolError("too many answers before the answer")
        if len(event.headers) > MAX_FIELDS:
            raise h11.RemoteProtocolError("too many headers")
        return event

    async def _event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """What h11 sees next, given as much as it needs."""
        while (event := self._next()) is h11.NEED_DATA:
            room = bytearray(PIECE)
            count = await self._receive(memoryview(room))
            self.heard = self.heard or count > 0
            if not count and self._http.their_state is h11.SEND_RESPONSE:
                raise Unanswered
            self._http.receive_data(bytes(room[:count]))
        return event

    def _next(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            return self._http.next_event()
        except ValueError:  # h11 lets Python read a length of any number of digits
            raise h11.RemoteProtocolError("a length beyond all measure") from None

    def _begin(self, head: h11.Response) -> None:
        self.status = head.status_code
        self.headers = CIMultiDictProxy(CIMultiDict((_text(name), _text(value)) for name, value in head.headers))
        self.size = self.left = _length(head.status_code, self.headers)
        self._kept = self._http.our_state is h11.DONE
        if self.size is not None or self._http.their_state is h11.SWITCHED_PROTOCOL:
            self.wire.unread(self._http.trailing_data[0])

    async def _receive(self, room: memoryview) -> int:
        while (count := self.wire.receive(room)) is None:
            await readable(self.wire.fileno())
        return count

    async def pieces(self, silence: float) -> AsyncIterator[bytes]:
        """The rest of the body as it comes, in pieces of at most 256 KiB.

        Raises TimeoutError after so many seconds of silence, Cut when it ends too early, OSError, h11.RemoteProtocolError.
        """
        room = memoryview(bytearray(CHUNK))
        while self.left != 0:
            async with asyncio.timeout(silence):
                piece = await (self._sized(room) if self.left is not None else self._framed())
            if piece:
                yield piece
            await asyncio.sleep(0)

    async def _sized(self, room: memoryview) -> bytes:
        count = await self._receive(room[: self.left])
        if not count:
            raise Cut
        self.took(count)
        return bytes(room[:count])

    async def _framed(self) -> bytes:
        """Every chunk that is there; a body without length or chunks is one until its end."""
        piece = bytearray()
        try:
            event: object = await self._event()
            while isinstance(event, h11.Data):
                piece += event.data
                event = self._next()
        except h11.RemoteProtocolError:  # what came before is handed out; h11 will say it again
            if not piece:
                raise Cut from None
            return bytes(piece)
        if isinstance(event, h11.EndOfMessage):
            self.left = 0
            self._kept = self._kept and not self._http.trailing_data[0]
        elif event is not h11.NEED_DATA:
            raise Cut
        return bytes(piece)

    def took(self, count: int) -> None:
        """So many bytes of the body were read from the wire by somebody else."""
        if self.left is not None:
            self.left -= count

    def skim(self) -> None:
        """Read what little is left of a body, if it is there already: then the connection can be kept."""
        room = memoryview(bytearray(PIECE))
        if self._kept and self.left and self.left <= PIECE:
            count = self.wire.receive(room[: self.left])
            self.took(count or 0)

    @property
    def over(self) -> bool:
        """Whether another question may follow as far as the answer says: nothing of it is left, and the other side agrees."""
        return self._kept and self.left == 0

    @property
    def reusable(self) -> bool:
        """Whether another question may follow: the body is at its end, the other side agrees, and nothing came uncalled for."""
        room = memoryview(bytearray(1))
        return self.over and self.wire.receive(room) is None

    def close(self) -> None:
        self._kept = False
        self.wire.close()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _length(status: int, headers: Mapping[str, str]) -> int | None:
    """Bytes of the body (RFC 9112, 6.3), None when it is chunked or ends with the connection. Contradictions are refused."""
    if status in (204, 304):
        return 0
    length = headers.get("Content-Length")
    if "Transfer-Encoding" in headers:
        if length is not None:
            raise h11.RemoteProtocolError("a length and chunks as well")
        return None
    if length is None:
        return None
    if len(length) > 18:
        raise h11.RemoteProtocolError("a length beyond all measure")
    return int(length)
