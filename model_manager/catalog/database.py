"""The door to sqlite3: a catalog file, its schema and its named queries. Every sqlite3 exception is translated here."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from model_manager.errors import BadRecord, BadSetting, Broken, CatalogUnavailable, ModelManagerError

APPLICATION_ID: Final = 0x6D6D6361
"""`mmca` in the file's header (PRAGMA application_id): a database of somebody else is never written to."""

SCHEMA_VERSION: Final = 1
BUSY_SECONDS: Final = 5.0

_NAMED = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def query(name: str) -> str:
    """The statement of this name in sql/queries.sql."""
    pieces = _NAMED.split(_text("queries.sql"))
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))[name]


@cache
def _text(name: str) -> str:
    return files("model_manager.catalog.sql").joinpath(name).read_text("utf-8")


def connect(path: Path) -> sqlite3.Connection:
    """The catalog at `path`, made empty where there is none.

    Raises BadSetting when it is no catalog of ours or cannot be opened, CatalogUnavailable while somebody else locks it.
    """
    with translated(path):
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            _adopt(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """`connect` for the length of a block."""
    with closing(connect(path)) as connection, translated(path):
        yield connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block's writes, or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        rolled_back(connection)


def rolled_back(connection: sqlite3.Connection) -> None:
    """End whatever is still open; SQLite has done so itself after some failures."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _adopt(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables in an empty file; refuse a file that is not ours or of another version."""
    if _ours(connection, path):
        return
    with transaction(connection):
        if _ours(connection, path):
            return
        for statement in _text("schema.sql").split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _ours(connection: sqlite3.Connection, path: Path) -> bool:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute(query("tables")).fetchone()
    if application == APPLICATION_ID and version == SCHEMA_VERSION:
        return True
    if application == 0 and tables == 0:
        return False
    why = f"its version is {version}, not {SCHEMA_VERSION}" if application == APPLICATION_ID else "it is no catalog"
    raise _unusable(path, why)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """sqlite3's exceptions as ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise translation(error, path) from error


def translation(error: sqlite3.Error, path: Path) -> ModelManagerError:
    """Waiting helps against a lock; a new file against one that is no database; nothing against our own SQL."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return CatalogUnavailable(host=str(path), why="another program holds it locked", retry_after=1.0)
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return CatalogUnavailable(host=str(path), why=f"its disk is full or failing ({error})", retry_after=60.0)
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        return _unusable(path, str(error))
    if isinstance(error, sqlite3.IntegrityError):
        return BadRecord(name=str(path), why=f"two records contradict each other ({error})")
    return Broken(what=f"The catalog {path} failed: {type(error).__name__}: {error}.")


def _unusable(path: Path, why: str) -> BadSetting:
    return BadSetting(
        name="catalog database",
        why=f"'{path}' cannot be used: {why}",
        fix="Name another file, or remove this one: a new, empty catalog is then made in its place.",
    )
