"""What is asked most of the catalog in PostgreSQL, of asyncpg itself: prepared once on each connection, one way there and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final

import asyncpg
from sqlalchemy import Dialect

from model_manager.catalog.looking import Among, Looker, Question, statement

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
        self._statement = cache(lambda question: _compiled(question, dialect, among))
        self._pool: Any = None

    async def open(self) -> None:
        """Connections are made when they are asked."""
        self._pool = await asyncpg.create_pool(min_size=0, max_size=CONNECTIONS, reset=_as_it_is, **self._options)

    @asynccontextmanager
    async def moment(self) -> AsyncIterator[Looker]:
        """Every question within is answered of one moment."""
        async with self._pool.acquire() as connection, connection.transaction(isolation=WHOLE, readonly=True):
            yield _Looker(self._statement, connection)

    async def rows(self, question: Question, values: Collection[str]) -> Sequence[Sequence[Any]]:
        """One question. Raises what asyncpg raises."""
        async with self._pool.acquire() as connection:
            return await _Looker(self._statement, connection).rows(question, values)

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()


class _Looker(Looker):
    def __init__(self, prepared: Any, connection: Any) -> None:
        self._prepared = prepared
        self._connection = connection

    async def rows(self, question: Question, values: Collection[str]) -> Sequence[Sequence[Any]]:
        text, times = self._prepared(question)
        possible = [value for value in values if "\0" not in value]  # no text here holds one
        found: Sequence[Sequence[Any]] = await self._connection.fetch(text, *[possible] * times)
        return found


async def _as_it_is(_: Any) -> None:
    """Nothing is set on these connections that would have to be set back."""


def _compiled(question: Question, dialect: Dialect, among: Among) -> tuple[str, int]:
    made = statement(question, among, ()).compile(dialect=dialect)
    return str(made), len(made.positiontup or ())
