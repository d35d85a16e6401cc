from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from model_manager.errors import BadForeign, DiskUnavailable, ForeignBusy
from model_manager.neighbours import databases
from tests.library.shelves import as_nobody
from tests.neighbours.writing import beside, database, insert

WANTED = {"t": ("a", "b"), "absent": ("a",)}
SCHEMA = "CREATE TABLE t (a TEXT, b INTEGER, c TEXT)"


def rows(path: Path) -> list[object]:
    tables, odd = databases.tables(str(path), WANTED)
    assert not odd
    assert "absent" not in tables
    return [row["a"] for row in tables["t"].rows]


@contextmanager
def writer(path: Path) -> Iterator[sqlite3.Connection]:
    """The database's own program, with a row in its log and no checkpoint yet."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        connection.execute("INSERT INTO t VALUES ('live', 2, '')")
        yield connection


@pytest.mark.parametrize("wal", [False, True])
def test_rows_come_with_the_wanted_columns_that_are_there(tmp_path: Path, wal: bool) -> None:
    path = database(tmp_path / "x ?#%.db", SCHEMA, wal=wal)
    insert(path, "t", {"a": "x", "b": 1, "c": "y"}, {"a": None, "b": "text"})
    tables, odd = databases.tables(str(path), WANTED)
    rows_ = ({"a": "x", "b": 1}, {"a": None, "b": "text"})
    assert tables == {"t": databases.Table(columns=("a", "b"), rows=rows_)}
    assert not odd


@pytest.mark.parametrize("wal", [False, True])
def test_nothing_is_written_beside_a_database_at_rest(tmp_path: Path, wal: bool) -> None:
    path = database(tmp_path / "x.db", SCHEMA, wal=wal)
    insert(path, "t", {"a": "x"})
    before = path.stat(), path.read_bytes()
    assert rows(path) == ["x"]
    assert beside(path) == ["x.db"]
    assert (path.stat().st_mtime_ns, path.read_bytes()) == (before[0].st_mtime_ns, before[1])


@pytest.mark.parametrize("wal", [False, True])
def test_a_database_is_read_while_its_program_has_it_open(tmp_path: Path, wal: bool) -> None:
    path = database(tmp_path / "x.db", SCHEMA, wal=wal)
    insert(path, "t", {"a": "x"})
    with writer(path) as own:
        before = beside(path)
        assert rows(path) == ["x", "live"]
        assert beside(path) == before
        own.execute("INSERT INTO t VALUES ('more', 3, '')")
        assert rows(path) == ["x", "live", "more"]


def test_a_program_in_the_middle_of_a_change_shows_what_was_before(tmp_path: Path) -> None:
    for wal in (False, True):
        path = database(tmp_path / f"{wal}.db", SCHEMA, wal=wal)
        insert(path, "t", {"a": "x"})
        with closing(sqlite3.connect(path, isolation_level=None)) as own:
            own.execute("BEGIN IMMEDIATE")
            own.execute("INSERT INTO t VALUES ('half', 2, '')")
            assert rows(path) == ["x"]


def test_a_database_that_is_held_for_itself_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "PATIENCE", 0.05)
    path = database(tmp_path / "x.db", SCHEMA)
    with closing(sqlite3.connect(path, isolation_level=None)) as own:
        own.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ForeignBusy):
            rows(path)


def test_a_log_without_its_shared_memory_is_read_in_a_copy(tmp_path: Path) -> None:
    path = database(tmp_path / "x.db", SCHEMA, wal=True)
    copy = tmp_path / "copy" / "y.db"
    copy.parent.mkdir()
    with writer(path):
        shutil.copyfile(path, copy)
        shutil.copyfile(f"{path}-wal", f"{copy}-wal")
    before = {name: (copy.parent / name).read_bytes() for name in beside(copy)}
    assert rows(copy) == ["live"]
    assert {name: (copy.parent / name).read_bytes() for name in beside(copy)} == before


def test_a_copy_aside_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = database(tmp_path / "x.db", SCHEMA, wal=True)
    with writer(path):
        shutil.copyfile(path, tmp_path / "y.db")
        shutil.copyfile(f"{path}-wal", tmp_path / "y.db-wal")
    monkeypatch.setattr(databases, "MAX_COPY", 1000)
    with pytest.raises(ForeignBusy):
        rows(tmp_path / "y.db")


CRASH = """
import os, sqlite3, sys
own = sqlite3.connect(sys.argv[1], isolation_level=None)
own.execute("INSERT INTO t VALUES ('whole', 1, '')")
own.execute("PRAGMA cache_size = 1")
own.execute("BEGIN")
own.executemany("INSERT INTO t VALUES (?, 1, '')", ((f"half {n}" * 50,) for n in range(500)))
os._exit(0)
"""


@pytest.mark.parametrize(("wal", "left"), [(False, "-journal"), (True, "-wal")])
def test_what_a_crash_left_half_done_is_not_seen_and_not_touched(tmp_path: Path, wal: bool, left: str) -> None:
    path = database(tmp_path / "x.db", SCHEMA, wal=wal)
    insert(path, "t", {"a": "x"})
    subprocess.run([sys.executable, "-c", CRASH, str(path)], check=True)
    assert Path(f"{path}{left}").stat().st_size > 0
    before = {name: (tmp_path / name).read_bytes() for name in beside(path)}
    assert rows(path) == ["x", "whole"]
    assert {name: (tmp_path / name).read_bytes() for name in beside(path)} == before


def test_a_database_at_rest_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = database(tmp_path / "x.db", SCHEMA, wal=True)
    insert(path, "t", {"a": "x"})
    reading = databases._read
    left = [1, 1]

    def disturbed(*args: object) -> object:
        found = reading(*args)  # type: ignore[arg-type]
        if left:
            left.pop()
            insert(path, "t", {"a": "new"})
        return found

    monkeypatch.setattr(databases, "_read", disturbed)
    assert rows(path) == ["x", "new", "new"]
    left += [1] * databases.TRIES
    with pytest.raises(ForeignBusy, match="changed during"):
        rows(path)


@pytest.mark.parametrize("wal", [False, True])
def test_a_program_that_writes_all_the_time_and_its_reader_do_not_stop_each_other(tmp_path: Path, wal: bool) -> None:
    path = database(tmp_path / "x.db", SCHEMA, wal=wal)
    stop = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as own:
                own.execute("PRAGMA synchronous = OFF")
                while not stop.is_set():
                    own.execute("INSERT INTO t VALUES ('x', 1, '')")
        except BaseException as error:
            failures.append(error)

    with closing(sqlite3.connect(path)) as open_:
        open_.execute("INSERT INTO t VALUES ('x', 1, '')")
        open_.commit()
        thread = threading.Thread(target=write)
        thread.start()
        try:
            counts = [len(rows(path)) for _ in range(20)]
        finally:
            stop.set()
            thread.join()
    assert not failures
    assert counts == sorted(counts)
    assert counts[-1] > 0


@pytest.mark.parametrize(
    "content", [b"", b"not a database at all" * 100, b"SQLite format 3\x00", b"SQLite format 3\x00" + b"\xff" * 9000]
)
def test_k7_what_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(content)
    with pytest.raises(BadForeign):
        databases.tables(str(path), WANTED)


def test_a_damaged_database_is_refused_or_gives_the_rows_it_can(tmp_path: Path) -> None:
    path = database(tmp_path / "x.db", SCHEMA)
    insert(path, "t", *({"a": f"{n}" * 200} for n in range(500)))
    whole = path.read_bytes()
    for at in range(4096, len(whole), 8192):
        path.write_bytes(whole[:at] + b"\xff" * 300 + whole[at + 300 :])
        try:
            tables, _ = databases.tables(str(path), WANTED)
        except BadForeign:
            continue
        assert len(tables["t"].rows) <= 500


def test_k7_a_row_too_long_takes_no_other_with_it(tmp_path: Path) -> None:
    path = database(tmp_path / "x.db", SCHEMA)
    insert(path, "t", {"a": "x"}, {"a": "y" * (databases.MAX_CELL + 1)}, {"a": "z"})
    tables, odd = databases.tables(str(path), WANTED)
    assert [row["a"] for row in tables["t"].rows] == ["x", "z"]
    assert [each.where for each in odd] == [f"{path}, t 2"]


def test_text_that_is_no_utf8_is_read_with_marks_in_it(tmp_path: Path) -> None:
    path = database(tmp_path / "x.db", SCHEMA)
    with closing(sqlite3.connect(path)) as own, own:
        own.execute("INSERT INTO t (a) VALUES (CAST(x'61ff62' AS TEXT))")
    assert rows(path) == ["a\ufffdb"]


def test_k7_a_view_that_computes_for_ever_is_no_table(tmp_path: Path) -> None:
    schema = "CREATE VIEW t AS WITH RECURSIVE n(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n) SELECT a, a AS b FROM n"
    path = database(tmp_path / "x.db", schema)
    assert databases.tables(str(path), WANTED) == ({}, ())


def test_rows_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "MAX_ROWS", 3)
    path = database(tmp_path / "x.db", SCHEMA)
    insert(path, "t", *({"a": str(n)} for n in range(5)))
    assert len(rows(path)) == 3


def test_h6_what_is_not_there_and_what_is_no_file_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(DiskUnavailable):
        rows(tmp_path / "nowhere.db")
    for path in (tmp_path, tmp_path / "fifo"):
        with pytest.raises(BadForeign):
            rows(path)


def test_a_database_in_a_directory_that_we_may_not_write_is_read() -> None:
    with tempfile.TemporaryDirectory() as closed:
        Path(closed).chmod(0o755)
        paths = [database(Path(closed) / f"{wal}.db", SCHEMA, wal=wal) for wal in (False, True)]
        for path in paths:
            insert(path, "t", {"a": "x"})
            path.chmod(0o644)

        def look() -> None:
            assert [rows(path) for path in paths] == [["x"], ["x"]]

        def look_again() -> None:
            assert [rows(path) for path in paths] == [["x", "live"], ["x", "live"]]

        as_nobody(look)
        with writer(paths[0]), writer(paths[1]):
            as_nobody(look_again)
