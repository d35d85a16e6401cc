"""What is asked most of the catalog in PostgreSQL, of asyncpg itself: prepared once on each connection, one way there and back."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any, Final, NamedTuple

import asyncpg
from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    CompoundSelect,
    Dialect,
    Select,
    Text,
    any_,
    bindparam,
    func,
    literal_column,
    select,
)

from model_manager.catalog.records import Kind
from model_manager.catalog.storage.looking import By, Joined, Looker, Question, numbered, statement
from model_manager.catalog.storage.writing import TABLES

CONNECTIONS: Final = 4
"""That one server holds for these questions, beside those of its engine."""

WHOLE: Final = "repeatable_read"

PLANNED: Final = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}
"""Each of these statements goes by an index, however much is asked and however many records there were when it was prepared: planned
once. PostgreSQL would plan a look-up of one name anew each time, which takes longer than the look-up."""

CLOSE_SECONDS: Final = 2.0

IDLE_SECONDS: Final = 300.0
"""Nobody asks over a connection that was silent for longer: what stands between may have forgotten it, and tells neither end."""

_UNDECIDED: Final = (asyncpg.InternalClientError, asyncio.CancelledError, TimeoutError)
"""Who asked went away, or the connection was cut meanwhile: what it still has to say is for nobody."""

_ENGINE_ONLY: Final = (
    "async_fallback",
    "async_creator_fn",
    "prepared_statement_cache_size",
    "prepared_statement_name_func",
)
"""Options of SQLAlchemy's own dialect."""


class PostgresLooking:
    def __init__(self, options: Mapping[str, Any], dialect: Dialect) -> None:
        """`options` of asyncpg.connect. Connections are made when they are asked."""
        wanted = {key: value for key, value in options.items() if key not in _ENGINE_ONLY}
        self._options = {**wanted, "server_settings": {**wanted.get("server_settings", {}), **PLANNED}}
        self._asking = _Asking(
            cache(lambda question: _sql(statement(question, _among, ()), dialect)),
            cache(lambda kind, by: _sql(_joined(kind, by), dialect)),
            secrets.token_hex(),
        )
        self._doors = asyncio.Semaphore(CONNECTIONS)
        self._free: list[tuple[Any, float]] = []

    @asynccontextmanager
    async def moment(self) -> AsyncIterator[Looker]:
        """Every question within is answered of one moment."""
        async with self._one() as connection, connection.transaction(isolation=WHOLE, readonly=True):
            yield _Looker(self._asking, connection)

    async def rows(self, question: Question, values: Collection[str]) -> Sequence[Sequence[Any]]:
        """One question. Raises what asyncpg raises."""
        async with self._one() as connection:
            return await _Looker(self._asking, connection).rows(question, values)

    async def joined(self, kind: Kind, by: By, values: Collection[str]) -> Joined:
        async with self._one() as connection:
            return await _Looker(self._asking, connection).joined(kind, by, values)

    @asynccontextmanager
    async def _one(self) -> AsyncIterator[Any]:
        """asyncpg's pool gives each back in a task of its own, which takes a tenth as long as an answer; nothing here needs that."""
        async with self._doors:
            connection = await self._taken()
            try:
                yield connection
            except _UNDECIDED:
                connection.terminate()
                raise
            finally:
                if not connection.is_closed():
                    self._free.append((connection, _now()))

    async def _taken(self) -> Any:
        while self._free:
            connection, since = self._free.pop()
            if connection.is_closed():
                continue
            if _now() - since < IDLE_SECONDS:
                return connection
            connection.terminate()
        return await asyncpg.connect(**self._options)

    async def close(self) -> None:
        for connection, _ in self._free:
            with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=CLOSE_SECONDS)
        self._free = []


class _Asking(NamedTuple):
    """Statements that are compiled once; each takes what `_told` makes of the values. `between` is told to nobody, so that no value
    holds it."""

    rows: Callable[[Question], str]
    joined: Callable[[Kind, By], str]
    between: str


class _Looker(Looker):
    def __init__(self, asking: _Asking, connection: Any) -> None:
        self._asking = asking
        self._connection = connection

    async def rows(self, question: Question, values: Collection[str]) -> Sequence[Sequence[Any]]:
        found: Sequence[Sequence[Any]] = await self._connection.fetch(
            self._asking.rows(question), *_told(values, self._asking.between)
        )
        return found

    async def joined(self, kind: Kind, by: By, values: Collection[str]) -> Joined:
        ids, called, docs = await self._connection.fetchrow(
            self._asking.joined(kind, by), *_told(values, self._asking.between)
        )
        return Joined(ids, called or [], docs or "")


def _now() -> float:
    return asyncio.get_running_loop().time()


def _among(column: Column[Any], _: Collection[str]) -> ColumnElement[bool]:
    """Whether it is one of the values that `_told` made a text of. An array goes to the server value by value, and each is looked at
    for being an array itself: that took twice as long as all else on our side of a question."""
    values, between = bindparam("values", type_=Text()), bindparam("between", type_=Text())
    return column == any_(func.string_to_array(values, between, type_=ARRAY(Text)))


def _told(values: Collection[str], between: str) -> tuple[str, str]:
    """All of them in one text, and what stands between two. No text in the database holds a NUL, and none is empty."""
    text = between.join(values)
    return (text if "\0" not in text else between.join(value for value in values if "\0" not in value)), between


def _joined(kind: Kind, by: By) -> Select[Any]:
    """All records in one row."""
    table = TABLES[kind]
    told = func.array_agg(table.c[by]), func.string_agg(table.c.doc, literal_column("','"))
    return select(numbered(kind, by, _among), *told).where(_among(table.c[by], ()))


def _sql(query: Select[Any] | CompoundSelect[Any], dialect: Dialect) -> str:
    """The values are `$1` and what stands between them `$2`, however often they are asked for."""
    made = query.compile(dialect=dialect)
    text = str(made)
    for at, name in enumerate(made.positiontup or (), 1):
        text = text.replace(f"${at}::", f"${1 + (name == 'between')}::")
    return text
