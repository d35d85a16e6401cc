"""From an older schema to ours: a copy first, then each numbered step in a transaction of its own."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from model_manager.errors import IndexTooNew
from model_manager.index.statements import Migration


def version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, path: str, steps: Sequence[Migration]) -> None:
    """Bring a database to the last of `steps`. Raises IndexTooNew when it is beyond it.

    The copy `<path>.schema-<n>` is complete before the first step begins; copies of older schemas go then.
    """
    found, known = version(connection), steps[-1].number
    if found > known:
        raise IndexTooNew(path=path, found=found, known=known)
    if found < known:
        _back_up(connection, path, f"{path}.schema-{found}")
    for step in steps:
        if step.number > found:
            run(connection, f"{step.sql}\nPRAGMA user_version = {step.number};")


def run(connection: sqlite3.Connection, script: str) -> None:
    """A script as one transaction."""
    try:
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nCOMMIT;")
    except BaseException:
        connection.rollback()
        raise


def _back_up(connection: sqlite3.Connection, path: str, target: str) -> None:
    unfinished = Path(f"{target}.part")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished)) as copy:
        connection.backup(copy)
    unfinished.rename(target)
    directory = os.open(unfinished.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    for older in Path(path).parent.glob(f"{Path(path).name}.schema-*"):
        if str(older) != target:
            older.unlink()
