"""The door to SQLite: what is no catalog stays as it was, and every failure is one of ours."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from model_manager.catalog.run import opened
from model_manager.catalog.storage.sqlite import SqliteDatabase, translation
from model_manager.errors import BadRecord, BadSetting, Broken, CatalogUnavailable, ModelManagerError


async def test_a_missing_file_becomes_an_empty_catalog_and_is_opened_again(tmp_path: Path) -> None:
    for _ in range(2):
        async with opened(tmp_path / "c.sqlite") as store:
            assert (await store.counts()).empty


async def test_garbage_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "garbage.sqlite"
    path.write_bytes(os.urandom(8192))
    before = path.read_bytes()
    with pytest.raises(BadSetting, match="Name another file"):
        async with opened(path):
            pass
    assert path.read_bytes() == before


async def test_a_database_of_somebody_else_is_refused_and_keeps_its_tables(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE model (id)")
    other.close()
    with pytest.raises(BadSetting, match="it is no catalog"):
        async with opened(path):
            pass
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("model",)]
    other.close()


async def test_a_directory_that_is_not_there_is_a_setting_to_correct(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="cannot be used"):
        async with opened(tmp_path / "nowhere" / "c.sqlite"):
            pass


async def test_a_writer_does_not_hold_up_readers(tmp_path: Path) -> None:
    async with opened(tmp_path / "c.sqlite") as store, store.transaction():
        assert (await store.counts()).empty


async def test_a_failed_transaction_gives_its_connection_back(tmp_path: Path) -> None:
    async with opened(tmp_path / "c.sqlite") as store:
        for _ in range(3):
            with pytest.raises(ValueError, match="ours"):
                async with store.transaction():
                    raise ValueError("ours")
        async with store.transaction():
            pass


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY, CatalogUnavailable), (sqlite3.SQLITE_LOCKED, CatalogUnavailable),
        (sqlite3.SQLITE_FULL, CatalogUnavailable), (sqlite3.SQLITE_IOERR, CatalogUnavailable),
        (sqlite3.SQLITE_NOTADB, BadSetting), (sqlite3.SQLITE_CORRUPT, BadSetting), (sqlite3.SQLITE_CANTOPEN, BadSetting),
        (sqlite3.SQLITE_ERROR, Broken),
    ],
)  # fmt: skip
def test_a_failure_is_sorted_by_what_to_do_next(code: int, kind: type[ModelManagerError]) -> None:
    cause = sqlite3.OperationalError("x")
    cause.sqlite_errorcode = code
    assert type(translation(OperationalError("SELECT 1", {}, cause), Path("c"))) is kind
    assert type(translation(cause, Path("c"))) is kind


def test_records_that_contradict_each_other_are_records_to_correct() -> None:
    assert type(translation(sqlite3.IntegrityError("UNIQUE"), Path("c"))) is BadRecord


def test_its_name_is_its_place(tmp_path: Path) -> None:
    assert SqliteDatabase(tmp_path / "c.sqlite").name == str(tmp_path / "c.sqlite")
