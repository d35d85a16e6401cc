"""The door to PostgreSQL: every failure is one of ours, and no password is in any of them."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from model_manager.catalog.run import opened
from model_manager.catalog.storage.postgres import PostgresDatabase, translation
from model_manager.catalog.storage.store import Store
from model_manager.errors import BadRecord, BadSetting, Broken, CatalogUnavailable, ModelManagerError
from tests.catalog.conftest import fresh


@pytest.mark.parametrize("address", ["x", "postgresql://h:port/d", "postgresql://u:CANARY@h:bad/d"])
def test_what_is_no_address_is_a_setting_to_correct(address: str) -> None:
    with pytest.raises(BadSetting) as refused:
        PostgresDatabase(address)
    assert "CANARY" not in str(refused.value)


def test_its_name_shows_no_password_and_no_option() -> None:
    assert PostgresDatabase("postgresql://u:CANARY@h/d?sslpassword=CANARY").name == "postgresql://u:***@h/d"


async def test_a_server_that_is_not_there_is_waited_for() -> None:
    with pytest.raises(CatalogUnavailable) as away:
        async with opened("postgresql://user:CANARY@127.0.0.1:1/d"):
            pass
    assert away.value.retry_after
    assert "CANARY" not in str(away.value)


async def test_a_database_that_is_not_there_is_a_setting_to_correct(postgres: str) -> None:
    async with fresh(postgres) as url:
        with pytest.raises(BadSetting, match="SQLSTATE 3D000"):
            async with opened(url.replace("mm_test", "no_such")):
                pass


async def test_a_connection_that_was_cut_is_replaced(postgres: str) -> None:
    async with fresh(postgres) as url, opened(url) as store:
        assert (await store.counts()).empty
        admin = await asyncpg.connect(postgres)
        ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'model_manager catalog'"
        await admin.execute(ours)
        await admin.close()
        async with asyncio.timeout(20):
            while not await _answers(store):
                await asyncio.sleep(0.05)


async def _answers(store: Store) -> bool:
    try:
        return (await store.counts()).empty
    except CatalogUnavailable:
        return False


async def test_two_that_open_an_empty_database_at_once_make_it_once(postgres: str) -> None:
    async def look(url: str) -> str:
        async with opened(url) as store:
            return (await store.position()).epoch

    async with fresh(postgres) as url:
        assert len(set(await asyncio.gather(*(look(url) for _ in range(4))))) == 1


class _Failed(Exception):
    def __init__(self, state: str) -> None:
        super().__init__("x")
        self.sqlstate = state


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("08006", CatalogUnavailable), ("57P01", CatalogUnavailable), ("53300", CatalogUnavailable),
        ("40001", CatalogUnavailable), ("55P03", CatalogUnavailable), ("28P01", BadSetting), ("3D000", BadSetting),
        ("42501", BadSetting), ("23505", BadRecord), ("42P01", Broken), ("22021", Broken),
    ],
)  # fmt: skip
def test_a_failure_is_sorted_by_what_to_do_next(state: str, kind: type[ModelManagerError]) -> None:
    assert type(translation(_Failed(state), "pg")) is kind


def test_what_never_reached_the_server_is_an_outage_and_anything_else_is_ours() -> None:
    assert type(translation(asyncpg.InterfaceError("x"), "pg")) is CatalogUnavailable
    assert type(translation(ValueError("x"), "pg")) is Broken
