"""The catalog program: one database, one address. Every edge is built here."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from model_manager.catalog.beside import Beside, alone
from model_manager.catalog.incoming.bulk import load
from model_manager.catalog.incoming.loading import as_written
from model_manager.catalog.server import Rules, Server
from model_manager.catalog.storage.database import Database
from model_manager.catalog.storage.postgres import PostgresDatabase
from model_manager.catalog.storage.sqlite import SqliteDatabase
from model_manager.catalog.storage.store import Store
from model_manager.catalog.storage.writing import KEPT
from model_manager.serving.listening import listening, until_signalled
from model_manager.tracing.requests import traced
from model_manager.tracing.spans import Tracer

SETTING = "MODEL_MANAGER_CATALOG_PORT"


def database_at(address: Path | str) -> Database:
    """A database, not yet opened: a file is SQLite, postgresql:// is PostgreSQL. Raises BadSetting."""
    return SqliteDatabase(address) if isinstance(address, Path) else PostgresDatabase(address)


@asynccontextmanager
async def opened(address: Path | str, *, kept: int = KEPT) -> AsyncIterator[Store]:
    """A catalog for the length of the block; a missing file is made, empty. Raises BadSetting, CatalogUnavailable.

    `kept`: changes that its feed and its trail go back.
    """
    database = database_at(address)
    try:
        await database.open()
        yield Store(database, kept=kept)
    finally:
        await database.close()


@asynccontextmanager
async def serve(
    database: Path | str,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    records: Mapping[str, Any] | None = None,
    tokens: Collection[str] = (),
    rules: Rules | None = None,
    kept: int = KEPT,
    shared: bool = False,
    tracer: Tracer | None = None,
) -> AsyncIterator[str]:
    """Serve a catalog for the length of the block; the value is its base URL.

    `shared`: other processes serve it at this address too. `records` (as `loading.as_written` takes them) replace what is in it first. `port` 0 takes any free one. Raises BadSetting
    when there is no catalog or the address cannot be bound, BadRecord for bad records, CatalogUnavailable while it is locked.
    """
    async with opened(database, kept=kept) as store:
        if records is not None:
            await load(store, as_written(records), "start", replace_all=True)
        server = Server(store, rules or Rules(tokens=tokens))
        where = listening(traced(server.application(), tracer), host, port, SETTING, shared=shared)
        async with server.at_work(), where as url:
            yield url


async def run(
    database: Path | str,
    host: str,
    port: int,
    *,
    rules: Rules,
    kept: int = KEPT,
    beside: Beside | None = None,
    started: Callable[[str], None] = lambda url: None,
    tracer: Tracer | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; `started` is told the base URL. Raises what `serve` raises."""
    with until_signalled() as stop:
        shared = beside is not None
        async with serve(database, host, port, rules=rules, kept=kept, shared=shared, tracer=tracer) as url:
            await _warmed(url)
            gc.collect()
            gc.freeze()  # what is there now stays: no search for cycles goes through it while somebody waits
            async with (beside or alone)(url, stop):
                started(url)
                await stop.wait()


async def _warmed(url: str) -> None:
    """What machines ask is asked once: statements are compiled and pages read before the first of them waits for it."""
    asked = {"/workflows/dependencies": {"workflow_names": ["-"]}, "/models/batch": {"model_ids": ["-"]}}
    with suppress(aiohttp.ClientError, TimeoutError):
        async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=5)) as session:
            for path, body in asked.items():
                async with session.post(path, json=body) as answer:
                    await answer.read()
