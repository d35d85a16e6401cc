"""The short way to PostgreSQL."""

from __future__ import annotations

import asyncio
import re

import asyncpg
import pytest
from sqlalchemy.dialects import postgresql

from model_manager.catalog.run import opened
from model_manager.catalog.storage import postgres_looking
from model_manager.catalog.storage.looking import Question
from model_manager.catalog.storage.postgres_looking import CONNECTIONS, PostgresLooking
from model_manager.errors import CatalogUnavailable
from tests.catalog.conftest import fresh

ASKED = Question("model", "either", True)


async def test_a_connection_that_was_cut_is_an_outage_at_most_once_each_and_then_there_are_new_ones(
    postgres: str,
) -> None:
    async with fresh(postgres) as url, opened(url) as store:
        assert await store.database.rows(ASKED, ["a"]) == []
        admin = await asyncpg.connect(url)
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        await admin.close()
        for _ in range(20):
            try:
                assert await store.database.rows(ASKED, ["a"]) == []
                break
            except CatalogUnavailable:
                continue
        assert await store.database.rows(ASKED, ["a"]) == []


async def test_nothing_can_be_written_within_a_look(postgres: str) -> None:
    async with fresh(postgres) as url, opened(url) as store, store.looking() as looker:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await looker._connection.execute("DELETE FROM model")  # type: ignore[attr-defined]


async def test_a_connection_that_is_cut_while_it_is_asked_is_an_outage_and_not_asked_again(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fresh(postgres) as url, opened(url) as store:
        assert await store.database.rows(ASKED, ["a"]) == []
        with monkeypatch.context() as patch:
            patch.setattr(asyncpg.Connection, "fetch", _cut)
            with pytest.raises(CatalogUnavailable):
                await store.database.rows(ASKED, ["a"])
        assert store.database._looking._free == []  # type: ignore[attr-defined]
        assert await store.database.rows(ASKED, ["a"]) == []


async def test_who_gives_up_leaves_no_connection_that_still_has_something_to_say(postgres: str) -> None:
    async with fresh(postgres) as url, opened(url) as store:
        looking = store.database._looking  # type: ignore[attr-defined]
        asked = asyncio.Event()

        async def sleep() -> None:
            async with looking._one() as connection:
                asked.set()
                await connection.execute("SELECT pg_sleep(600)")

        async with asyncio.TaskGroup() as group:
            task = group.create_task(sleep())
            await asked.wait()
            task.cancel()
        assert looking._free == []
        assert await store.database.rows(ASKED, ["a"]) == []
        assert len(looking._free) == 1


async def test_more_questions_than_connections_are_all_answered_and_connections_are_kept(postgres: str) -> None:
    async with fresh(postgres) as url, opened(url) as store:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(store.database.rows(ASKED, ["a"])) for _ in range(20)]
        assert [task.result() for task in tasks] == [[]] * 20
        assert 1 <= len(store.database._looking._free) <= CONNECTIONS  # type: ignore[attr-defined]


async def test_a_connection_that_was_silent_for_long_is_asked_no_more(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fresh(postgres) as url, opened(url) as store:
        assert await store.database.rows(ASKED, ["a"]) == []
        ((first, _),) = store.database._looking._free  # type: ignore[attr-defined]
        assert await store.database.rows(ASKED, ["a"]) == []
        assert store.database._looking._free[0][0] is first  # type: ignore[attr-defined]
        monkeypatch.setattr(postgres_looking, "IDLE_SECONDS", 0.0)
        assert await store.database.rows(ASKED, ["a"]) == []
        ((second, _),) = store.database._looking._free  # type: ignore[attr-defined]
        assert second is not first
        assert first.is_closed()


async def test_a_look_up_is_planned_once_and_by_an_index_even_where_there_was_nothing_yet(postgres: str) -> None:
    async with fresh(postgres) as url, opened(url) as store:
        for name in "abcdefgh":
            assert await store.by_name("model", [name]) == {}
        async with store.database._looking._one() as connection:  # type: ignore[attr-defined]
            asked = (
                "SELECT name, generic_plans, custom_plans FROM pg_prepared_statements WHERE statement ^@ 'SELECT model'"
            )
            ((statement, kept, anew),) = await connection.fetch(asked)
            plan = await connection.fetch(f"EXPLAIN EXECUTE \"{statement}\"('a', '-')")
    assert (kept, anew) == (8, 0)
    assert not any("Seq Scan" in line for (line,) in plan), plan


async def test_a_statement_takes_its_values_once_however_often_they_are_asked_for() -> None:
    looking = PostgresLooking({}, postgresql.asyncpg.dialect())
    for text in (looking._asking.rows(ASKED), looking._asking.joined("model", "name")):
        assert set(re.findall(r"[$][0-9]+", text)) == {"$1", "$2"}


async def _cut(*_: object) -> None:
    raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
