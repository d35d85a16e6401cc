from __future__ import annotations

import contextlib
import sqlite3

import pytest

from model_manager.index import statements
from model_manager.index.database import Database


@pytest.fixture
def db() -> Database:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(statements.schema())
    return Database(connection)


def test_queries_are_asked_by_name(db: Database) -> None:
    db.each("put_note", [{"key": key, "value": key * 2} for key in "ab"])
    assert db.all("note", {"key": "a"}) == [("aa",)]
    assert db.first("note", {"key": "b"}) == ("bb",)
    assert db.first("note", {"key": "c"}) is None
    assert list(db.rows("note", {"key": "a"})) == [("aa",)]
    assert db.change("drop_note", {"key": "a"}) == 1
    assert db.change("drop_note", {"key": "a"}) == 0


def test_what_fails_in_the_middle_is_taken_back_whole(db: Database) -> None:
    with contextlib.suppress(RuntimeError), db.writing():
        db.change("put_note", {"key": "a", "value": "1"})
        raise RuntimeError
    assert db.first("note", {"key": "a"}) is None
    with db.writing():
        db.change("put_note", {"key": "a", "value": "2"})
    assert db.first("note", {"key": "a"}) == ("2",)


def test_looking_leaves_no_transaction_behind(db: Database) -> None:
    with contextlib.suppress(RuntimeError), db.looking():
        assert db.connection.in_transaction
        raise RuntimeError
    assert not db.connection.in_transaction
