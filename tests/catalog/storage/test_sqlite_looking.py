"""The short way to SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from model_manager.catalog.run import opened
from model_manager.catalog.storage import sqlite_looking
from model_manager.catalog.storage.looking import Question
from model_manager.catalog.storage.store import Store
from model_manager.errors import BadSetting, Broken, CatalogUnavailable

MANY = [f"m{n}" for n in range(sqlite_looking.SHORT + 1)]
ASKED = Question("model", "either", True)


@pytest.fixture
async def own(tmp_path: Path) -> Store:
    async with opened(tmp_path / "c.sqlite") as store:
        yield store  # type: ignore[misc]


async def test_more_questions_than_threads_are_all_answered(own: Store) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(own.database.rows(ASKED, MANY)) for _ in range(20)]
    assert [task.result() for task in tasks] == [[]] * 20


async def test_who_gives_up_leaves_no_connection_in_two_hands(own: Store) -> None:
    for _ in range(sqlite_looking.THREADS * 2):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(own.database.rows(ASKED, MANY))
            await asyncio.sleep(0)
            task.cancel()
        assert task.cancelled()
    assert await own.database.rows(ASKED, MANY) == []


async def test_nothing_can_be_written_this_way(tmp_path: Path) -> None:
    async with opened(tmp_path / "c.sqlite") as store:
        looking = store.database._looking  # type: ignore[attr-defined]
        async with looking._one() as connection:
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                connection.execute("DELETE FROM model")


@pytest.mark.parametrize("wanted", [MANY[:1], MANY])
async def test_c11_a_table_that_is_gone_is_a_fault_of_one_of_our_kinds(tmp_path: Path, wanted: list[str]) -> None:
    async with opened(tmp_path / "c.sqlite") as store:
        with sqlite3.connect(tmp_path / "c.sqlite") as other:
            other.execute("DROP TABLE model")
        other.close()
        with pytest.raises((Broken, BadSetting, CatalogUnavailable)):
            await store.database.rows(ASKED, wanted)
