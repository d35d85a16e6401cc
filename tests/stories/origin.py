"""An origin that misbehaves by script: raw asyncio, so that it can say anything an HTTP server should not."""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """`n` counts requests of this path from 1; headers are lower-case; `target` is the path with its query."""

    path: str
    n: int
    headers: dict[str, str]
    method: str = "GET"
    target: str = ""

    @property
    def start(self) -> int:
        return self._range[0]

    @property
    def stop(self) -> int | None:
        """The byte after the last that is asked for; None is to the end."""
        return self._range[1]

    @property
    def _range(self) -> tuple[int, int | None]:
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        return (int(found[1]), int(found[2]) + 1 if found[2] else None) if found else (0, None)

    @property
    def ranged(self) -> bool:
        return "range" in self.headers


@dataclass
class Thing:
    """What lies at a path. A weak or missing ETag is written as such: W/"x" or None."""

    data: bytes
    etag: str | None

    @classmethod
    def of(cls, data: bytes) -> Thing:
        return cls(data, f'"{hashlib.sha256(data).hexdigest()[:16]}"')


class Reply:
    """The wire of one answer. Whatever a fault needs is written by hand."""

    def __init__(self, origin: FaultyOrigin, path: str, writer: asyncio.StreamWriter) -> None:
        self._origin = origin
        self._path = path
        self.writer = writer

    async def head(self, status: int, headers: dict[str, str] | None = None) -> None:
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in (headers or {}).items())]
        await self.raw(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def body(self, data: bytes, pause: float = 0.0, piece: int = CHUNK) -> None:
        """Model bytes; they are counted."""
        for at in range(0, len(data), piece):
            part = data[at : at + piece]
            await self.raw(part)
            self._origin.sent[self._path] += len(part)
            if pause:
                await asyncio.sleep(pause)

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        await asyncio.sleep(0)  # TLS that the other side is ending takes all that is written, and ends in a later turn

    async def honest(self, request: Request, thing: Thing, *, limit: int | None = None, pause: float = 0.0, piece: int = CHUNK, hold: tuple[int, asyncio.Event] | None = None, before_end: Callable[[], Awaitable[None]] | None = None) -> None:  # fmt: skip
        """The right answer, with ranges and If-Range; `limit` ends the connection after that many bytes of body (and after
        `before_end`), `hold` waits for an event before the byte at that offset of the object."""
        start, stop = request.start, request.stop
        condition = request.headers.get("if-range")
        if condition is not None and condition != thing.etag:
            start, stop = 0, None
        if request.ranged and start >= len(thing.data) and condition in (None, thing.etag):
            await self.head(416, {"Content-Range": f"bytes */{len(thing.data)}", "Content-Length": "0"})
            return
        rest = thing.data[start:stop]
        headers = {"Content-Length": str(len(rest)), "Accept-Ranges": "bytes"}
        if thing.etag:
            headers["ETag"] = thing.etag
        ranged = request.ranged and (start > 0 or condition in (None, thing.etag))
        if ranged:
            headers["Content-Range"] = f"bytes {start}-{start + len(rest) - 1}/{len(thing.data)}"
        await self.head(206 if ranged else 200, headers)
        if hold is not None:
            before, release = rest[: max(0, hold[0] - start)], hold[1]
            await self.body(before, pause)
            while not release.is_set():
                if self.writer.transport.is_closing():
                    raise ConnectionResetError
                await asyncio.sleep(0.01)
            rest = rest[len(before) :]
        await self.body(rest if limit is None else rest[:limit], pause, piece)
        if limit is not None and limit < len(rest):
            if before_end is not None:
                await before_end()
            self.writer.transport.abort()


Behaviour = Callable[[Request, Thing, Reply], Awaitable[None]]


@dataclass
class FaultyOrigin:
    """`sent` counts body bytes by path, `asked` requests; `seen` keeps every request. Behaviours replace the honest answer."""

    url: str = ""
    things: dict[str, Thing] = field(default_factory=dict)
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    seen: list[Request] = field(default_factory=list)
    open: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def host(self) -> str:
        return self.url.split("://")[1]

    def put(self, path: str, data: bytes, behaviour: Behaviour | None = None, etag: str | None = "strong") -> str:
        """Serve `data` at `/path`; its URL. `etag`: "strong" makes one from the content, None sends none."""
        path = "/" + path.lstrip("/")
        self.things[path] = Thing.of(data) if etag == "strong" else Thing(data, etag)
        if behaviour:
            self.behaviours[path] = behaviour
        return f"{self.url}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self._writers.add(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass  # the machine, or the test, has gone
        finally:
            self.open -= 1
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1].split("?")[0]
        self.asked[path] += 1
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        # ETags are case-sensitive.
        headers |= {line.split(": ", 1)[0].lower(): line.split(": ", 1)[1] for line in head[1:] if ": " in line}
        request = Request(path, self.asked[path], headers, *head[0].split(" ")[:2])
        self.seen.append(request)
        reply = Reply(self, path, writer)
        thing = self.things.get(path)
        if thing is None:
            await reply.head(404, {"Content-Length": "0"})
            return True
        behaviour = self.behaviours.get(path)
        if behaviour is None:
            await reply.honest(request, thing)
            return True
        await behaviour(request, thing, reply)
        return False


@asynccontextmanager
async def faulty_origin(tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[FaultyOrigin]:
    origin = FaultyOrigin()
    server = await asyncio.start_server(origin._serve, host, 0, ssl=tls, limit=1 << 20)
    port = server.sockets[0].getsockname()[1]
    origin.url = f"{'https' if tls else 'http'}://{'localhost' if tls else host}:{port}"
    try:
        yield origin
    finally:
        server.close()
        for writer in tuple(origin._writers):
            writer.transport.abort()
        while origin.open:
            await asyncio.sleep(0.01)


def scripted(*steps: Behaviour | None) -> Behaviour:
    """The nth request of a path gets the nth behaviour; None and everything after the last are honest."""

    async def behave(request: Request, thing: Thing, reply: Reply) -> None:
        step = steps[request.n - 1] if request.n <= len(steps) else None
        if step is None:
            await reply.honest(request, thing)
        else:
            await step(request, thing, reply)

    return behave


def cut_after(size: int) -> Behaviour:
    """Reset after `size` bytes of body."""

    async def behave(request: Request, thing: Thing, reply: Reply) -> None:
        await reply.honest(request, thing, limit=size)

    return behave


def paced(pause: float) -> Behaviour:
    """64 KiB each `pause` seconds."""

    async def behave(request: Request, thing: Thing, reply: Reply) -> None:
        await reply.honest(request, thing, pause=pause)

    return behave


def held_at(size: int, release: asyncio.Event) -> Behaviour:
    """Wait for `release` before the byte at offset `size`."""

    async def behave(request: Request, thing: Thing, reply: Reply) -> None:
        await reply.honest(request, thing, hold=(size, release))

    return behave
