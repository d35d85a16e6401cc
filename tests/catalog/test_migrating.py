"""Revisions, up and down, with what lies in the tables, on both databases."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from model_manager.catalog import migrating
from model_manager.catalog.incoming.bulk import load
from model_manager.catalog.incoming.loading import as_written
from model_manager.catalog.migrations import v0001_first, v0002_versions, v0003_answers, v0004_checkups, v0005_sought
from model_manager.catalog.operating import exported
from model_manager.catalog.records import Asked
from model_manager.catalog.run import database_at, opened
from model_manager.catalog.storage import tables
from model_manager.catalog.storage.store import Store
from model_manager.errors import BadSetting

from .conftest import RECORDS


async def _export(address: Path | str) -> list[bytes]:
    async with opened(address) as store:
        return [line async for line in exported(store)]


async def _fill(address: Path | str) -> None:
    async with opened(address) as store:
        await load(store, as_written(RECORDS), "test")


async def _migrate(address: Path | str, target: str) -> str:
    database = database_at(address)
    try:
        return await database.migrate(target)
    finally:
        await database.close()


def test_the_revisions_are_a_chain() -> None:
    assert (v0001_first.revision, v0002_versions.down_revision) == ("0001", "0001")
    assert (v0002_versions.revision, v0003_answers.down_revision) == ("0002", "0002")
    assert (v0003_answers.revision, v0004_checkups.down_revision) == ("0003", "0003")
    assert (v0004_checkups.revision, v0005_sought.down_revision) == ("0004", "0004")
    assert migrating.head() == v0005_sought.revision == "0005"


async def test_a_migrated_database_is_as_a_fresh_one(address: Path | str) -> None:
    await _fill(address)
    for target in ("0001", "head"):
        await _migrate(address, target)

    def differences(connection: Any) -> list[Any]:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), tables.metadata)

    database = database_at(address)
    async with database.writing() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(migrating.revision) == "0005"
    await database.close()


async def test_down_and_up_again_everything_that_the_old_tables_hold_is_there(address: Path | str) -> None:
    await _fill(address)
    before = await _export(address)
    for down, up in (("-1", "+1"), ("0001", "head")):
        await _migrate(address, down)
        await _migrate(address, up)
        assert await _export(address) == before
        assert await _found(address) == {"look.safetensors", "flux1-dev.safetensors", "SD15/LCM/realism.safetensors"}


async def _found(address: Path | str) -> set[str]:
    """By every filter, one after the other."""
    async with opened(address) as store:
        pages = [
            await store.found("model", asked)
            for asked in (Asked(search="LOOK"), Asked(auth_only=True), Asked(search="flux 100%"))
        ]
    return {each.name for page in pages for each in page.items}


async def test_an_unknown_revision_is_refused_and_nothing_happens(address: Path | str) -> None:
    await _fill(address)
    before = await _export(address)
    with pytest.raises(BadSetting, match="'9999' cannot be reached"):
        await _migrate(address, "9999")
    assert await _export(address) == before


async def test_a_newer_database_is_left_alone(address: Path | str) -> None:
    await _fill(address)
    database = database_at(address)
    async with database.writing() as connection:
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0099'")
    await database.close()
    with pytest.raises(BadSetting, match="0099, which this version does not know"):
        async with opened(address):
            pass


async def test_a_file_from_before_there_were_migrations_is_copied_and_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    with sqlite3.connect(path) as old:
        for statement in v0001_first.TABLES:
            old.execute(statement)
        old.execute(
            "INSERT INTO model VALUES ('t5', 't5.pt', 'https://h/t5.pt', 'vae', NULL, '9.79GB', ?, 0, NULL, 'vae', 'd')",
            ("ab" * 32,),
        )
        old.execute("INSERT INTO model_dependency VALUES ('t5', 0, 'gone')")
        old.execute("INSERT INTO workflow VALUES ('w', 'flow', '')")
        old.execute("INSERT INTO workflow_model VALUES ('w', 0, 't5', 0)")
        old.execute("INSERT INTO workflow_custom_node VALUES ('w', 0, 'node')")
        old.execute("INSERT INTO collection VALUES ('c', 'c', '')")
        old.execute("INSERT INTO collection_node VALUES ('c', 0, 'flow')")
        old.execute(f"PRAGMA application_id = {0x6D6D6361}")
        old.execute("PRAGMA user_version = 1")
    old.close()
    async with opened(path) as store:
        model = (await store.by_id("model", ["t5"]))["t5"]
        assert '"fileSize":"9.79GB"' in model.doc
        assert '"dependencies":["gone"]' in model.doc
        assert '"is_required":false' in (await store.by_name("workflow", ["flow"]))["flow"].doc
        assert (await store.found("model", _with_hash("ab" * 32))).total == 1
    (saved,) = tmp_path.glob("c.sqlite.before-0001-*")
    with sqlite3.connect(saved) as copy:
        assert copy.execute("SELECT download_url FROM model").fetchall() == [("https://h/t5.pt",)]
    copy.close()


async def test_postgres_of_an_older_revision_is_migrated_only_by_command(postgres: str) -> None:
    from .conftest import fresh

    async with fresh(postgres) as url:
        await _fill(url)
        await _migrate(url, "0001")
        with pytest.raises(BadSetting, match="model-manager catalog migrate"):
            async with opened(url):
                pass
        await _migrate(url, "head")
        assert len(await _export(url)) == 7


def _with_hash(digits: str) -> Any:
    return Asked(hash=digits, limit=10)


async def test_two_databases_have_two_lives(tmp_path: Path) -> None:
    epochs = set()
    for name in ("a", "b"):
        async with opened(tmp_path / name) as store:
            assert isinstance(store, Store)
            epochs.add((await store.position()).epoch)
    assert len(epochs) == 2
