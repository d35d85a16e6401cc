"""The short way to PostgreSQL."""

from __future__ import annotations

import asyncpg
import pytest

from model_manager.catalog.run import opened
from model_manager.catalog.storage.looking import Question
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
        held = store.database._looking._pool  # type: ignore[attr-defined]
        assert held.get_size() - held.get_idle_size() == 0
        assert await store.database.rows(ASKED, ["a"]) == []


async def _cut(*_: object) -> None:
    raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
