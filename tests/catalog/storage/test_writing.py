"""Whole records into rows: what lies beside a record's JSON says the same as the JSON."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from model_manager.catalog import docs
from model_manager.catalog.records import CatalogModel
from model_manager.catalog.storage import tables, writing
from model_manager.catalog.storage.store import Store
from model_manager.facts import wire

SHA256 = "a1" * 32


@pytest.mark.parametrize(
    ("written", "by_name", "expected"),
    [
        (None, (), set()), ("nonsense", (), set()), (SHA256.upper(), (), {("sha256|blake3", SHA256)}),
        (f"sha256:{SHA256}", (("sha256", SHA256),), {("sha256", SHA256)}), ("a1a1a1a1a1", (), {("autov2", "a1a1a1a1a1")}),
        ("0" * 32, (("blake3", SHA256),), {("md5", "0" * 32), ("blake3", SHA256)}),
    ],
)  # fmt: skip
def test_f8_a_hash_stands_under_every_algorithm_that_it_can_be(
    written: str | None, by_name: tuple[tuple[str, str], ...], expected: set[tuple[str, str]]
) -> None:
    assert writing.hashes_of(CatalogModel(id="m", name="m", hash=written, hashes=by_name)) == expected


async def test_rows_beside_a_record_say_what_its_json_says(filled: Store) -> None:
    async with filled.database.reading() as connection:
        versions = (await connection.execute(select(tables.model_version))).all()
        sources = (await connection.execute(select(tables.model_source).order_by(tables.model_source.c.position))).all()
        sought = {row.name: row for row in (await connection.execute(select(tables.model_sought))).all()}
        needs = (await connection.execute(select(tables.model_dependency))).all()
    for row in versions:
        record = docs.model_of(wire.loads(row.doc))
        told = sought[record.name]
        assert (told.type, told.auth_required, told.auth_env_var or None) == (
            record.model_type,
            record.auth_required,
            record.auth_env_var,
        )
        assert [each.url for each in sources if each.model_id == row.model_id] == list(record.sources)
        assert [each.needs for each in needs if each.model_id == row.model_id] == list(record.dependencies)


async def test_what_hangs_on_a_record_goes_with_it(filled: Store) -> None:
    for kind, key in (
        ("collection", "c1"),
        ("workflow", "w1"),
        ("workflow", "w2"),
        ("model", "flux-dev"),
        ("model", "t5"),
    ):
        await filled.delete(kind, key, "ann", force=True)  # type: ignore[arg-type]
    hanging = (
        tables.collection_node,
        tables.workflow_model,
        tables.workflow_custom_node,
        tables.model_dependency,
        tables.model_hash,
    )
    async with filled.database.reading() as connection:
        for table in hanging:
            assert (await connection.execute(select(table))).all() == []
