from __future__ import annotations

import inspect
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from model_manager.errors import Broken, IndexUnavailable
from model_manager.index import patience
from model_manager.index.store import Store

from .making import begun, opened

_NO_RESULT = {"SQLITE_OK", "SQLITE_ROW", "SQLITE_DONE"}
PRIMARY = sorted(
    name
    for name, code in vars(sqlite3).items()
    if name
    in {
        f"SQLITE_{word}"
        for word in [
            "ERROR",
            "INTERNAL",
            "PERM",
            "ABORT",
            "BUSY",
            "LOCKED",
            "NOMEM",
            "READONLY",
            "INTERRUPT",
            "IOERR",
            "CORRUPT",
            "NOTFOUND",
            "FULL",
            "CANTOPEN",
            "PROTOCOL",
            "EMPTY",
            "SCHEMA",
            "TOOBIG",
            "CONSTRAINT",
            "MISMATCH",
            "MISUSE",
            "NOLFS",
            "AUTH",
            "FORMAT",
            "RANGE",
            "NOTADB",
            "NOTICE",
            "WARNING",
        ]
    }
    and isinstance(code, int)
)
OURS = {"ERROR", "INTERNAL", "NOTFOUND", "EMPTY", "SCHEMA", "TOOBIG", "CONSTRAINT", "MISMATCH", "MISUSE", "RANGE",
        "NOTICE", "WARNING", "CORRUPT", "FORMAT", "NOTADB"}  # fmt: skip


@pytest.mark.parametrize("name", PRIMARY)
def test_every_result_code_of_sqlite_has_a_reaction(name: str) -> None:
    error = sqlite3.OperationalError("said sqlite")
    error.sqlite_errorcode = getattr(sqlite3, name) | (3 << 8)
    reaction = patience.translated(error, "/state/index.db")
    assert isinstance(reaction, Broken if name.removeprefix("SQLITE_") in OURS else IndexUnavailable)
    assert "/state/index.db" in str(reaction)


def test_the_list_of_codes_is_complete() -> None:
    assert len(PRIMARY) == 28


@pytest.mark.parametrize(
    "kind", [sqlite3.Error, *sqlite3.Error.__subclasses__(), *sqlite3.DatabaseError.__subclasses__()]
)
def test_errors_of_the_module_itself_are_faults_of_ours(kind: type[sqlite3.Error]) -> None:
    assert type(patience.translated(kind("x"), "i")) is Broken


@pytest.mark.parametrize("name", [n for n, m in vars(Store).items() if inspect.isfunction(m) and not n.startswith("_")])
def test_no_method_of_the_store_lets_an_error_of_sqlite_out(name: str, tmp_path: Path) -> None:
    method = getattr(Store, name)
    assert hasattr(method, "__wrapped__")
    assert "deadline" in method.__code__.co_varnames


def test_c11_a_lock_of_another_process_is_waited_for(tmp_path: Path) -> None:
    store, other = begun(tmp_path / "index.db"), _locked(tmp_path / "index.db")
    release = threading.Timer(0.3, other.rollback)
    release.start()
    store.set_note("a", "b")
    release.join()
    assert store.note("a") == "b"


def test_c11_a_lock_beyond_patience_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    store = opened(tmp_path / "index.db", patience=0)
    other = _locked(tmp_path / "index.db")
    with pytest.raises(IndexUnavailable, match="another process has locked it"):
        store.set_note("a", "b")
    assert store.note("a") is None
    other.rollback()
    store.set_note("a", "b")
    assert store.note("a") == "b"


def test_who_is_in_a_hurry_waits_one_slice_at_most(tmp_path: Path) -> None:
    store = opened(tmp_path / "index.db", patience=600)
    other = _locked(tmp_path / "index.db")
    store.hurried.set()
    began = time.monotonic()
    with pytest.raises(IndexUnavailable):
        store.set_note("a", "b")
    assert time.monotonic() - began < 60
    other.rollback()


def _locked(path: Path) -> sqlite3.Connection:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    return other
