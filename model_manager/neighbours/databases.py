"""SQLite databases of other programs, read while those may write them; nothing is ever written, not even a file beside them.

A database with a rollback journal is opened with mode=ro. One in WAL mode would be given new -shm and -wal files by that, so: with
a live log it is opened with readonly_shm; without a log it is read as immutable, and read again when it changed meanwhile; what
a crash left to be mended, or a copy of a log without its -shm file, is mended in a copy aside (SQLite, wal.html §7, uri.html).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from model_manager.errors import BadForeign, ForeignBusy
from model_manager.facts.description import Oddity
from model_manager.neighbours import documents

MAX_CELL: Final = 1 << 20
"""Bytes of one value; a row with a longer one is left out."""

MAX_ROWS: Final = 1_000_000
MAX_COPY: Final = 1 << 30
"""Bytes that are copied aside at most."""

PATIENCE: Final = 5.0
"""Seconds that the writer of a database may keep us waiting."""

TRIES: Final = 5
"""Times that a database is read that changes while it is read."""

_MAGIC: Final = b"SQLite format 3\x00"
_WAL: Final = 2
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})

Row = Mapping[str, object]
Mark = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Of the wanted columns those that are there, and the rows in the order of their numbers."""

    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()


def tables(
    path: str, wanted: Mapping[str, tuple[str, ...]], *, still: bool = False
) -> tuple[dict[str, Table], tuple[Oddity, ...]]:
    """Name → table, for those of the wanted ones that are there. `still`: a copy that nobody else has, read as immutable.

    A row that cannot be read is an oddity. Raises BadForeign for what is no whole SQLite database, ForeignBusy when its
    program does not let go of it, DiskUnavailable when it cannot be read.
    """
    aside = False
    for _ in range(TRIES):
        before = _mark(path)
        try:
            with _connected(path, aside=aside, still=still) as (connection, lasting):
                found = _read(path, connection, wanted)
        except sqlite3.Error as error:
            aside = not aside and getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY
            if not aside:
                raise _reason(path, error) from error
            continue
        if lasting or _mark(path) == before:
            return found
    raise ForeignBusy(path=path, why=f"it changed during each of {TRIES} readings")


def _read(
    path: str, connection: sqlite3.Connection, wanted: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, Table], tuple[Oddity, ...]]:
    odd: list[Oddity] = []
    connection.execute("BEGIN")
    there = [name for name in wanted if _is_table(connection, name)]
    found = {name: _table(path, connection, name, wanted[name], odd) for name in there}
    return found, tuple(odd)


def _reason(path: str, error: sqlite3.Error) -> BadForeign | ForeignBusy:
    """What an error of SQLite means for us, by its code."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _BUSY:
        return ForeignBusy(path=path, why=str(error))
    return BadForeign(path=path, why=f"it is no whole SQLite database ({error})")


def _is_table(connection: sqlite3.Connection, name: str) -> bool:
    """A view is none: what it computes is its author's program."""
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND lower(name) = lower(?)"
    return connection.execute(query, (name,)).fetchone() is not None


def _table(path: str, connection: sqlite3.Connection, name: str, wanted: tuple[str, ...], odd: list[Oddity]) -> Table:
    columns = tuple(column for column in _columns(connection, name) if column in wanted)
    rows = _rows(path, connection, name, columns, odd) if columns else ()
    return Table(columns=columns, rows=tuple(rows))


def _rows(
    path: str, connection: sqlite3.Connection, table: str, columns: tuple[str, ...], odd: list[Oddity]
) -> Iterator[Row]:
    """Row by row by its number, so that one that is damaged or too long takes no other with it."""
    numbers = connection.execute(f'SELECT rowid FROM "{table}" ORDER BY rowid LIMIT {MAX_ROWS}').fetchall()  # noqa: S608
    listed = ", ".join(f'"{name}"' for name in columns)
    query = f'SELECT {listed} FROM "{table}" WHERE rowid = ?'  # noqa: S608
    for (number,) in numbers:
        try:
            row = connection.execute(query, (number,)).fetchone()
        except sqlite3.Error as error:
            odd.append(Oddity(where=f"{path}, {table} {number}", why=f"this row cannot be read ({error})"))
            continue
        if row is not None:
            yield dict(zip(columns, row, strict=True))


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [str(row[1]) for row in connection.execute(f'PRAGMA table_info("{table}")')]


@contextmanager
def _connected(path: str, *, aside: bool, still: bool) -> Iterator[tuple[sqlite3.Connection, bool]]:
    """A connection, and whether what it reads is of one moment; if not, it holds only when the file did not change meanwhile."""
    with ExitStack() as stack:
        wal, log = _is_wal(path), _size(f"{path}-wal")
        locked = False
        if aside or (log and not os.path.exists(f"{path}-shm")):
            uri = _uri(_copied(path, stack.enter_context(tempfile.TemporaryDirectory())))
        elif still or (wal and not log):
            uri = f"{_uri(path)}?immutable=1"
        else:
            uri, locked = f"{_uri(path)}?mode=ro&readonly_shm=1", True
        connection = sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None)
        stack.callback(connection.close)
        _distrust(connection)
        yield connection, locked


def _distrust(connection: sqlite3.Connection) -> None:
    """A foreign schema may be hostile: no functions of its choice, no long values, text that need not be UTF-8."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_CELL)
    connection.text_factory = _text
    for setting in ("PRAGMA trusted_schema = OFF", "PRAGMA query_only = ON", "PRAGMA cell_size_check = ON"):
        connection.execute(setting)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _uri(path: str) -> str:
    return f"file:{quote(os.path.abspath(path))}"


def _is_wal(path: str) -> bool:
    """Raises BadForeign for what is no SQLite database, DiskUnavailable."""
    with documents.opened(path) as fd:
        head = os.pread(fd, 100, 0)
    if not head.startswith(_MAGIC) or len(head) < 100:
        raise BadForeign(path=path, why="it is no SQLite database" if head else "it is empty")
    return head[18] == _WAL


def _copied(path: str, folder: str) -> str:
    if _size(path) + _size(f"{path}-wal") > MAX_COPY:
        raise ForeignBusy(path=path, why="its log is not merged, and it is too large to be copied aside")
    aside = os.path.join(folder, "copy.db")
    try:
        shutil.copyfile(path, aside)
        for ending in ("-wal", "-journal"):
            if os.path.exists(f"{path}{ending}"):
                shutil.copyfile(f"{path}{ending}", f"{aside}{ending}")
    except OSError as error:
        raise documents.unreadable(path, error) from error
    return aside


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _mark(path: str) -> Mark:
    """What changes when somebody writes the database."""
    return tuple(_stamp(f"{path}{ending}") for ending in ("", "-wal", "-journal"))


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns
