from __future__ import annotations

import os
import signal
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from model_manager.errors import IndexTooNew, IndexUnavailable
from model_manager.facts.description import Address, Claim, Lore, Told
from model_manager.facts.disk import Diff, Held
from model_manager.facts.identity import Pin
from model_manager.facts.known import Answer
from model_manager.index import migrating, statements
from model_manager.index.opening import APPLICATION
from model_manager.index.reading import Shop
from model_manager.index.statements import Migration

from .making import AT, ROOT, begun, held, insist_that_contents_are_whole, opened

NEWEST = statements.migrations()[-1].number
NEXT = Migration(
    number=NEWEST + 1,
    sql="ALTER TABLE location ADD COLUMN fresh TEXT NOT NULL DEFAULT ''; CREATE INDEX fresh ON location (fresh);",
)


def shape(database: sqlite3.Connection) -> dict[str, object]:
    """Tables with their columns, indexes and views; a table's SQL differs after ALTER TABLE, this does not."""
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    indexes = database.execute("SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name")
    columns = {table: database.execute(f"PRAGMA table_xinfo({table})").fetchall() for table in tables}
    views = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view' ORDER BY name")
    return {"columns": columns, "indexes": indexes.fetchall(), "views": views.fetchall()}


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
    assert database.execute("SELECT file, fresh FROM location").fetchall() == [(held().file, "")]
    copy = sqlite3.connect(f"{path}.schema-{NEWEST}")
    assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert copy.execute("SELECT file FROM location").fetchall() == [(held().file,)]


def _before(path: Path, schema: int, files: list[Held]) -> None:
    """An index of schema 1 or 2 with these files."""
    database = sqlite3.connect(path, isolation_level=None)
    migrating.migrate(database, str(path), statements.migrations()[:schema])
    database.execute(f"PRAGMA application_id = {APPLICATION}")
    for one in files:
        known = one.digests
        digests = (known.sha256, known.blake3, known.md5, known.tensor and known.tensor[:12]) if known else (None,) * 4
        marks = (one.fingerprint.device, one.fingerprint.inode, one.fingerprint.size, one.fingerprint.mtime_ns)
        row = (one.file, one.root, one.shelf.folder, one.shelf.name, *one.shelf.slot, *marks, *digests, one.evidence)
        database.execute(f"INSERT INTO held VALUES ({', '.join('?' * 17)})", (*row, one.against, one.verified_at))
    database.execute("INSERT INTO note VALUES ('k', 'v')")
    database.close()
    for copy in path.parent.glob("*.schema-*"):
        copy.unlink()


def _without(held: Held, *digests: str) -> Held:
    return replace(held, digests=held.digests and replace(held.digests, **dict.fromkeys(digests)))


@pytest.mark.parametrize("schema", [1, 2])
def test_c11_files_of_older_schemas_keep_everything_that_is_known_of_them(tmp_path: Path, schema: int) -> None:
    path = tmp_path / "index.db"
    read, unread = held("a.gguf", content="a", evidence="origin", against="sha256:a"), held("sub/É.gguf", inode=8)
    _before(path, schema, [unread, read])

    store = begun(path)

    assert store.rebuilt == ""
    assert store.held() == (_without(read, "tensor", "crc32"), unread)
    assert store.unhashed(9) == (unread,)
    assert store.note("k") == "v"
    assert [(one.path, one.tracked_by) for one in store.directories()] == [(ROOT, "settings")]
    assert Path(f"{path}.schema-{schema}").exists()
    assert store.in_slot(unread.shelf) == (unread,)
    insist_that_contents_are_whole(store)
    store.close()
    with Shop.open(path) as shop:
        assert [known.file for known in shop.find("é.gguf")] == [unread.file]
        (known,) = shop.find(read.digests.sha256[:8])
        assert known.claims == (read.digests.tensor[:12],)


