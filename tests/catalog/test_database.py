"""The door to sqlite3."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from model_manager.catalog import database
from model_manager.catalog.database import connect, opened, query, transaction, translation
from model_manager.errors import BadRecord, BadSetting, Broken, CatalogUnavailable, ModelManagerError


def _exceptions(base: type[sqlite3.Error]) -> set[type[sqlite3.Error]]:
    return {base}.union(*map(_exceptions, base.__subclasses__()))


def test_a_missing_file_becomes_an_empty_catalog(tmp_path: Path) -> None:
    with opened(tmp_path / "new.sqlite") as connection:
        assert tuple(connection.execute(query("counts")).fetchone()) == (0, 0, 0)


def test_a_catalog_is_opened_again(tmp_path: Path) -> None:
    with opened(tmp_path / "c.sqlite") as connection:
        connection.execute(query("insert_workflow"), {"id": "w", "name": "w", "description": ""})
    with opened(tmp_path / "c.sqlite") as connection:
        assert connection.execute(query("counts")).fetchone()["workflows"] == 1


def test_garbage_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "garbage.sqlite"
    path.write_bytes(os.urandom(8192))
    with pytest.raises(BadSetting, match="Name another file"):
        connect(path)


def test_a_database_of_somebody_else_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(BadSetting, match="it is no catalog"):
        connect(path)
    assert path.read_bytes() == before


def test_a_catalog_of_another_version_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "c.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(BadSetting, match="its version is 99"):
        connect(tmp_path / "c.sqlite")


def test_a_directory_that_is_not_there_is_a_setting_to_correct(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="cannot be used"):
        connect(tmp_path / "nowhere" / "c.sqlite")


def test_c11_a_locked_catalog_is_something_to_wait_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.sqlite"
    connect(path).close()
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.0)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CatalogUnavailable) as caught:
        connect(path)
    other.close()
    assert caught.value.retry_after == 1.0


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    row = {"id": "w", "name": "w", "description": ""}
    with opened(tmp_path / "c.sqlite") as connection:
        with pytest.raises(sqlite3.IntegrityError), transaction(connection):
            connection.executemany(query("insert_workflow"), [row, row])
        assert connection.execute(query("counts")).fetchone()["workflows"] == 0


def test_two_records_of_one_name_contradict_each_other(tmp_path: Path) -> None:
    rows = [{"id": identity, "name": "w", "description": ""} for identity in ("a", "b")]
    with pytest.raises(BadRecord, match="contradict"), opened(tmp_path / "c.sqlite") as connection:
        connection.executemany(query("insert_workflow"), rows)


def test_every_exception_of_sqlite3_is_translated() -> None:
    kinds = _exceptions(sqlite3.Error)
    assert len(kinds) >= 9
    for kind in kinds:
        translated = translation(kind("boom"), Path("c.sqlite"))
        assert type(translated) in (Broken, BadRecord)
        assert isinstance(translated, ModelManagerError)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_BUSY, CatalogUnavailable),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, CatalogUnavailable),
        (sqlite3.SQLITE_FULL, CatalogUnavailable),
        (sqlite3.SQLITE_IOERR_READ, CatalogUnavailable),
        (sqlite3.SQLITE_CORRUPT, BadSetting),
        (sqlite3.SQLITE_READONLY_DIRECTORY, BadSetting),
        (sqlite3.SQLITE_ERROR, Broken),
    ],
)
def test_the_code_and_not_the_text_decides(code: int, expected: type[ModelManagerError]) -> None:
    error = sqlite3.OperationalError("whatever it says")
    error.sqlite_errorcode = code
    assert type(translation(error, Path("c.sqlite"))) is expected


def test_every_named_query_is_valid(tmp_path: Path) -> None:
    names = database._NAMED.findall(database._text("queries.sql"))
    assert len(names) == len(set(names)) > 20
    values = dict.fromkeys(
        ("refs", "ids", "names", "name", "search", "model_type", "auth_only", "limit", "offset", "id", "owner"), "[]"
    )
    rest = ("position", "reference", "required", "download_url", "save_to", "size_bytes", "size_text", "hash")
    values |= dict.fromkeys((*rest, "auth_required", "auth_env_var", "description"), "[]")
    with opened(tmp_path / "c.sqlite") as connection:
        for name in names:
            connection.execute(f"EXPLAIN {query(name)}", values)
