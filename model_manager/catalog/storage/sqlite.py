"""The catalog in one SQLite file: many readers (WAL), one writer."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import BindParameter, Column, ColumnElement, bindparam, event, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from model_manager.catalog import migrating
from model_manager.catalog.records import Kind
from model_manager.catalog.storage.database import begun
from model_manager.catalog.storage.looking import By, Joined, Looker, Question
from model_manager.catalog.storage.sqlite_looking import SqliteLooking
from model_manager.catalog.storage.sqlite_warming import Warming
from model_manager.errors import BadRecord, BadSetting, Broken, CatalogUnavailable, ModelManagerError
from model_manager.facts import wire

APPLICATION_ID: Final = 0x6D6D6361
"""`mmca` in the file's header (PRAGMA application_id): a database of somebody else is never written to."""

BUSY_SECONDS: Final = 5.0
READERS: Final = 4
"""Connections that read at once."""

CACHE: Final = 16 * 1024
WRITER_CACHE: Final = 128 * 1024
"""KiB of pages that a connection keeps. Hashes go all over their index: an import of a million needs that much of it at hand."""

CHECKPOINT: Final = 8000
"""Pages (32 MiB) of the log after which they go into the file: a page that changes often goes there once."""


class SqliteDatabase:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = _engine(path, "BEGIN", READERS, CACHE)
        self._writer = _engine(path, "BEGIN IMMEDIATE", 1, WRITER_CACHE)
        self._warming = Warming(path)
        self._looking = SqliteLooking(path, self.among, lambda: not self._warming.going)

    @property
    def name(self) -> str:
        return str(self._path)

    async def open(self) -> None:
        with self.translated():
            _look(self._path)
        async with self.writing() as connection:
            await connection.run_sync(self._adopt)
            known = await connection.run_sync(migrating.revision)
        if known != migrating.head():
            await self.migrate()

    async def close(self) -> None:
        self._looking.close()
        await self._reader.dispose()
        await self._writer.dispose()

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return begun(self, self._reader)

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[Looker]:
        with self.translated():
            async with self._looking.moment() as looker:
                yield looker

    async def rows(self, question: Question, values: Collection[str]) -> Sequence[Sequence[Any]]:
        with self.translated():
            return await self._looking.rows(question, values)

    async def joined(self, kind: Kind, by: By, values: Collection[str]) -> Joined:
        with self.translated():
            return await self._looking.joined(kind, by, values)

    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return begun(self, self._writer)

    def among(self, column: Column[Any], values: Collection[str]) -> ColumnElement[bool]:
        listed: BindParameter[str] = bindparam(None, wire.dumps(list(values)).decode())
        return column.in_(select(func.json_each(listed).table_valued("value").c.value))

    def listed(self, column: ColumnElement[Any]) -> ColumnElement[str]:
        return func.json_group_array(column)

    @property
    def warming(self) -> bool:
        return self._warming.going

    async def warm(self) -> None:
        try:
            await self._warming.run()
        except OSError as error:
            why = f"its file cannot be read ({error.strerror or error})"
            raise CatalogUnavailable(host=self.name, why=why, retry_after=60.0) from error

    async def migrate(self, target: str = "head") -> str:
        """A copy of the file is put beside it first."""
        if not self._path.is_file():
            raise _unusable(self._path, "there is no such file")
        async with self.reading() as connection:
            known = await connection.run_sync(migrating.revision)
        saved = self._path.with_name(f"{self._path.name}.before-{known}-{migrating.stamp()}")
        with self.translated():
            async with self._reader.connect() as connection:
                options = await connection.execution_options(isolation_level="AUTOCOMMIT")
                await options.exec_driver_sql("VACUUM INTO ?", (str(saved),))
        async with self.writing() as connection:
            await connection.run_sync(migrating.migrate, target, self.name)
        return f"'{saved}' holds the catalog as it was"

    def _adopt(self, connection: Any) -> None:
        """Make the tables in an empty file; refuse a file that is not ours."""
        application = connection.exec_driver_sql("PRAGMA application_id").scalar()
        tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master WHERE type = 'table'").scalar()
        if application == 0 and tables == 0:
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
            migrating.create(connection)
        elif application != APPLICATION_ID:
            raise _unusable(self._path, "it is no catalog")
        else:
            migrating.adopt(connection, self.name)

    @contextmanager
    def translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, SQLAlchemyError) as error:
            raise translation(error, self._path) from error


def _engine(path: Path, begin: str, size: int, cache: int) -> AsyncEngine:
    """An engine whose transactions are begun by us: sqlite3 itself begins them late, and never for reading."""
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}", pool_size=size, max_overflow=0, connect_args={"timeout": BUSY_SECONDS}
    )

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        try:
            _set(connection, cache)
        except BaseException:
            connection.close()  # its thread would outlive the loop
            raise

    @event.listens_for(engine.sync_engine, "begin")
    def begun_(connection: Any) -> None:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql(begin)

    return engine


def _look(path: Path) -> None:
    """Whether it can be opened and read at all: said here, a refusal leaves no thread behind."""
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA schema_version")


def _set(connection: Any, cache: int) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    kept = f"cache_size = -{cache}", f"wal_autocheckpoint = {CHECKPOINT}"
    for pragma in ("foreign_keys = ON", "journal_mode = WAL", "synchronous = NORMAL", *kept):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def translation(error: Exception, path: Path) -> ModelManagerError:
    """Waiting helps against a lock; a new file against one that is no database; nothing against our own SQL."""
    cause = getattr(error, "orig", None) or error
    cause = getattr(cause, "__cause__", None) if not isinstance(cause, sqlite3.Error) else cause
    code = (getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return CatalogUnavailable(host=str(path), why="another program holds it locked", retry_after=1.0)
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return CatalogUnavailable(host=str(path), why=f"its disk is full or failing ({cause})", retry_after=60.0)
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        return _unusable(path, str(cause))
    if isinstance(cause, sqlite3.IntegrityError):
        return BadRecord(name="the catalog", why=f"two records contradict each other ({cause})")
    return Broken(what=f"The catalog {path} failed: {type(error).__name__}: {cause or error}.")


def _unusable(path: Path, why: str) -> BadSetting:
    return BadSetting(
        name="catalog database",
        why=f"'{path}' cannot be used: {why}",
        fix="Name another file, or remove this one: a new, empty catalog is then made in its place.",
    )
