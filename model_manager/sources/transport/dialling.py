"""Connections: only to addresses that were checked, through the proxy where there is one, with TLS where it is asked for."""

from __future__ import annotations

import asyncio
import socket
import ssl
from ipaddress import ip_address
from typing import Final

from aiohappyeyeballs import AddrInfoType, start_connection
from aiohttp.abc import AbstractResolver
from yarl import URL

from model_manager.sources.transport.guard import authority
from model_manager.sources.transport.line import Line, readable, sent
from model_manager.sources.transport.translating import (
    ConnectingLate,
    HandshakeFailed,
    ProxyAnswered,
    ProxyUnconnected,
    Unconnected,
)
from model_manager.sources.transport.wire import Carrier, PlainWire, Scratch, TlsWire

REMEMBERED: Final = 10.0
"""Seconds that the addresses of a name are not asked for again: many connections to one host begin together."""

_NEXT_FAMILY: Final = 0.25
"""Seconds until the next address is tried beside the first (RFC 8305, 5)."""


class Dialer:
    """`resolver` answers with checked addresses only. `patience`: seconds for a connection, and again for its handshake."""

    def __init__(
        self, resolver: AbstractResolver, context: ssl.SSLContext, *, proxy: str | None = None, patience: float = 20
    ) -> None:
        self._resolver = resolver
        self._context = context
        self._proxy = URL(proxy) if proxy else None
        self._patience = patience
        self._known: dict[tuple[str, int], tuple[float, list[AddrInfoType]]] = {}
        self._scratch, self._proxys_scratch = Scratch(), Scratch()

    @property
    def direct(self) -> bool:
        """Whether no proxy is in between."""
        return self._proxy is None

    def target(self, url: URL) -> str:
        """What stands in the request line (RFC 9112, 3.2): a proxy for http wants the whole address."""
        return str(url) if self._proxy and url.scheme == "http" else url.raw_path_qs

    async def dial(self, url: URL) -> Carrier:
        """A connection to whoever the address names, to be closed by the caller.

        Raises BadUrl for a forbidden address behind the name, and what `translating` knows.
        """
        wire = await (self._through(self._proxy, url) if self._proxy else self._connected(url))
        return await self._secured(wire, url, self._scratch) if url.scheme == "https" else wire

    async def _through(self, proxy: URL, url: URL) -> Carrier:
        try:
            wire = await self._connected(proxy)
        except (Unconnected, socket.gaierror) as error:
            raise ProxyUnconnected(error.errno, None) from None
        if proxy.scheme == "https":
            wire = await self._secured(wire, proxy, self._proxys_scratch)
        return await _tunnel(wire, url) if url.scheme == "https" else wire

    async def _connected(self, url: URL) -> Carrier:
        addresses = await self._addresses(_host(url), url.port or 0)
        try:
            async with asyncio.timeout(self._patience):
                sock = await start_connection(addresses, happy_eyeballs_delay=_NEXT_FAMILY)
        except TimeoutError as error:
            raise (Unconnected(error.errno, None) if error.errno else ConnectingLate()) from None
        except OSError as error:
            raise Unconnected(error.errno, None) from None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return PlainWire(sock)

    async def _addresses(self, host: str, port: int) -> list[AddrInfoType]:
        """Literal addresses were judged when the address was; the judge of names never sees them."""
        try:
            return [_info(str(ip_address(host)), port)]
        except ValueError:
            pass
        now = asyncio.get_running_loop().time()
        self._known = {key: entry for key, entry in self._known.items() if entry[0] > now}
        if (host, port) not in self._known:
            answers = await self._resolver.resolve(host, port, socket.AF_UNSPEC)
            self._known[host, port] = (now + REMEMBERED, [_info(answer["host"], port) for answer in answers])
        return self._known[host, port][1]

    async def _secured(self, inner: Carrier, url: URL, scratch: Scratch) -> Carrier:
        try:
            wire = TlsWire(inner, self._context, _host(url).rstrip("."), scratch)
            async with asyncio.timeout(self._patience):
                while not wire.shake():
                    await (sent(wire) if wire.unsent else readable(wire.fileno()))
        except BaseException as error:
            inner.close()
            raise _unsecured(error) from None
        return wire


def _unsecured(error: BaseException) -> BaseException:
    match error:
        case ssl.SSLCertVerificationError():
            return error
        case ssl.SSLError():
            return HandshakeFailed()
        case TimeoutError() if error.errno is None:
            return ConnectingLate()
        case OSError():
            return Unconnected(error.errno, None)
    return error


async def _tunnel(wire: Carrier, url: URL) -> Carrier:
    """The same connection, at whose other end the target is now. Nothing of ours but its name goes to the proxy."""
    where = authority(_host(url), url.port)
    line = Line(wire)
    try:
        await line.ask("CONNECT", where, [("Host", where), ("User-Agent", "model_manager")])
        if not 200 <= line.status < 300:
            raise ProxyAnswered(line.status)
    except BaseException:
        wire.close()
        raise
    return wire


def _host(url: URL) -> str:
    return url.raw_host or ""


def _info(address: str, port: int) -> AddrInfoType:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)
