"""What is asked most of the catalog in SQLite, of sqlite3 itself: a short question at once, a long one on a thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import Select, func, literal_column, select
from sqlalchemy.dialects import sqlite

from model_manager.catalog.records import Kind
from model_manager.catalog.storage.looking import Among, By, Joined, Looker, Question, numbered, statement
from model_manager.catalog.storage.writing import TABLES
from model_manager.facts import wire

T = TypeVar("T")

THREADS: Final = 3
"""Long questions that are answered at once."""

SHORT: Final = 128
"""Values that are looked up at once, where a thread would cost as much: some 7 µs each."""

BUSY_SECONDS: Final = 0.05
"""A reader waits for nobody while the file is in WAL mode; but for a moment when another program recovers it."""

CACHE: Final = 8 * 1024
"""KiB of pages that one connection keeps."""

BETWEEN: Final = "\x1e"
"""Stands between two records; no JSON of ours holds it, for control characters are escaped there (RFC 8259, 7)."""


class Sql(NamedTuple):
    """One statement, which takes the values as JSON so many times."""

    text: str
    times: int


class SqliteLooking:
    """Connections that only read, each in one hand at a time."""

    def __init__(self, path: Path, among: Among, at_hand: Callable[[], bool] = lambda: True) -> None:
        """`at_hand`: whether the file lies in memory; else even a short question may wait for the disk, and so goes on a thread."""
        self._path = path
        self._at_hand = at_hand
        self._asking = _Asking(
            cache(lambda question: _compiled(question, among)), cache(lambda kind, by: _joined(kind, by, among))
        )
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="catalog")
        self._doors = asyncio.Semaphore(THREADS)
        self._free: list[sqlite3.Connection] = []
        self._quick: _Looker | None = None

    @asynccontextmanager
    async def moment(self) -> AsyncIterator[Looker]:
        """Every question within is answered of one moment."""
        async with self._one() as connection:
            connection.execute("BEGIN")
            try:
                yield self._looker(connection, SHORT if self._at_hand() else 0)
            finally:
                connection.execute("ROLLBACK")

    async def rows(self, question: Question, values: Collection[str]) -> Sequence[Sequence[Any]]:
        """One question. Raises sqlite3.Error."""
        if quick := self._quickly(values):
            return await quick.rows(question, values)
        async with self._one() as connection:
            return await self._looker(connection, 0).rows(question, values)

    async def joined(self, kind: Kind, by: By, values: Collection[str]) -> Joined:
        if quick := self._quickly(values):
            return await quick.joined(kind, by, values)
        async with self._one() as connection:
            return await self._looker(connection, 0).joined(kind, by, values)

    def _quickly(self, values: Collection[str]) -> _Looker | None:
        """Who answers at once: a short question waits for no long one."""
        if len(values) > SHORT or not self._at_hand():
            return None
        if self._quick is None:
            self._quick = self._looker(self._connected(), SHORT)
        return self._quick

    def _looker(self, connection: sqlite3.Connection, short: int) -> _Looker:
        return _Looker(self._asking, connection, self._aside, short)

    def close(self) -> None:
        self._threads.shutdown()
        for connection in (*self._free, *([self._quick.connection] if self._quick else [])):
            connection.close()
        self._free, self._quick = [], None

    @asynccontextmanager
    async def _one(self) -> AsyncIterator[sqlite3.Connection]:
        async with self._doors:
            connection = self._free.pop() if self._free else self._connected()
            try:
                yield connection
            finally:
                self._free.append(connection)

    async def _aside(self, work: Callable[[], T]) -> T:
        """On a thread. Who is cancelled waits until its connection is free again."""
        done = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            await asyncio.wait([done])
            raise

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=32
        )
        connection.execute(f"PRAGMA cache_size = -{CACHE}")
        connection.execute("PRAGMA query_only = ON")
        return connection


class _Asking(NamedTuple):
    """What is compiled once."""

    rows: Callable[[Question], Sql]
    joined: Callable[[Kind, By], Sql]


class _Looker(Looker):
    """`short`: values that are looked up at once, more of them `aside`."""

    def __init__(
        self,
        asking: _Asking,
        connection: sqlite3.Connection,
        aside: Callable[[Callable[[], Any]], Awaitable[Any]],
        short: int,
    ) -> None:
        self._short = short
        self._asking = asking
        self.connection = connection
        self._aside = aside

    async def rows(self, question: Question, values: Collection[str]) -> Sequence[Sequence[Any]]:
        *columns, docs = await self._row(self._asking.rows(question), values)
        read = [wire.loads(column) for column in columns]
        if question.whole:
            read.append(docs.split(BETWEEN) if docs else [])
        return list(zip(*read, strict=True))

    async def joined(self, kind: Kind, by: By, values: Collection[str]) -> Joined:
        ids, called, docs = await self._row(self._asking.joined(kind, by), values)
        return Joined(ids, wire.loads(called), docs or "")

    async def _row(self, sql: Sql, values: Collection[str]) -> Any:
        """One step of SQLite, however many the records: between steps a thread would wait for the interpreter."""
        given = (wire.dumps(list(values)).decode(),) * sql.times
        if len(values) <= self._short:
            return self.connection.execute(sql.text, given).fetchone()
        return await self._aside(lambda: self.connection.execute(sql.text, given).fetchone())


def _compiled(question: Question, among: Among) -> Sql:
    """The statement as the rest of the catalog would ask it, with all its rows in one."""
    rows = statement(question, among, ()).subquery()
    columns = [rows.c.id, rows.c.name, *([rows.c.revision] if question.whole else [])]
    docs = func.group_concat(rows.c.doc, literal_column("char(30)")) if question.whole else literal_column("NULL")
    return _sql(select(*map(func.json_group_array, columns), docs))


def _joined(kind: Kind, by: By, among: Among) -> Sql:
    """Straight from the table: rows that pass through a subquery are copied column by column, which took as long as finding them."""
    table = TABLES[kind]
    told = func.json_group_array(table.c[by]), func.group_concat(table.c.doc, literal_column("','"))
    return _sql(select(numbered(kind, by, among), *told).where(among(table.c[by], ())))


def _sql(query: Select[Any]) -> Sql:
    made = query.compile(dialect=sqlite.dialect())
    return Sql(str(made), len(made.positiontup or ()))
