"""Workflows as ComfyUI writes them, taken into the catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from model_manager.catalog.incoming.bulk import load
from model_manager.catalog.incoming.drawn import folders_of
from model_manager.catalog.incoming.loading import records_in
from model_manager.catalog.records import CatalogModel, CatalogWorkflow
from model_manager.catalog.storage.store import Store
from model_manager.decisions.workflows.referring import referred
from model_manager.errors import BadRecord
from tests.catalog.conftest import ADDRESS

PROMPT: dict[str, Any] = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "SD15/base.safetensors"}},
    "2": {
        "class_type": "EmProps_Asset_Downloader",
        "inputs": {
            "url": ADDRESS.format("wan_vae.safetensors"), "save_to": "vae", "filename": "wan_vae.safetensors",
            "token_provider": "None", "token": "", "test_with_copy": False, "source_filename": "",
        },
    },
}  # fmt: skip


def written(directory: Path, name: str, content: object) -> Path:
    file = directory / name
    file.write_bytes(orjson.dumps(content))
    return file


async def test_a_workflow_brings_what_it_needs_and_what_it_says_whence_to_get(store: Store, tmp_path: Path) -> None:
    file = written(tmp_path, "txt to video.json", PROMPT)
    records = [each.record for each in records_in(file)]
    (model,) = [each for each in records if isinstance(each, CatalogModel)]
    (flow,) = [each for each in records if isinstance(each, CatalogWorkflow)]
    assert (model.name, model.sources, model.save_to) == (
        "wan_vae.safetensors", (ADDRESS.format("wan_vae.safetensors"),), "vae/wan_vae.safetensors",
    )  # fmt: skip
    assert flow.name == "txt to video"
    assert {need.model for need in flow.needs} == {"SD15/base.safetensors", "wan_vae.safetensors"}
    report = await load(store, records_in(file), "test")
    assert (report.created, report.left_out) == (2, 0)
    assert (await load(store, records_in(file), "test")).unchanged == 2


def test_the_folders_are_those_of_the_loaders() -> None:
    assert ("SD15/base.safetensors", "checkpoints") in set(folders_of(referred(PROMPT)))


def test_k1_a_workflow_that_would_leave_the_shelves_brings_no_model(tmp_path: Path) -> None:
    evil = orjson.loads(orjson.dumps(PROMPT).replace(b'"wan_vae.safetensors"', b'"../../x.safetensors"'))
    found = list(records_in(written(tmp_path, "evil.json", evil)))
    assert not any(isinstance(each.record, CatalogModel) for each in found)


@pytest.mark.parametrize("content", [{}, {"nodes": "x"}, 5, {"hello": [1]}])
def test_f3_what_is_neither_records_nor_a_workflow_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(BadRecord, match="no list of models"):
        list(records_in(written(tmp_path, "x.json", content)))
