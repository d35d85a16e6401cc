from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from model_manager.errors import StoreUnavailable
from model_manager.fleet import database as module
from model_manager.fleet.database import Database


@pytest.fixture
def base(tmp_path: Path) -> Database:
    schema = tmp_path / "schema.sql"
    schema.write_text("CREATE TABLE IF NOT EXISTS notes(text TEXT)")
    return Database(tmp_path / "state" / "small.sqlite", schema, mode=0o600)


def texts(base: sqlite3.Connection) -> list[str]:
    return [text for (text,) in base.execute("SELECT text FROM notes")]


def put(text: str) -> Callable[[sqlite3.Connection], object]:
    return lambda base: base.execute("INSERT INTO notes VALUES (?)", (text,))


async def test_it_is_made_when_it_is_first_used_with_its_rights(base: Database) -> None:
    assert not base.path.exists()
    await base.whole(put("a"))
    assert await base.do(texts) == ["a"]
    assert base.path.stat().st_mode & 0o777 == 0o600


async def test_a_transaction_is_kept_whole_or_not_at_all(base: Database) -> None:
    def fails(connection: sqlite3.Connection) -> None:
        put("lost")(connection)
        raise ValueError

    with pytest.raises(ValueError):
        await base.whole(fails)
    assert await base.do(texts) == []


async def test_a_look_tells_every_commit_of_anybody_and_nothing_else(base: Database) -> None:
    assert base.peek() is None
    await base.whole(put("a"))
    first = base.peek()
    assert first is not None
    assert base.peek() == first
    await base.do(texts)
    assert base.peek() == first
    await base.whole(put("ours"))
    second = base.peek()
    assert second not in (None, first)
    with sqlite3.connect(base.path) as other:
        put("of another process")(other)
    assert base.peek() not in (None, second)
    await base.close()
    assert base.peek() is None


async def test_a_look_waits_for_nobody(base: Database) -> None:
    await base.whole(put("a"))
    before = base.peek()
    other = sqlite3.connect(base.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    put("not yet")(other)
    assert base.peek() == before
    other.execute("COMMIT")
    assert base.peek() not in (None, before)
    other.close()


async def test_closing_waits_for_work_whose_asker_was_cancelled(base: Database) -> None:
    """A connection that is closed while a thread still uses it ends the process."""
    begun, go = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        begun.set()
        go.wait(10)
        put("late")(connection)

    async with asyncio.TaskGroup() as group:
        asking = group.create_task(base.whole(slow))
        await asyncio.to_thread(begun.wait, 10)
        asking.cancel()
        closing = group.create_task(base.close())
        await asyncio.sleep(0.05)
        assert not closing.done()
        go.set()
    with sqlite3.connect(base.path) as after:
        assert texts(after) == ["late"]


async def test_what_comes_after_the_end_is_refused_and_opens_nothing(base: Database) -> None:
    await base.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await base.whole(put("a"))
    assert not base.path.exists()


async def test_a_newer_release_s_file_is_left_alone(base: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await base.whole(put("a"))
    await base.close()
    monkeypatch.setattr(module, "VERSION", 0)
    with pytest.raises(StoreUnavailable, match="newer release"):
        await Database(base.path, Path("none.sql")).do(texts)


async def test_a_place_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable):
        await Database(tmp_path / "file" / "small.sqlite", tmp_path / "none.sql").do(texts)
