"""The catalog program: one database, one address."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from model_manager.catalog.http import Routes
from model_manager.catalog.loading import load
from model_manager.catalog.store import Store
from model_manager.errors import BadSetting

LINGER_SECONDS: Final = 1.0
"""How long the rest of a refused body is read, so that its sender gets to see the refusal."""


@asynccontextmanager
async def serve(
    database: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    records: Mapping[str, Any] | None = None,
    tokens: Collection[str] = (),
) -> AsyncIterator[str]:
    """Serve the catalog in `database` for the length of the block; the value is its base URL.

    A missing file is made, empty (GET /health then says `empty`). `records` (see `loading`) replace what is in it first.
    `port` 0 takes any free one. Raises BadSetting when the file is no catalog or the address cannot be bound, BadRecord
    for bad records, CatalogUnavailable while the file is locked.
    """
    if records is not None:
        await asyncio.to_thread(load, database, records, replace=True)
    store = Store(database)
    try:
        await store.open()
        runner = web.AppRunner(
            Routes(store, tokens).application(), access_log=None, shutdown_timeout=1.0, lingering_time=LINGER_SECONDS
        )
        await runner.setup()
        try:
            yield await _bound(runner, host, port)
        finally:
            await runner.cleanup()
    finally:
        await store.close()


async def run(
    database: Path,
    host: str,
    port: int,
    *,
    tokens: Collection[str] = (),
    started: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until SIGINT or SIGTERM; `started` is told the base URL. Raises what `serve` raises."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    async with serve(database, host, port, tokens=tokens) as url:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        try:
            started(url)
            await stop.wait()
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


async def _bound(runner: web.AppRunner, host: str, port: int) -> str:
    """The base URL once it listens."""
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise BadSetting(
            name="catalog address",
            why=f"{host}:{port} cannot be listened on ({error.strerror or error})",
            fix="Choose a free port, or 0 for any.",
        ) from error
    address = runner.addresses[0]
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"http://{shown}:{address[1]}"
