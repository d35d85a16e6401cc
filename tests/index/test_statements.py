from __future__ import annotations

import ast
import re
import sqlite3
from pathlib import Path

import pytest

from model_manager.index import statements, store

SQL = Path(statements.__file__).parent / "sql"


def test_every_query_of_the_file_was_read_with_its_description() -> None:
    text = (SQL / "queries.sql").read_text()
    assert list(statements.queries()) == re.findall(r"^-- name: (\w+)$", text, re.MULTILINE)
    assert text.count(";\n") == len(statements.queries())


@pytest.mark.parametrize("name", statements.queries())
def test_every_query_fits_the_schema(name: str) -> None:
    database = sqlite3.connect(":memory:")
    database.executescript(statements.schema())
    sql = statements.queries()[name]
    values = dict.fromkeys(re.findall(r":(\w+)", sql), "1") or ["1"] * sql.count("?")
    assert database.execute(f"EXPLAIN {sql}", values).fetchall()


def test_every_query_is_asked_by_the_store() -> None:
    tree = ast.parse(Path(store.__file__).read_text())
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert statements.queries().keys() <= words


@pytest.mark.parametrize("name", ["held_at", "held_with_digest", "held_in_slot", "held_unhashed"])
def test_a_lookup_never_reads_the_whole_table(name: str) -> None:
    database = sqlite3.connect(":memory:")
    database.executescript(statements.schema())
    sql = statements.queries()[name]
    plan = database.execute(f"EXPLAIN QUERY PLAN {sql}", dict.fromkeys(re.findall(r":(\w+)", sql), "[]")).fetchall()
    steps = [step[3] for step in plan]
    assert not [step for step in steps if step.startswith("SCAN held") and "INDEX" not in step]
    assert [step for step in steps if "held" in step]


def test_migrations_are_numbered_without_holes() -> None:
    assert [step.number for step in statements.migrations()] == list(range(1, len(statements.migrations()) + 1))
    assert len(statements.migrations()) == len(list(SQL.glob("[0-9]*.sql")))
