"""The port of a catalog's database, and what both of them share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any, Final, Protocol

from sqlalchemy import Column, ColumnElement
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from model_manager.catalog.records import Kind
from model_manager.catalog.storage.looking import By, Joined, Looking, Question
from model_manager.errors import CatalogUnavailable

LEGACY: Final = "0001"
"""The revision of catalogs from before there were migrations."""


class Database(Protocol):
    """A database of one kind. Every exception of its driver is translated by `translated`."""

    @property
    def name(self) -> str:
        """For messages: where it is, without any password."""

    async def open(self) -> None:
        """Connect; make the tables where there are none. Raises BadSetting, CatalogUnavailable."""

    async def close(self) -> None: ...

    def reading(self) -> AbstractAsync:
        """A transaction that sees one moment and writes nothing."""

    def looking(self) -> Looking:
        """One moment, asked only what is asked most; each question past the layers that the others pass."""

    async def rows(self, question: Question, values: Collection[str]) -> Sequence[Sequence[Any]]:
        """One such question."""

    async def joined(self, kind: Kind, by: By, values: Collection[str]) -> Joined:
        """Records by id or by name, as one text."""

    def writing(self) -> AbstractAsync:
        """A transaction; all of its writes happen, or none."""

    def among(self, column: Column[Any], values: Collection[str]) -> ColumnElement[bool]:
        """Whether the column's value is one of many, in one parameter."""

    def listed(self, column: ColumnElement[Any]) -> ColumnElement[str]:
        """The values of a group as a JSON list, in order: it is that of an index by which the groups are found."""

    def translated(self) -> AbstractContextManager[None]:
        """Raises CatalogUnavailable where waiting helps, BadSetting where another address does, else BadRecord or Broken."""

    @property
    def warming(self) -> bool:
        """Whether `warm` is at work."""

    async def warm(self) -> None:
        """Bring what is asked into memory, where that is ours to do. Raises CatalogUnavailable."""

    async def migrate(self, target: str = "head") -> str:
        """Bring the tables to a revision, up or down; what was saved before is in the answer. Raises BadSetting."""


class AbstractAsync(Protocol):
    """An asynchronous context manager of a connection."""

    async def __aenter__(self) -> AsyncConnection: ...

    async def __aexit__(self, *failure: Any) -> bool | None: ...


@asynccontextmanager
async def begun(database: Database, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction on an engine. The database's failures are translated; what else goes wrong within it is not its own."""
    with database.translated():
        with reached(database.name):
            connection = await engine.connect().start()
        try:
            async with connection.begin():
                yield connection
        finally:
            await connection.close()


@contextmanager
def reached(name: str) -> Iterator[None]:
    """Raises CatalogUnavailable where nobody answers."""
    try:
        yield
    except (OSError, TimeoutError) as error:
        why = f"it cannot be reached ({type(error).__name__})"
        raise CatalogUnavailable(host=name, why=why, retry_after=2.0) from error
