from __future__ import annotations

from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from model_manager.catalog.storage.tables import metadata, model


def test_texts_sort_by_their_bytes_on_a_server_too() -> None:
    assert 'name TEXT COLLATE "C" NOT NULL' in str(CreateTable(model).compile(dialect=postgresql.dialect()))


def test_every_constraint_has_a_name_under_which_a_migration_finds_it() -> None:
    constraints = [each for table in metadata.tables.values() for each in table.constraints]
    assert all(each.name for each in constraints)
    assert len({index.name for table in metadata.tables.values() for index in table.indexes}) == 9
