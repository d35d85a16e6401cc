"""Where a server listens, and until when it runs."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from aiohttp import web

from model_manager.errors import BadSetting

LINGER_SECONDS: Final = 1.0
"""How long the rest of a refused body is read, so that its sender gets to see the refusal."""


IDLE_SECONDS: Final = 75.0
"""How long a connection may stay without a whole request: who sends one letter at a time takes no place for long. As long as
the usual proxies keep theirs."""


@asynccontextmanager
async def listening(
    application: web.Application, host: str, port: int, setting: str, *, shared: bool = False
) -> AsyncIterator[str]:
    """Serve for the length of the block; the value is the base URL. `port` 0 takes any free one; a `shared` one may be listened
    on by other processes of ours, and the kernel deals out the connections.

    Raises BadSetting, naming `setting`, when the address cannot be listened on.
    """
    runner = web.AppRunner(
        application,
        access_log=None,
        shutdown_timeout=1.0,
        lingering_time=LINGER_SECONDS,
        keepalive_timeout=IDLE_SECONDS,
    )
    await runner.setup()
    try:
        yield await _bound(runner, host, port, setting, shared)
    finally:
        await runner.cleanup()


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


async def _bound(runner: web.AppRunner, host: str, port: int, setting: str, shared: bool) -> str:
    """The base URL once it listens."""
    try:
        await web.TCPSite(runner, host, port, reuse_port=shared or None).start()
    except OSError as error:
        raise BadSetting(
            name=setting,
            why=f"{host}:{port} cannot be listened on ({error.strerror or error})",
            fix="Choose a free port, or 0 for any.",
        ) from error
    address = runner.addresses[0]
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"http://{shown}:{address[1]}"
