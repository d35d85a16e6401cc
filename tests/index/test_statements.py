from __future__ import annotations

import ast
import re
import sqlite3
from pathlib import Path
from typing import get_args

import pytest

from model_manager.facts.known import Order
from model_manager.index import statements

ROOM = Path(statements.__file__).parent
SQL = ROOM / "sql"
QUERIES = sorted(file for file in SQL.glob("[a-z]*.sql") if file.name != "schema.sql")
LISTED = {f"list{folder}_by_{order}" for folder in ("", "_folder") for order in get_args(Order)}
"""Names that are put together."""


def _explained(name: str, how: str) -> list[tuple[object, ...]]:
    database = sqlite3.connect(":memory:")
    database.executescript(statements.schema())
    sql = statements.queries()[name]
    values = dict.fromkeys(re.findall(r":(\w+)", sql), "[]") or ["[]"] * sql.count("?")
    return database.execute(f"{how} {sql}", values).fetchall()


def _plan(name: str) -> list[str]:
    return [str(step[3]) for step in _explained(name, "EXPLAIN QUERY PLAN")]


def test_every_query_of_the_files_was_read_with_its_description() -> None:
    texts = [file.read_text() for file in QUERIES]
    assert list(statements.queries()) == [
        name for text in texts for name in re.findall(r"^-- name: (\w+)$", text, re.MULTILINE)
    ]
    assert sum(text.count(";\n") for text in texts) == len(statements.queries())


@pytest.mark.parametrize("name", statements.queries())
def test_every_query_fits_the_schema(name: str) -> None:
    assert _explained(name, "EXPLAIN")


def test_every_query_is_asked_by_the_room() -> None:
    trees = [ast.parse(file.read_text()) for file in ROOM.glob("*.py")]
    words = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert statements.queries().keys() <= words | LISTED
    assert statements.queries().keys() >= LISTED


LOOKUPS = [
    "held_at", "held_with_digest", "held_in_slot", "held_unhashed", "held_twins", "mates", "contents_of", "undescribed",
    "describe", "sample", "contents_at", "put_bundle", "move_locations", "forget_contents", "remember_contents", "known",
    "titles_of", "locations_of", "addresses_of", "find_file", "find_url", "find_name", "find_hash", "find_prefix",
    "find_path_prefix", "at_slots", "last_names", "list_by_name", "list_by_size", "list_folder_by_name", "list_folder_by_size",
    "count_folder",
]  # fmt: skip


@pytest.mark.parametrize("name", LOOKUPS)
def test_a_lookup_never_reads_the_whole_table(name: str) -> None:
    scans = [step for step in _plan(name) if step.startswith("SCAN") and "INDEX" not in step and "VIRTUAL" not in step]
    assert not [
        step for step in scans if step.split()[1] in ("l", "o", "c", "a", "location", "content", "claim", "told")
    ]


@pytest.mark.parametrize(
    "name", ["list_by_name", "list_by_size", "list_folder_by_name", "find_prefix", "find_path_prefix"]
)
def test_a_page_is_taken_in_the_order_of_an_index(name: str) -> None:
    assert not [step for step in _plan(name) if "TEMP B-TREE" in step and "RIGHT PART" not in step]


def test_migrations_are_numbered_without_holes() -> None:
    assert [step.number for step in statements.migrations()] == list(range(1, len(statements.migrations()) + 1))
    assert len(statements.migrations()) == len(list(SQL.glob("[0-9]*.sql")))
