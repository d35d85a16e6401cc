"""What the routes ask of a database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from model_manager.catalog.database import opened
from model_manager.catalog.loading import load
from model_manager.catalog.store import Store
from model_manager.errors import BadSetting, Broken

from .conftest import RECORDS


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    load(tmp_path / "c.sqlite", RECORDS)
    store = Store(tmp_path / "c.sqlite")
    await store.open()
    yield store
    await store.close()


async def test_an_id_wins_over_a_name(store: Store, tmp_path: Path) -> None:
    load(tmp_path / "c.sqlite", {"models": [{"id": "x", "name": "flux-dev"}]})
    found = await store.models(["flux-dev", "x"])
    assert {reference: model.id for reference, model in found.items()} == {"flux-dev": "flux-dev", "x": "x"}


async def test_names_are_told_apart_by_case(store: Store) -> None:
    assert await store.models(["FLUX1-dev.safetensors"]) == {}
    assert await store.workflows(names=["TXT2IMG"]) == ()


async def test_what_is_loaded_while_it_serves_is_seen_at_once(store: Store, tmp_path: Path) -> None:
    load(tmp_path / "c.sqlite", {"workflows": [{"name": "new", "models": ["t5"]}]})
    (workflow,) = await store.workflows(names=["new"])
    assert [need.name for need in workflow.needs] == ["t5xxl.safetensors"]


async def test_many_questions_at_once_are_all_answered(store: Store) -> None:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(store.workflows(ids=["w1", "w2"])) for _ in range(200)]
    assert {tuple(workflow.name for workflow in task.result()) for task in asked} == {("lcm", "txt2img")}


async def test_a_database_that_loses_its_tables_is_a_fault_and_no_empty_answer(store: Store, tmp_path: Path) -> None:
    with opened(tmp_path / "c.sqlite") as connection:
        connection.execute("DROP TABLE workflow_model")
    with pytest.raises(Broken):
        await store.workflows(names=["txt2img"])


async def test_a_failed_opening_leaves_a_store_that_can_be_closed(tmp_path: Path) -> None:
    store = Store(tmp_path / "nowhere" / "c.sqlite")
    with pytest.raises(BadSetting):
        await store.open()
    await store.close()
