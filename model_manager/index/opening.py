"""Opening the index: an old one is migrated, a damaged one set aside and made anew."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from model_manager.index import migrating, statements
from model_manager.index.patience import SLICE, damaged

APPLICATION: Final = 0x4D6F644D
"""`ModM`: SQLite's application_id, by which we know a database as ours."""

KEPT: Final = 3
"""Damaged databases that are kept for whoever wants to look."""

_SETTINGS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA journal_size_limit = 16777216",
    "PRAGMA wal_autocheckpoint = 4096",  # pages, 16 MiB: many changes of one page in a row are copied from the log once
    "PRAGMA cache_size = -65536",  # KiB: with SQLite's own 2 MB, a hundred thousand new files take three times as long
)
_NAMES: Final = "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite%'"


class Damaged(Exception):
    """The file is no index of ours, or not whole. Never leaves this file."""


def open_or_rebuild(path: str) -> tuple[sqlite3.Connection, str]:
    """A connection in autocommit mode, and why the database is new although there was one (empty when it is not).

    Raises IndexTooNew, or sqlite3.Error when the surroundings are at fault.
    """
    try:
        return _opened(path), ""
    except Damaged as damage:
        aside = _set_aside(Path(path))
        return _opened(path), f"{damage}; it was moved to {aside}"


def _opened(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=SLICE, isolation_level=None)
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        if damaged(error):
            raise Damaged(f"the index was damaged ({error})") from error
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    for setting in _SETTINGS:
        connection.execute(setting)
    if _is_blank(connection):
        newest = statements.migrations()[-1].number
        stamp = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {newest};"
        migrating.run(connection, f"{statements.schema()}\n{stamp}")
        return
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise Damaged("the database there was none of ours")
    first = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if first != "ok":
        raise Damaged(f"the index was damaged ({first})")
    migrating.migrate(connection, path, statements.migrations())
    _look(connection)


def _is_blank(connection: sqlite3.Connection) -> bool:
    return not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()


def _look(connection: sqlite3.Connection) -> None:
    """A file can be whole and still lack what every query relies on."""
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(statements.schema())
        lost = set(fresh.execute(_NAMES)) - set(connection.execute(_NAMES))
    if lost:
        raise Damaged(f"the index had lost {', '.join(sorted(name for (name,) in lost))}")
    if not connection.execute(statements.queries()["identity"]).fetchall():
        raise Damaged("the index had lost its identity")


def _set_aside(path: Path) -> Path:
    """Move a damaged database and its log to `<path>.corrupt-<n>`; of these the newest KEPT stay."""
    taken = {_number(other): other for other in path.parent.glob(f"{path.name}.corrupt-*") if _number(other)}
    number = max(taken, default=0) + 1
    for old in sorted(taken)[: -(KEPT - 1)]:
        taken[old].unlink(missing_ok=True)
        Path(f"{taken[old]}-wal").unlink(missing_ok=True)
    aside = Path(f"{path}.corrupt-{number}")
    path.rename(aside)
    log = Path(f"{path}-wal")
    if log.exists():
        log.rename(f"{aside}-wal")
    Path(f"{path}-shm").unlink(missing_ok=True)
    return aside


def _number(path: Path) -> int:
    found = re.search(r"\.corrupt-(\d+)$", path.name)
    return int(found[1]) if found else 0
