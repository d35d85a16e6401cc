from __future__ import annotations

import os
import signal
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from model_manager.errors import IndexTooNew, IndexUnavailable
from model_manager.facts.disk import Diff
from model_manager.facts.identity import Digests
from model_manager.index import migrating, statements
from model_manager.index.opening import APPLICATION
from model_manager.index.rows import row_of
from model_manager.index.statements import Migration

from .making import AT, begun, held, opened

NEWEST = statements.migrations()[-1].number
NEXT = Migration(
    number=NEWEST + 1,
    sql="ALTER TABLE held ADD COLUMN fresh TEXT NOT NULL DEFAULT ''; CREATE INDEX held_fresh ON held (fresh);",
)


def shape(database: sqlite3.Connection) -> dict[str, object]:
    """Tables with their columns and indexes; SQL text differs after ALTER TABLE, this does not."""
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    indexes = database.execute("SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name")
    columns = {table: database.execute(f"PRAGMA table_xinfo({table})").fetchall() for table in tables}
    return {"columns": columns, "indexes": indexes.fetchall()}


def test_a_migrated_database_is_a_fresh_one(tmp_path: Path) -> None:
    fresh, migrated = sqlite3.connect(":memory:"), sqlite3.connect(tmp_path / "index.db", isolation_level=None)
    fresh.executescript(statements.schema())
    migrating.migrate(migrated, str(tmp_path / "index.db"), statements.migrations())
    assert shape(migrated) == shape(fresh)
    assert migrating.version(migrated) == NEWEST
    assert len(migrated.execute("SELECT installation FROM identity").fetchone()[0]) == 32


def test_a_fresh_index_is_of_the_newest_schema_and_ours(tmp_path: Path) -> None:
    store = opened(tmp_path / "index.db")
    assert migrating.version(store._db) == NEWEST
    assert store._db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION
    assert not list(tmp_path.glob("*.schema-*"))


def test_c11_an_old_schema_is_copied_then_migrated_with_its_rows(tmp_path: Path) -> None:
    path = _old(tmp_path)
    database = sqlite3.connect(path, isolation_level=None)
    migrating.migrate(database, str(path), (*statements.migrations(), NEXT))

    assert migrating.version(database) == NEXT.number
    assert database.execute("SELECT file, fresh FROM held").fetchall() == [(held().file, "")]
    copy = sqlite3.connect(f"{path}.schema-{NEWEST}")
    assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert copy.execute("SELECT file FROM held").fetchall() == [(held().file,)]


def test_c11_files_of_the_first_schema_keep_everything_and_new_ones_may_know_one_digest(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    first = sqlite3.connect(path, isolation_level=None)
    migrating.migrate(first, str(path), statements.migrations()[:1])
    first.execute(f"PRAGMA application_id = {APPLICATION}")
    read, unread = held("a.gguf", content="a", evidence="origin", against="sha256:a"), held("b.gguf")
    first.executemany(statements.queries()["put_held"], [row_of(read), row_of(unread)])
    first.close()

    store = begun(path)

    assert store.held() == (read, unread)
    assert store.unhashed(9) == (unread,)
    fast = replace(unread, digests=Digests(blake3="b" * 64))
    store.apply(Diff(changed=(fast,)), at=AT)
    assert store.held() == (read, fast)


def test_a_step_that_fails_leaves_the_schema_before_it(tmp_path: Path) -> None:
    path = _old(tmp_path)
    database = sqlite3.connect(path, isolation_level=None)
    wrong = Migration(number=NEXT.number, sql=f"{NEXT.sql} INSERT INTO nowhere VALUES (1);")
    before = shape(database)
    with pytest.raises(sqlite3.OperationalError):
        migrating.migrate(database, str(path), (*statements.migrations(), wrong))
    assert shape(database) == before
    assert migrating.version(database) == NEWEST


@pytest.mark.parametrize("statement", range(1, 6))
def test_d6_killed_at_each_statement_of_a_migration_the_next_start_completes_it(tmp_path: Path, statement: int) -> None:
    path = _old(tmp_path)
    steps = (*statements.migrations(), NEXT)
    child = os.fork()
    if child == 0:
        _migrate_and_die(path, steps, statement)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL

    database = sqlite3.connect(path, isolation_level=None)
    assert migrating.version(database) == NEWEST
    migrating.migrate(database, str(path), steps)
    assert migrating.version(database) == NEXT.number
    assert database.execute("SELECT file, fresh FROM held").fetchall() == [(held().file, "")]


def test_c11_an_index_of_a_newer_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = _old(tmp_path)
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 999")
    database.close()
    before = path.read_bytes()

    with pytest.raises(IndexTooNew, match=f"has schema 999; this version knows {NEWEST}") as refusal:
        opened(path)

    assert isinstance(refusal.value, IndexUnavailable)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*corrupt*"))


def _old(directory: Path) -> Path:
    store = begun(directory / "index.db")
    store.apply(Diff(appeared=(held(),)), at=AT)
    store.close()
    return directory / "index.db"


def _migrate_and_die(path: Path, steps: tuple[Migration, ...], statement: int) -> None:
    try:
        database = sqlite3.connect(path, isolation_level=None)
        seen: list[str] = []

        def trace(sql: str) -> None:
            seen.append(sql)
            if len([one for one in seen if not one.startswith("--")]) == statement + 1:
                os.kill(os.getpid(), signal.SIGKILL)

        database.set_trace_callback(trace)
        migrating.migrate(database, str(path), steps)
    finally:
        os._exit(1)