def test_c11_copies_and_hard_links_of_an_older_schema_become_one_content_and_strangers_do_not(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    whole, copy = held("a.gguf", content="a", inode=1), held("b.gguf", content="a", inode=2)
    fast = _without(held("c.gguf", content="a", inode=3), "sha256", "md5", "tensor")
    alone = _without(held("d.gguf", content="d", inode=4), "sha256", "md5", "tensor")
    links = [held("e.gguf", inode=5), held("f.gguf", inode=5)]
    other = held("g.gguf", inode=6)
    _before(path, 2, [whole, copy, fast, alone, *links, other])

    store = begun(path)

    contents = dict(store._db.execute("SELECT name, content_id FROM location"))
    assert contents["a.gguf"] == contents["b.gguf"] == contents["c.gguf"]
    assert contents["e.gguf"] == contents["f.gguf"]
    assert len(set(contents.values())) == 4
    assert store.held()[2] == _without(fast, "crc32")
    assert store.twins([whole.file]) == (_without(replace(fast, digests=whole.digests), "crc32", "tensor"),)
    insist_that_contents_are_whole(store)


def test_c11_rows_of_an_older_schema_that_contradict_each_other_do_not_stop_it(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    one, other = held("a.gguf", content="a", inode=1), held("b.gguf", content="b", inode=2)
    liar = replace(other, digests=replace(other.digests, blake3=one.digests.blake3))
    _before(path, 2, [one, liar])

    store = begun(path)

    assert [row.digests.sha256 for row in store.held()] == [one.digests.sha256, other.digests.sha256]
    assert sum(row.digests.blake3 is not None for row in store.held()) == 1
    insist_that_contents_are_whole(store)
    assert len(store.with_digest(Pin(algorithms=("sha256",), hex=one.digests.sha256))) == 1


@pytest.mark.parametrize("schema", [4, 5])
def test_c11_every_row_of_a_schema_before_names_and_subfolders_stood_in_rows_is_kept_and_found(
    tmp_path: Path, schema: int
) -> None:
    files = [held("a.gguf", content="a"), held("sub/É.gguf", inode=8), held("sub/b.gguf", folder="loras", inode=9)]
    fresh = begun(tmp_path / "fresh.db")
    fresh.apply(Diff(appeared=tuple(files)), at=AT)
    fresh.learn([(files[0].file, _LORE)], at=AT)
    fresh.answered("civitai", [Answer(sha256="ab", outcome="found", at=1.0, due=2.0, times=3)])
    fresh.set_note("k", "v")
    wanted = _rows(fresh._db)
    assert not [table for table, rows in wanted.items() if not rows]

    migrated = opened(_as_of(schema, tmp_path / "old.db", wanted))

    assert (migrated.rebuilt, _rows(migrated._db)) == ("", wanted)
    copy = sqlite3.connect(tmp_path / f"old.db.schema-{schema}")
    assert copy.execute("SELECT count(*) FROM location").fetchone() == (len(files),)
    migrated.close()
    with Shop.open(tmp_path / "old.db") as shop:
        assert [one.file for one in shop.find("ub/b.")] == [files[2].file]
        assert [one.file for one in shop.find(".gg", folder="checkpoints/sub")] == [files[1].file]


_LORE = Lore(
    file="",
    told=(Told(field="name", value="x", teller="civitai", at=AT),),
    addresses=(Address(kind="url", url="https://example.org/a"),),
    claims=(Claim(pin=Pin(algorithms=("md5",), hex="a" * 32), who="somebody"),),
    preview="/srv/a.png",
)


def _rows(database: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, by table, without what SQLite keeps for itself."""
    tables = database.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    ).fetchall()
    return {table: sorted(database.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for (table,) in tables}


def _as_of(schema: int, path: Path, rows: dict[str, list[tuple[object, ...]]]) -> Path:
    """An index of schema 4, which had no names by subfolders, or 5, which had no rows of subfolders, with these rows."""
    database = sqlite3.connect(path, isolation_level=None)
    migrating.migrate(database, str(path), statements.migrations()[:schema])
    database.execute(f"PRAGMA application_id = {APPLICATION}")
    for table, each in rows.items():
        if table not in ("names", "subfolder", "subfolders"):
            database.execute(f"DELETE FROM {table}")
            database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(each[0]))})", each)
    if schema == 4:
        database.execute("INSERT INTO bases (some) SELECT CAST(group_concat(base, char(0)) AS BLOB) FROM location")
    database.close()
    for copy in path.parent.glob("*.schema-*"):
        copy.unlink()
    return path


def test_of_the_copies_of_older_schemas_the_newest_is_kept(tmp_path: Path) -> None:
    path = _old(tmp_path)
    for number in (1, 2):
        Path(f"{path}.schema-{number}").touch()
    migrating.migrate(sqlite3.connect(path, isolation_level=None), str(path), (*statements.migrations(), NEXT))
    assert [copy.name for copy in tmp_path.glob("*.schema-*")] == [f"index.db.schema-{NEWEST}"]


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
    assert database.execute("SELECT file, fresh FROM location").fetchall() == [(held().file, "")]


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
