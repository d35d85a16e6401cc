"""The door of sqlite3: its errors become ours here and nowhere else, and a locked database is waited for."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, Final, ParamSpec, Protocol, TypeVar, cast

from model_manager.errors import Broken, IndexDamaged, IndexFull, IndexUnavailable, ModelManagerError

SLICE: Final = 0.5
"""Seconds that SQLite itself waits for a lock; between slices we look whether we are to stop."""

_LOCKED: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_BREATH: Final = 0.02
"""Seconds between attempts, for locks that SQLite reports without waiting."""

_SURROUNDINGS: Final = {
    sqlite3.SQLITE_BUSY: "another process has locked it",
    sqlite3.SQLITE_LOCKED: "another process has locked it",
    sqlite3.SQLITE_PROTOCOL: "its lock is contended",
    sqlite3.SQLITE_FULL: "the disk below it is full",
    sqlite3.SQLITE_IOERR: "the disk below it failed",
    sqlite3.SQLITE_READONLY: "it cannot be written",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; see that its directory exists and is ours",
    sqlite3.SQLITE_PERM: "we may not use it",
    sqlite3.SQLITE_AUTH: "we may not use it",
    sqlite3.SQLITE_NOLFS: "its file system has no large files",
    sqlite3.SQLITE_NOMEM: "memory is short",
    sqlite3.SQLITE_INTERRUPT: "it was interrupted",
    sqlite3.SQLITE_ABORT: "it was interrupted",
}
"""Primary result codes (sqlite.org/rescode.html) that speak of the machine around the database."""


class Patient(Protocol):
    path: str
    patience: float
    hurried: threading.Event


P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=Patient)


def patient(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """A method that waits up to `patience` seconds for a lock, less when `hurried`, and raises only our errors."""

    @wraps(method)
    def waiting(self: S, *args: P.args, **kwargs: P.kwargs) -> R:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return method(self, *args, **kwargs)
            except sqlite3.Error as error:
                over = time.monotonic() >= deadline
                if over or _code(error) not in _LOCKED or self.hurried.wait(_BREATH):
                    raise translated(error, self.path) from error

    return cast(Callable[Concatenate[S, P], R], waiting)


def translated(error: sqlite3.Error, path: str) -> ModelManagerError:
    """Ours for theirs: IndexUnavailable when the surroundings are at fault, IndexDamaged when the file is, else Broken."""
    code = _code(error)
    if code == sqlite3.SQLITE_FULL:
        return IndexFull(path=path, why=str(error))
    if why := _SURROUNDINGS.get(code):
        return IndexUnavailable(path=path, why=f"{why} ({error})")
    if code in _DAMAGED:
        return IndexDamaged(path=path, why=str(error))
    return Broken(what=f"The index {path} was misused: {type(error).__name__}: {error}.")


def damaged(error: sqlite3.Error) -> bool:
    """Whether, while opening, the file's content is at fault and not its surroundings: then only a new one helps."""
    return _code(error) not in _SURROUNDINGS


def _code(error: sqlite3.Error) -> int:
    """The primary code: extended ones carry it in their low byte. 0 where Python itself complained."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
