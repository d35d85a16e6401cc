from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web as server
from pydantic import SecretStr
from yarl import URL

from model_manager.errors import BadUrl, OriginUnavailable
from model_manager.sources.credentials import Credentials
from model_manager.sources.transport.dialling import Dialer
from model_manager.sources.transport.guard import Guard, GuardedResolver
from model_manager.sources.transport.translating import ConnectingLate, HandshakeFailed, Unconnected
from model_manager.sources.transport.web import Timeouts, tls, web
from tests.sources.bowl import Bowl
from tests.sources.serving import SOON, Shelf, served
from tests.sources.transport.test_guard import Answering

CANARY = "hf_CANARY123"
DATA = bytes(range(256)) * 4000


@dataclass
class Proxy:
    """Connects whoever asks, to one place whatever they ask for, and notes what it saw."""

    to: str
    refuse: bytes = b""
    seen: list[bytes] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.seen.append(await reader.readuntil(b"\r\n\r\n"))
            if self.refuse:
                writer.write(self.refuse)
                await writer.drain()
                return
            host, _, port = self.to.rpartition(":")
            there, back = await asyncio.open_connection(host, int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            async with asyncio.TaskGroup() as group:
                group.create_task(_pipe(reader, back))
                group.create_task(_pipe(there, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.close()


@asynccontextmanager
async def listening(proxy: Proxy, context=None) -> AsyncIterator[str]:
    made = await asyncio.start_server(proxy, "127.0.0.1", 0, ssl=context)
    try:
        yield f"127.0.0.1:{made.sockets[0].getsockname()[1]}"
    finally:
        made.close()


@pytest.mark.parametrize("secure", [False, True])
async def test_a_secure_target_is_reached_through_the_proxy_which_sees_no_token(authority, secure):
    """Also when the proxy itself is spoken to over TLS."""
    shelf = Shelf(DATA)
    own = authority.server("127.0.0.1") if secure else None
    credentials = Credentials(
        tokens={"HF_TOKEN": SecretStr(CANARY)}, hosts={"HF_TOKEN": frozenset({"models.example.com"})}
    )
    async with (
        served(shelf.__call__, authority.server("models.example.com")) as host,
        listening(proxy := Proxy(host), own) as door,
        web(
            credentials,
            ca_file=authority.ca_file,
            proxy=f"http{'s' if secure else ''}://{door}",
            timeouts=SOON,
        ) as client,
    ):
        for _ in range(2):
            bowl = Bowl()
            async with client.get("m", "https://models.example.com/x?sig=1", {}) as answer:
                await answer.pour(bowl)
            assert bowl.data == DATA
        assert not client.direct
    assert proxy.seen == [
        b"CONNECT models.example.com:443 HTTP/1.1\r\nHost: models.example.com:443\r\nUser-Agent: model_manager\r\n\r\n"
    ]
    assert shelf.seen[0]["Authorization"] == f"Bearer {CANARY}"


@pytest.mark.parametrize(
    ("refuse", "why"),
    [(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", "the proxy answered 407"), (b"nonsense\r\n\r\n", "not proper HTTP")],
)  # fmt: skip
async def test_a_proxy_that_refuses_is_named_as_the_reason(refuse, why):
    async with (
        listening(Proxy("", refuse)) as door,
        web(Credentials(), proxy=f"http://{door}", timeouts=SOON) as client,
    ):
        with pytest.raises(OriginUnavailable, match=why):
            async with client.get("m", "https://models.example.com/x", {}):
                pass


async def test_the_target_behind_a_proxy_must_show_its_own_certificate(authority):
    async with (
        served(Shelf(DATA).__call__, authority.server("other.example.com")) as host,
        listening(Proxy(host)) as door,
        web(Credentials(), ca_file=authority.ca_file, proxy=f"http://{door}", timeouts=SOON) as client,
    ):
        with pytest.raises(OriginUnavailable, match="its certificate is for another host"):
            async with client.get("m", "https://models.example.com/x", {}):
                pass


def dialer(*answers: list[str], allow: tuple[str, ...] = (), patience: float = 15, ca_file=None) -> Dialer:
    return Dialer(GuardedResolver(Guard(allow), Answering(*answers)), tls(ca_file), patience=patience)


async def test_an_address_that_does_not_answer_gives_way_to_the_next():
    async with served(Shelf(DATA).__call__) as host:
        port = int(host.rpartition(":")[2])
        made = dialer(["127.0.0.2", "127.0.0.1"], allow=("mirror.lan",))
        wire = await made.dial(URL(f"http://mirror.lan:{port}/x"))
        with socket.socket(fileno=os.dup(wire.fileno())) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)
        wire.close()


async def test_a_name_is_resolved_once_for_connections_that_begin_together():
    async with served(Shelf(DATA).__call__) as host:
        made = dialer(["127.0.0.1"], allow=("mirror.lan",))
        for _ in range(3):
            (await made.dial(URL(f"http://mirror.lan:{host.rpartition(':')[2]}/x"))).close()


async def test_k4_a_forbidden_answer_is_not_remembered_as_anything(unused_tcp_port):
    made = dialer(["10.0.0.1"], ["10.0.0.1"])
    for _ in range(2):
        with pytest.raises(BadUrl):
            await made.dial(URL(f"http://models.example.com:{unused_tcp_port}/"))


async def test_a_connection_that_does_not_come_about_is_late():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first:
        first.connect(full.getsockname())  # the queue of connections that nobody accepts is full now
        with socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(full.getsockname())
            with pytest.raises(ConnectingLate):
                await dialer(patience=0.2).dial(URL(f"http://127.0.0.1:{full.getsockname()[1]}/"))


async def test_a_handshake_that_stands_still_is_late():
    async def silent(_writer):
        await asyncio.sleep(30)

    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(ConnectingLate):
        await dialer(patience=0.1).dial(URL(f"https://127.0.0.1:{listener.getsockname()[1]}/"))


async def test_a_server_that_speaks_no_tls_fails_the_handshake():
    async def plain(reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    made = await asyncio.start_server(plain, "127.0.0.1", 0)
    with pytest.raises(HandshakeFailed):
        await dialer().dial(URL(f"https://127.0.0.1:{made.sockets[0].getsockname()[1]}/"))
    made.close()


async def test_a_server_that_closes_in_the_handshake_is_not_connected():
    async def gone(reader, writer):
        writer.transport.abort()

    made = await asyncio.start_server(gone, "127.0.0.1", 0)
    with pytest.raises((HandshakeFailed, Unconnected)):
        await dialer().dial(URL(f"https://127.0.0.1:{made.sockets[0].getsockname()[1]}/"))
    made.close()


async def test_a6_a_name_that_does_not_resolve_is_a_reason_of_its_own():
    class Nowhere(Answering):
        async def resolve(self, host, port=0, family=socket.AF_INET):
            raise socket.gaierror(socket.EAI_NONAME, "x")

    async with web(Credentials(), timeouts=SOON, resolver=Nowhere()) as client:
        with pytest.raises(OriginUnavailable, match="its name does not resolve"):
            async with client.get("m", "http://models.example.com/x", {}):
                pass


async def test_a6_a_name_that_takes_too_long_is_late():
    class Slow(Answering):
        async def resolve(self, host, port=0, family=socket.AF_INET):
            await asyncio.sleep(30)

    slow = Timeouts(connect=5, silence=5, answer=0.1)
    async with web(Credentials(), timeouts=slow, resolver=Slow()) as client:
        with pytest.raises(OriginUnavailable, match="did not answer in time"):
            async with client.get("m", "http://models.example.com/x", {}):
                pass


async def test_a_name_outside_ascii_is_asked_for_as_dns_spells_it():
    async def handler(request):
        return server.Response(text=request.headers["Host"])

    allow = ["xn--bcher-kva.lan"]
    async with served(handler) as host, web(Credentials(), allow=allow, resolver=Answering(["127.0.0.1"])) as client:
        port = host.rpartition(":")[2]
        async with client.get("m", f"http://bücher.lan:{port}/x", {}) as answer:
            said = b"".join([chunk async for chunk in answer.chunks()])
    assert said == f"xn--bcher-kva.lan:{port}".encode()
