from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.catalog.migrations import v0001_first
from model_manager.catalog.run import database_at, opened
from model_manager.catalog.storage.database import LEGACY
from model_manager.catalog.storage.tables import model


async def test_one_parameter_holds_any_number_of_values(address: Path | str) -> None:
    async with opened(address) as store, store.database.reading() as connection:
        for values in ([], ["a"], [f"m{at}" for at in range(50_000)], ["it's", '"', "\\", "\0"]):
            found = await connection.execute(model.select().where(store.database.among(model.c.id, values)))
            assert found.all() == []


async def test_what_goes_wrong_within_a_transaction_and_is_not_the_databases_stays_as_it_is(
    address: Path | str,
) -> None:
    async with opened(address) as store:
        for error in (OSError("a file"), TimeoutError("a client"), KeyError("ours")):
            with pytest.raises(type(error)):
                async with store.database.reading():
                    raise error


async def test_a_reading_transaction_writes_nothing_on_a_server(postgres: str, tmp_path: Path) -> None:
    from tests.catalog.conftest import fresh

    async with fresh(postgres) as url, opened(url) as store:
        with pytest.raises(Exception, match=r"25006|read-only"):
            async with store.database.reading() as connection:
                await connection.exec_driver_sql("DELETE FROM model")


def test_a_path_is_sqlite_and_an_address_is_postgresql(tmp_path: Path) -> None:
    kinds = [type(database_at(each)).__name__ for each in (tmp_path / "c", "postgresql://h/d")]
    assert kinds == ["SqliteDatabase", "PostgresDatabase"]


def test_the_oldest_revision_is_the_first() -> None:
    assert v0001_first.revision == LEGACY
