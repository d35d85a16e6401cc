"""Plain JSON into a catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model_manager.catalog.loading import load
from model_manager.catalog.records import Asked, Counts
from model_manager.catalog.store import Store
from model_manager.errors import BadRecord

from .conftest import RECORDS


async def _read(database: Path) -> tuple[Counts, list[str]]:
    store = Store(database)
    await store.open()
    try:
        (workflow,) = await store.workflows(names=["txt2img"])
        return await store.counts(), [need.name for need in workflow.needs]
    finally:
        await store.close()


async def test_a_record_that_is_there_already_is_replaced(tmp_path: Path) -> None:
    database = tmp_path / "c.sqlite"
    load(database, RECORDS)
    load(database, {"workflows": [{"id": "w9", "name": "txt2img", "models": ["t5"]}]})
    assert await _read(database) == (Counts(models=4, workflows=2, collections=1), ["t5xxl.safetensors"])


async def test_the_whole_catalog_is_replaced_on_demand(tmp_path: Path) -> None:
    database = tmp_path / "c.sqlite"
    load(database, RECORDS)
    load(database, {"workflows": [{"name": "txt2img"}]}, replace=True)
    assert await _read(database) == (Counts(models=0, workflows=1, collections=0), [])


async def test_a_bad_record_leaves_everything_as_it_was(tmp_path: Path) -> None:
    database = tmp_path / "c.sqlite"
    load(database, RECORDS)
    with pytest.raises(BadRecord):
        load(database, {"models": [{"name": "new"}], "workflows": [{"name": 7}]}, replace=True)
    assert (await _read(database))[0] == Counts(models=4, workflows=2, collections=1)


async def test_the_folder_says_what_type_a_model_is_unless_the_record_does(tmp_path: Path) -> None:
    database = tmp_path / "c.sqlite"
    models = [
        {"name": "a.safetensors", "saveTo": "models/vae/a.safetensors"},
        {"name": "b.safetensors", "saveTo": "models/vae/b.safetensors", "modelType": "checkpoints"},
        {"name": "c.safetensors", "saveTo": "/etc/c.safetensors"},
    ]
    load(database, {"models": models})
    store = Store(database)
    await store.open()
    page = await store.models_found(Asked(limit=10))
    await store.close()
    assert [model.model_type for model in page.items] == ["vae", "checkpoints", ""]


@pytest.mark.parametrize(
    "records",
    [
        {"models": {}},
        {"models": ["flux"]},
        {"models": [{}]},
        {"models": [{"name": ""}]},
        {"models": [{"name": "m", "fileSize": 1.5}]},
        {"models": [{"name": "m", "fileSize": True}]},
        {"models": [{"name": "m", "fileSize": -1}]},
        {"models": [{"name": "m", "fileSize": 2**63}]},
        {"models": [{"name": "m", "isAuthReq": "yes"}]},
        {"models": [{"name": "m", "dependencies": "t5"}]},
        {"models": [{"name": "m", "hash": 5}]},
        {"models": [{"name": "\ud800"}]},
        {"workflows": [{"name": "w", "models": [None]}]},
        {"collections": [{"name": "no id"}]},
    ],
)
def test_a_record_of_the_wrong_shape_is_refused(tmp_path: Path, records: dict[str, Any]) -> None:
    with pytest.raises(BadRecord):
        load(tmp_path / "c.sqlite", records)
