"""The catalog in PostgreSQL, for many machines and several servers at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, Final

import asyncpg
from sqlalchemy import ARRAY, Column, ColumnElement, Text, any_, bindparam, cast, func, inspect
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from model_manager.catalog import migrating
from model_manager.catalog.records import Kind
from model_manager.catalog.storage.database import begun, reached
from model_manager.catalog.storage.looking import By, Joined, Looker, Question
from model_manager.catalog.storage.postgres_looking import PostgresLooking
from model_manager.errors import BadRecord, BadSetting, Broken, CatalogUnavailable, ModelManagerError

CONNECTIONS: Final = 8
"""That one server holds."""

CONNECT_SECONDS: Final = 10.0
STATEMENT_SECONDS: Final = 60.0
LOCK: Final = 0x6D6D6361
"""The advisory lock of whoever makes or migrates the tables."""

_AWAY: Final = ("08", "53", "57", "40", "55")
"""Classes of SQLSTATE that pass: connection, resources, operator intervention, rollback, lock (PostgreSQL, appendix A)."""

_CUT: Final = (asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises for a connection that is gone, or was cut in the very moment in which it was asked."""

_CONFIGURED: Final = ("28", "3D", "42501")
"""Wrong user or password, no such database, not allowed."""


class PostgresDatabase:
    def __init__(self, address: str) -> None:
        """`address`: postgresql://user:password@host:port/database. Raises BadSetting."""
        try:
            url = make_url(address).set(drivername="postgresql+asyncpg")
        except (ArgumentError, ValueError):
            raise _unusable("DATABASE_URL", "it is no postgresql:// address") from None
        self._name = url.set(query={}).render_as_string(hide_password=True).replace("+asyncpg", "")
        options: dict[str, Any] = {
            "timeout": CONNECT_SECONDS,
            "command_timeout": STATEMENT_SECONDS,
            "server_settings": {
                "application_name": "model_manager catalog",
                "jit": "off",
            },  # it takes longer than our questions
        }
        engine = create_async_engine(
            url, pool_size=CONNECTIONS, max_overflow=0, pool_pre_ping=True, connect_args=options, hide_parameters=True
        )
        self._engine = engine
        _, wanted = engine.dialect.create_connect_args(url)
        self._looking = PostgresLooking({**wanted, **options}, engine.dialect)
        self._reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @property
    def name(self) -> str:
        return self._name

    async def open(self) -> None:
        async with self.writing() as connection:
            await connection.run_sync(self._adopt)

    async def close(self) -> None:
        await self._looking.close()
        await self._engine.dispose()

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return begun(self, self._reader)

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[Looker]:
        with self.translated(), reached(self._name):
            async with self._looking.moment() as looker:
                yield looker

    async def rows(self, question: Question, values: Collection[str]) -> Sequence[Sequence[Any]]:
        with self.translated(), reached(self._name):
            return await self._looking.rows(question, values)

    async def joined(self, kind: Kind, by: By, values: Collection[str]) -> Joined:
        with self.translated(), reached(self._name):
            return await self._looking.joined(kind, by, values)

    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return begun(self, self._engine)

    def among(self, column: Column[Any], values: Collection[str]) -> ColumnElement[bool]:
        possible = [value for value in values if "\0" not in value]  # no text here holds one
        return column == any_(bindparam(None, possible, type_=ARRAY(Text)))

    def listed(self, column: ColumnElement[Any]) -> ColumnElement[str]:
        return cast(func.json_agg(aggregate_order_by(column, column)), Text)

    @property
    def warming(self) -> bool:
        return False

    async def warm(self) -> None:
        """What lies in memory is its server's own business."""

    async def migrate(self, target: str = "head") -> str:
        async with self.writing() as connection:
            await _locked(connection)
            await connection.run_sync(migrating.migrate, target, self.name)
        return "the whole change is one transaction; a copy is made by pg_dump"

    def _adopt(self, connection: Any) -> None:
        """Make the tables where there are none. An older catalog is migrated by command: another server may still use it."""
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        if not inspect(connection).has_table("catalog") and migrating.revision(connection) is None:
            migrating.create(connection)
            return
        known = migrating.adopt(connection, self.name)
        if known != migrating.head():
            raise BadSetting(
                name="DATABASE_URL",
                why=f"the catalog in '{self.name}' has revision {known}, this version knows {migrating.head()}",
                fix="Copy it with pg_dump, stop older servers, and run 'model-manager catalog migrate'.",
            )

    @contextmanager
    def translated(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, asyncpg.PostgresError, *_CUT) as error:
            raise translation(error, self._name) from error


async def _locked(connection: AsyncConnection) -> None:
    await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")


def translation(error: BaseException, name: str) -> ModelManagerError:
    """By SQLSTATE; what never reached the server is an outage."""
    state = _state(error)
    if state is None:
        if isinstance(error, (PoolTimeout, *_CUT)) or _lost(error):
            why = f"PostgreSQL does not answer ({type(error).__name__})"
            return CatalogUnavailable(host=name, why=why, retry_after=2.0)
        return Broken(what=f"The catalog {name} failed: {type(error).__name__}: {error}.")
    if state.startswith(_CONFIGURED):
        return _unusable(name, f"PostgreSQL refuses us (SQLSTATE {state})")
    if state.startswith(_AWAY):
        return CatalogUnavailable(host=name, why=f"PostgreSQL says to come again (SQLSTATE {state})", retry_after=1.0)
    if state.startswith("23"):
        return BadRecord(name="the catalog", why=f"two records contradict each other (SQLSTATE {state})")
    return Broken(what=f"The catalog {name} failed: SQLSTATE {state}: {getattr(error, 'orig', error)}.")


def _state(error: BaseException) -> str | None:
    """The SQLSTATE, wherever the layers keep it."""
    seen: BaseException | None = error
    while seen is not None:
        state = getattr(seen, "sqlstate", None) or getattr(seen, "pgcode", None)
        if isinstance(state, str):
            return state
        seen = getattr(seen, "orig", None) or seen.__cause__
    return None


def _lost(error: BaseException) -> bool:
    return bool(getattr(error, "connection_invalidated", False))


def _unusable(name: str, why: str) -> BadSetting:
    return BadSetting(
        name="DATABASE_URL",
        why=f"'{name}' cannot be used: {why}",
        fix="Write postgresql://user:password@host:port/database of a server that lets us in.",
    )
