"""The catalog program: one database, one address. Every edge is built here."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from loguru import logger

from model_manager.catalog.beside import Beside, Where, alone, answer
from model_manager.catalog.incoming.bulk import load
from model_manager.catalog.incoming.loading import as_written
from model_manager.catalog.server import Rules, Server
from model_manager.catalog.storage.database import Database
from model_manager.catalog.storage.sqlite import SqliteDatabase
from model_manager.catalog.storage.store import Store
from model_manager.catalog.storage.writing import KEPT
from model_manager.errors import CatalogUnavailable
from model_manager.facts import wire
from model_manager.serving.listening import Answering, answered, listening, until_signalled
from model_manager.tracing.requests import traced
from model_manager.tracing.spans import Tracer

SETTING: Final = "MODEL_MANAGER_CATALOG_PORT"

AT_ONCE: Final = 4
"""Questions of a kind that warm up together: as many as a database has connections for them."""

WARM_SECONDS: Final = 5.0
"""How long warming up may take; who starts into an outage of the database does not wait for it."""


def database_at(address: Path | str) -> Database:
    """A database, not yet opened: a file is SQLite, postgresql:// is PostgreSQL. Raises BadSetting."""
    if isinstance(address, Path):
        return SqliteDatabase(address)
    from model_manager.catalog.storage.postgres import PostgresDatabase  # only who asks PostgreSQL pays for its driver

    return PostgresDatabase(address)


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
    tracer: Tracer | None = None,
) -> AsyncIterator[str]:
    """Serve a catalog for the length of the block; the value is its base URL.

    `records` (as `loading.as_written` takes them) replace what is in it first. `port` 0 takes any free one. Raises BadSetting
    when there is no catalog or the address cannot be bound, BadRecord for bad records, CatalogUnavailable while it is locked.
    """
    async with opened(database, kept=kept) as store:
        if records is not None:
            await load(store, as_written(records), "start", replace_all=True)
        async with (
            _at_work(store, rules or Rules(tokens=tokens), tracer) as application,
            listening(application, host, port, SETTING) as url,
        ):
            yield url


async def run(
    database: Path | str,
    host: str,
    port: int,
    *,
    rules: Rules,
    kept: int = KEPT,
    beside: Beside = alone,
    started: Callable[[str], None] = lambda url: None,
    tracer: Tracer | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; `started` is told the base URL. Raises what `serve` raises."""
    gc.freeze()  # what was imported stays
    with until_signalled() as stop:
        async with (
            opened(database, kept=kept) as store,
            _at_work(store, rules, tracer) as application,
            answered(application) as own,
        ):
            await _warmed(own)
            gc.collect()
            gc.freeze()  # so does what is there now: no search for cycles goes through it while somebody waits
            async with _reading_ahead(store.database), beside(own, Where(host, port, SETTING), stop) as url:
                started(url)
                await stop.wait()


@asynccontextmanager
async def _reading_ahead(database: Database) -> AsyncIterator[None]:
    """Whatever goes wrong, answers come all the same."""

    async def ahead() -> None:
        try:
            await database.warm()
        except CatalogUnavailable as error:
            logger.bind(reason=str(error)).warning("the catalog's file could not be read ahead")

    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        work = group.create_task(ahead())
        try:
            yield
        except Exception as error:
            failure = error  # of who uses the block: it is not one of a group's
        finally:
            work.cancel()
    if failure is not None:
        raise failure


@asynccontextmanager
async def _at_work(store: Store, rules: Rules, tracer: Tracer | None = None) -> AsyncIterator[web.Application]:
    server = Server(store, rules)
    async with server.at_work():
        yield traced(server.application(), tracer)


async def _warmed(own: Answering) -> None:
    """What machines ask is asked once over each connection to the database: connections are made, statements compiled and pages read
    before the first of them waits for it."""
    asked = {"/workflows/dependencies": {"workflow_names": ["-"]}, "/models/batch": {"model_ids": ["-"]}}
    for path, body in asked.items():
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(_tried(own, path, wire.dumps(body)))


async def _tried(own: Answering, path: str, body: bytes) -> None:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(WARM_SECONDS):
            await _asked_of(own, path, body)


async def _asked_of(own: Answering, path: str, body: bytes) -> None:
    """One question, past the network."""
    ours, theirs = socket.socketpair()
    await answer(own, theirs)
    reader, writer = await asyncio.open_connection(sock=ours)
    with closing(writer):
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
        writer.write(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await reader.read()
