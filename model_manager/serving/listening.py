"""Where a server listens, and until when it runs."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from aiohttp import web

from model_manager.errors import BadSetting

LINGER_SECONDS: Final = 1.0
"""How long the rest of a refused body is read, so that its sender gets to see the refusal."""


IDLE_SECONDS: Final = 75.0
"""How long a connection may stay without a whole request: who sends one letter at a time takes no place for long. As long as
the usual proxies keep theirs."""

BACKLOG: Final = 128
"""Connections that wait to be taken in."""

Answering = Callable[[], asyncio.BaseProtocol]
"""What answers a connection, made anew for each."""


@asynccontextmanager
async def listening(application: web.Application, host: str, port: int, setting: str) -> AsyncIterator[str]:
    """Serve for the length of the block; the value is the base URL. `port` 0 takes any free one.

    Raises BadSetting, naming `setting`, when the address cannot be listened on.
    """
    async with _ready(application) as runner:
        with _taken(host, port, setting):
            await web.TCPSite(runner, host, port).start()
        yield _url(runner.addresses[0])


@asynccontextmanager
async def answered(application: web.Application) -> AsyncIterator[Answering]:
    """What answers connections that others took in, for the length of the block."""
    async with _ready(application) as runner:
        if runner.server is None:
            raise RuntimeError("a runner that is set up has a server")
        yield runner.server


@asynccontextmanager
async def doors(host: str, port: int, setting: str) -> AsyncIterator[tuple[str, Sequence[socket.socket]]]:
    """The base URL, and sockets that connections come to. Nobody takes them in yet. Raises as `listening`."""
    with _taken(host, port, setting):
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, host, port, start_serving=False)
    sockets = [each.dup() for each in server.sockets]
    server.close()
    try:
        with _taken(host, port, setting):
            for each in sockets:
                each.listen(BACKLOG)
        yield _url(sockets[0].getsockname()), sockets
    finally:
        for each in sockets:
            each.close()


@contextmanager
def until_signalled() -> Iterator[asyncio.Event]:
    """Set at SIGINT and SIGTERM."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


@asynccontextmanager
async def _ready(application: web.Application) -> AsyncIterator[web.AppRunner]:
    runner = web.AppRunner(
        application,
        access_log=None,
        shutdown_timeout=1.0,
        lingering_time=LINGER_SECONDS,
        keepalive_timeout=IDLE_SECONDS,
    )
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


@contextmanager
def _taken(host: str, port: int, setting: str) -> Iterator[None]:
    """Raises BadSetting for an address that cannot be listened on."""
    try:
        yield
    except OSError as error:
        raise BadSetting(
            name=setting,
            why=f"{host}:{port} cannot be listened on ({error.strerror or error})",
            fix="Choose a free port, or 0 for any.",
        ) from error


def _url(address: Sequence[object]) -> str:
    shown = f"[{address[0]}]" if ":" in str(address[0]) else address[0]
    return f"http://{shown}:{address[1]}"
