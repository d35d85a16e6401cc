"""A connection that is asked by the names of queries."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from model_manager.index.statements import queries

Row = tuple[Any, ...]
Values = Mapping[str, Any] | Sequence[Any]


class Database:
    """For one thread at a time. The connection is in autocommit mode."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._queries = queries()

    def all(self, query: str, values: Values = ()) -> list[Row]:
        return self.connection.execute(self._queries[query], values).fetchall()

    def first(self, query: str, values: Values = ()) -> Row | None:
        row: Row | None = self.connection.execute(self._queries[query], values).fetchone()
        return row

    def rows(self, query: str, values: Values = ()) -> Iterator[Row]:
        """As `all`, a row at a time."""
        return iter(self.connection.execute(self._queries[query], values))

    def change(self, query: str, values: Values = ()) -> int:
        """The number of rows that it changed."""
        return self.connection.execute(self._queries[query], values).rowcount

    def each(self, query: str, rows: Iterable[Values]) -> None:
        """Once for each of the rows."""
        self.connection.executemany(self._queries[query], rows)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction: all of it or nothing."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            self.connection.rollback()
            raise

    @contextmanager
    def looking(self) -> Iterator[None]:
        """All questions see the database as of the first."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.rollback()
