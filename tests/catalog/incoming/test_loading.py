"""Files and databases into records."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from model_manager.catalog.incoming.loading import MAX_LINE, as_written, from_document, from_lines, load, records_in
from model_manager.catalog.records import CatalogModel, Counts
from model_manager.catalog.run import opened
from model_manager.errors import BadForeign, BadRecord
from tests.catalog.conftest import RECORDS, model


async def _counts(database: Path) -> Counts:
    async with opened(database) as store:
        return await store.counts()


async def test_the_whole_catalog_is_replaced_on_demand(tmp_path: Path) -> None:
    database = tmp_path / "c.sqlite"
    await load(database, RECORDS)
    await load(database, {"workflows": [{"name": "txt2img"}]}, replace=True)
    assert await _counts(database) == Counts(models=0, workflows=1, collections=0)


async def test_a_bad_record_leaves_everything_as_it_was(tmp_path: Path) -> None:
    database = tmp_path / "c.sqlite"
    await load(database, RECORDS)
    with pytest.raises(BadRecord):
        await load(database, {"models": [{"name": "new"}], "workflows": [{"name": 7}]}, replace=True)
    assert await _counts(database) == Counts(models=4, workflows=2, collections=1)


def test_the_folder_says_what_type_a_model_is_unless_the_record_does() -> None:
    models = [
        {"name": "a.safetensors", "saveTo": "models/vae/a.safetensors"},
        {"name": "b.safetensors", "saveTo": "models/vae/b.safetensors", "modelType": "checkpoints"},
        {"name": "c.safetensors", "saveTo": "/etc/c.safetensors"},
    ]
    records = [each.record for each in as_written({"models": models})]
    assert [each.model_type for each in records if isinstance(each, CatalogModel)] == ["vae", "checkpoints", ""]


@pytest.mark.parametrize(
    "records",
    [
        {"models": {}}, {"models": ["flux"]}, {"models": [{}]}, {"models": [{"name": ""}]},
        {"models": [{"name": "m", "fileSize": 1.5}]}, {"models": [{"name": "m", "fileSize": True}]},
        {"models": [{"name": "m", "fileSize": -1}]}, {"models": [{"name": "m", "fileSize": 2**63}]},
        {"models": [{"name": "m", "isAuthReq": "yes"}]}, {"models": [{"name": "m", "dependencies": "t5"}]},
        {"models": [{"name": "m", "hash": 5}]}, {"models": [{"name": "m", "downloadUrl": 5}]}, {"models": [{"name": "\ud800"}]},
        {"workflows": [{"name": "w", "models": [None]}]}, {"collections": [{"name": "no id"}]},
    ],
)  # fmt: skip
def test_a_record_of_the_wrong_shape_is_refused(records: dict[str, Any]) -> None:
    with pytest.raises(BadRecord):
        as_written(records)


@pytest.mark.parametrize("document", [[model("a.pt")], {"models": [model("a.pt")]}, {"data": [model("a.pt")], "error": None},
                                      {"data": {"models": [model("a.pt")]}}, {"timestamp": "x", "models": [model("a.pt")], "total_models": 1}])  # fmt: skip
def test_models_are_read_from_every_kind_of_document(document: Any) -> None:
    (came,) = from_document(document, "x")
    assert came.record
    assert came.record.name == "a.pt"


@pytest.mark.parametrize("document", [None, 5, "x", {}, {"models": 5}, {"data": 5}, {"data": {}}])
def test_f3_a_document_without_records_is_refused(document: Any) -> None:
    with pytest.raises(BadRecord):
        list(from_document(document, "x"))


def test_lines_that_are_no_records_cost_only_themselves() -> None:
    lines = [b"{", b'{"a": 1, "a": 2}', b"[1]", b'{"kind": "spell"}', b"\xff", b"", json.dumps(model("a.pt")).encode()]
    came = list(from_lines(lines))
    assert [each.record is None for each in came] == [True, True, True, True, True, False]
    assert came[-1].where == "line 7"


def test_f5_a_line_without_an_end_is_refused() -> None:
    with pytest.raises(BadRecord, match="longer than"):
        list(from_lines([b"x" * (MAX_LINE + 1)]))


def test_a_file_is_read_as_what_it_is(tmp_path: Path) -> None:
    content = json.dumps(model("a.pt"))
    for name, text in (("a.json", f"[{content}]"), ("a.ndjson", f"{content}\n\n"), ("a.jsonl", content)):
        (tmp_path / name).write_text(text)
        assert [each.record.name for each in records_in(tmp_path / name) if each.record] == ["a.pt"]
    (tmp_path / "x.db").write_bytes(b"")
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(BadForeign):
        list(records_in(tmp_path / "other.db"))
    with pytest.raises(BadRecord):
        list(records_in(tmp_path / "x.db"))
