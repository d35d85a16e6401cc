"""Servers on loopback that behave, and servers that do not."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trustme
from aiohttp import web

from model_manager.sources.credentials import Credentials
from model_manager.sources.transport.web import Timeouts, Web
from model_manager.sources.transport.web import web as client

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SOON = Timeouts(connect=15, silence=15, answer=15)


@asynccontextmanager
async def served(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """`127.0.0.1:port` of a server that gives every request to `handler`."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that reads a request's headers and then writes whatever `answer` writes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@asynccontextmanager
async def reaching(
    *hosts: str, credentials: Credentials | None = None, ca_file: str | None = None, timeouts: Timeouts = SOON
) -> AsyncIterator[Web]:
    """A client that may reach these loopback hosts."""
    async with client(credentials or Credentials(), allow=hosts, ca_file=ca_file, timeouts=timeouts) as made:
        yield made


@dataclass
class Shelf:
    """One object behind any path, with Range and If-Range done right (RFC 9110, 13.1.5 and 14.2)."""

    data: bytes
    etag: str | None = '"one"'
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[Mapping[str, str]] = field(default_factory=list)
    ranges: bool = True

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(dict(request.headers))
        headers = {
            "Content-Type": "application/octet-stream",
            **({"ETag": self.etag} if self.etag else {}),
            **self.headers,
        }
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if not asked or not self.ranges or request.headers.get("If-Range", self.etag) != self.etag:
            return web.Response(body=self.data, headers=headers)
        first, last = int(asked[1]), min(int(asked[2] or len(self.data)), len(self.data) - 1)
        if first >= len(self.data):
            return web.Response(status=416, headers={**headers, "Content-Range": f"bytes */{len(self.data)}"})
        headers["Content-Range"] = f"bytes {first}-{last}/{len(self.data)}"
        return web.Response(status=206, body=self.data[first : last + 1], headers=headers)


@dataclass(frozen=True)
class Authority:
    """A certificate authority of a test, and server contexts that it vouches for."""

    ca: trustme.CA
    ca_file: str

    def server(self, *names: str) -> ssl.SSLContext:
        return self._context(self.ca.issue_cert(*names))

    def _context(self, cert: trustme.LeafCert) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert.configure_cert(context)
        return context

    def expired(self, name: str) -> ssl.SSLContext:
        from datetime import UTC, datetime

        return self._context(
            self.ca.issue_cert(
                name, not_before=datetime(2020, 1, 1, tzinfo=UTC), not_after=datetime(2021, 1, 1, tzinfo=UTC)
            )
        )
