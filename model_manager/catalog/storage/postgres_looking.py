"""What is asked most of the catalog in PostgreSQL, of asyncpg itself: prepared once on each connection, one way there and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final, NamedTuple

import asyncpg
from sqlalchemy import CompoundSelect, Dialect, Select, func, literal_column, select

from model_manager.catalog.records import Kind
from model_manager.catalog.storage.looking import Among, Joined, Looker, Question, either, statement

CONNECTIONS: Final = 4
"""That one server holds for these questions, beside those of its engine."""

WHOLE: Final = "repeatable_read"

_ENGINE_ONLY: Final = (
    "async_fallback",
    "async_creator_fn",
    "prepared_statement_cache_size",
    "prepared_statement_name_func",
)
"""Options of SQLAlchemy's own dialect."""


class PostgresLooking:
    def __init__(self, options: Mapping[str, Any], dialect: Dialect, among: Among) -> None:
        """`options` of asyncpg.connect."""
        self._options = {key: value for key, value in options.items() if key not in _ENGINE_ONLY}
        self._asking = _Asking(
            cache(lambda question: _sql(statement(question, among, ()), dialect)),
            cache(lambda kind: _sql(_joined(kind, among), dialect)),
        )
        self._pool: Any = None

    async def open(self) -> None:
        """Connections are made when they are asked."""
        self._pool = await asyncpg.create_pool(min_size=0, max_size=CONNECTIONS, reset=_as_it_is, **self._options)

    @asynccontextmanager
    async def moment(self) -> AsyncIterator[Looker]:
        """Every question within is answered of one moment."""
        async with self._one() as connection, connection.transaction(isolation=WHOLE, readonly=True):
            yield _Looker(self._asking, connection)

    async def rows(self, question: Question, values: Collection[str]) -> Sequence[Sequence[Any]]:
        """One question. Raises what asyncpg raises."""
        async with self._one() as connection:
            return await _Looker(self._asking, connection).rows(question, values)

    async def joined(self, kind: Kind, references: Collection[str]) -> Joined:
        async with self._one() as connection:
            return await _Looker(self._asking, connection).joined(kind, references)

    @asynccontextmanager
    async def _one(self) -> AsyncIterator[Any]:
        async with self._pool.acquire() as connection:
            try:
                yield connection
            except asyncpg.InternalClientError:
                connection.terminate()  # it was cut while it was asked, and answers nobody any more
                raise

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()


class _Asking(NamedTuple):
    """What is compiled once: the statement, and how many times it takes the values."""

    rows: Callable[[Question], tuple[str, int]]
    joined: Callable[[Kind], tuple[str, int]]


class _Looker(Looker):
    def __init__(self, asking: _Asking, connection: Any) -> None:
        self._asking = asking
        self._connection = connection

    async def rows(self, question: Question, values: Collection[str]) -> Sequence[Sequence[Any]]:
        text, times = self._asking.rows(question)
        found: Sequence[Sequence[Any]] = await self._connection.fetch(text, *[_possible(values)] * times)
        return found

    async def joined(self, kind: Kind, references: Collection[str]) -> Joined:
        text, times = self._asking.joined(kind)
        ids, names, docs = await self._connection.fetchrow(text, *[_possible(references)] * times)
        return Joined(ids or [], names or [], docs or "")


def _possible(values: Collection[str]) -> list[str]:
    """No text here holds a NUL."""
    return [value for value in values if "\0" not in value]


async def _as_it_is(_: Any) -> None:
    """Nothing is set on these connections that would have to be set back."""


def _joined(kind: Kind, among: Among) -> Select[Any]:
    """All records in one row."""
    rows = statement(Question(kind, either(kind), True), among, ()).subquery()
    return select(
        func.array_agg(rows.c.id), func.array_agg(rows.c.name), func.string_agg(rows.c.doc, literal_column("','"))
    )


def _sql(query: Select[Any] | CompoundSelect[Any], dialect: Dialect) -> tuple[str, int]:
    made = query.compile(dialect=dialect)
    return str(made), len(made.positiontup or ())
