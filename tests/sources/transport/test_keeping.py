from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import ThreadedResolver
from aiohttp import web as server
from yarl import URL

from model_manager.sources.transport.dialling import Dialer
from model_manager.sources.transport.guard import Guard, GuardedResolver
from model_manager.sources.transport.keeping import MOST_IDLE, Lines
from model_manager.sources.transport.line import Line
from model_manager.sources.transport.translating import Unanswered
from model_manager.sources.transport.web import tls
from tests.sources.serving import served

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def keeping() -> AsyncIterator[Lines]:
    lines = Lines(Dialer(GuardedResolver(Guard(["127.0.0.1"]), ThreadedResolver()), tls(None)))
    try:
        yield lines
    finally:
        lines.close()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[tuple[URL, list[int]]]:
    """A server that gives each connection to `serve`, with its number from 0; and the numbers so far."""
    numbers: list[int] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        numbers.append(len(numbers))
        try:
            await serve(reader, writer, numbers[-1])
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    made = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield URL(f"http://127.0.0.1:{made.sockets[0].getsockname()[1]}/x"), numbers
    finally:
        made.close()


async def asked(lines: Lines, url: URL) -> bytes:
    line = await lines.ask(url, {}, 20)
    try:
        return b"".join([piece async for piece in line.pieces(20)])
    finally:
        lines.leave(url, line)


async def test_one_connection_carries_many_questions():
    async def serve(reader, writer, _number):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(OK)
            await writer.drain()

    async with keeping() as lines, serving(serve) as (url, numbers):
        for _ in range(5):
            assert await asked(lines, url) == b"ok"
    assert len(numbers) == 1


async def test_another_port_or_scheme_is_another_connection():
    async def handler(request):
        return server.Response(text=str(request.transport.get_extra_info("peername")[1]))

    async with keeping() as lines, served(handler) as one, served(handler) as two:
        ports = {await asked(lines, URL(f"http://{host}/x")) for host in (one, two, one, two)}
    assert len(ports) == 2


async def test_a_connection_that_died_while_it_waited_is_replaced():
    async def serve(reader, writer, _number):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()

    async with keeping() as lines, serving(serve) as (url, numbers):
        for _ in range(3):
            assert await asked(lines, url) == b"ok"
    assert len(numbers) == 3


async def test_a_kept_connection_that_closes_at_the_question_is_replaced_once_and_silently():
    async def serve(reader, writer, number):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()
        if number == 0:
            await reader.readuntil(b"\r\n\r\n")

    async with keeping() as lines, serving(serve) as (url, numbers):
        assert await asked(lines, url) == b"ok"
        assert await asked(lines, url) == b"ok"
    assert len(numbers) == 2


async def test_a_new_connection_that_closes_at_the_question_is_a_failure():
    async def serve(reader, _writer, _number):
        await reader.readuntil(b"\r\n\r\n")

    async with keeping() as lines, serving(serve) as (url, numbers):
        with pytest.raises(Unanswered):
            await asked(lines, url)
    assert len(numbers) == 1


async def test_a_kept_connection_that_dies_within_its_answer_is_a_failure():
    async def serve(reader, writer, _number):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK[:10])
        await writer.drain()

    async with keeping() as lines, serving(serve) as (url, numbers):
        assert await asked(lines, url) == b"ok"
        with pytest.raises(Unanswered):
            await asked(lines, url)
    assert len(numbers) == 1


async def test_bytes_that_nobody_asked_for_end_a_kept_connection():
    spoken = asyncio.Event()

    async def serve(reader, writer, _number):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()
        await spoken.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await writer.drain()
        await reader.read()

    async with keeping() as lines, serving(serve) as (url, numbers):
        assert await asked(lines, url) == b"ok"
        kept = lines._idle[0][2]
        spoken.set()
        while not kept.wire.receive(memoryview(bytearray(1))):
            await asyncio.sleep(0.01)
        assert await asked(lines, url) == b"ok"
    assert len(numbers) == 2


async def test_only_so_many_connections_wait():
    async def serve(reader, writer, _number):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(OK)
            await writer.drain()

    async with keeping() as lines, serving(serve) as (url, _):
        open_now: list[Line] = [await lines.ask(url, {}, 20) for _ in range(MOST_IDLE + 3)]
        for line in open_now:
            lines.leave(url, line)
        assert len(lines._idle) == MOST_IDLE
        assert sum(line.wire.fileno() >= 0 for line in open_now) == MOST_IDLE
    assert all(line.wire.fileno() < 0 for line in open_now)


async def test_a_connection_that_waits_too_long_is_closed(monkeypatch):
    async def serve(reader, writer, _number):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(OK)
            await writer.drain()

    monkeypatch.setattr("model_manager.sources.transport.keeping.IDLE", 0.05)
    async with keeping() as lines, serving(serve) as (url, _):
        line = await lines.ask(url, {}, 20)
        lines.leave(url, line)
        while line.wire.fileno() >= 0:
            await asyncio.sleep(0.01)
        assert not lines._idle
