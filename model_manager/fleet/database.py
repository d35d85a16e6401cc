"""One small SQLite database in the state directory: opened when it is first used, one thread at a time, closed for good."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from model_manager.errors import StoreUnavailable

WAIT: Final = 5.0
"""Seconds that another process may hold the lock."""

VERSION: Final = 1

T = TypeVar("T")


class Database:
    """`schema` is the SQL that makes it, `mode` its rights when it is new. Every method but `close` raises StoreUnavailable."""

    def __init__(self, path: Path, schema: Path, *, mode: int = 0o644) -> None:
        self.path = path
        self._schema = schema
        self._mode = mode
        self._one = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._eye = threading.Lock()
        self._peeking: sqlite3.Connection | None = None
        self._closed = False

    def peek(self) -> int | None:
        """Another number after each commit of anybody, in microseconds and without a thread; None when that cannot be told at
        once: `do` can."""
        if not self._eye.acquire(blocking=False):
            return None
        try:
            return None if self._peeking is None else int(self._peeking.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            return None
        finally:
            self._eye.release()

    async def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """On a thread. Who is cancelled leaves the work going; `close` waits for it."""
        return await asyncio.to_thread(self._done, work)

    async def whole(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The same as one transaction."""

        def whole(base: sqlite3.Connection) -> T:
            with transaction(base):
                return work(base)

        return await self.do(whole)

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._one, self._eye:
            self._closed = True
            for each in (self._connection, self._peeking):
                if each is not None:
                    each.close()
            self._connection = self._peeking = None

    def _done(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._one:
            try:
                return work(self._opened())
            except sqlite3.Error as error:
                raise StoreUnavailable(path=str(self.path), why=str(error)) from error
            except OSError as error:
                raise StoreUnavailable(path=str(self.path), why=error.strerror or "it failed") from error

    def _opened(self) -> sqlite3.Connection:
        if self._closed:
            raise sqlite3.ProgrammingError("it was closed, for the program ends")
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=self._mode)  # the log beside it gets the same mode
            base = self._connected(WAIT)
            try:
                _prepare(base, self._schema)
                peeking = self._connected(0.0)  # nobody waits for a look
            except BaseException:
                base.close()
                raise
            self._connection, self._peeking = base, peeking
        return self._connection

    def _connected(self, wait: float) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=wait, isolation_level=None, check_same_thread=False)


@contextmanager
def transaction(base: sqlite3.Connection) -> Iterator[None]:
    """What is done inside is kept whole or not at all."""
    base.execute("BEGIN IMMEDIATE")
    try:
        yield
        base.execute("COMMIT")
    except BaseException:
        base.rollback()
        raise


def _prepare(base: sqlite3.Connection, schema: Path) -> None:
    found = int(base.execute("PRAGMA user_version").fetchone()[0])
    if found > VERSION:
        raise sqlite3.DatabaseError(f"a newer release wrote it (schema {found}, known {VERSION}); use that one")
    base.execute("PRAGMA journal_mode = WAL")
    base.executescript(schema.read_text())
    base.execute(f"PRAGMA user_version = {VERSION}")
