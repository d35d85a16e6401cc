"""Reading a catalog's file ahead of questions."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from model_manager.catalog.run import opened
from model_manager.catalog.storage import sqlite_warming
from model_manager.catalog.storage.sqlite import SqliteDatabase
from model_manager.catalog.storage.sqlite_warming import Warming, available
from model_manager.errors import CatalogUnavailable


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Stretches that were asked for: where, and how long."""
    told: list[tuple[int, int]] = []

    def ahead(descriptor: int, start: int, length: int) -> None:
        told.append((start, length))
        _ahead(descriptor, start, length)

    _ahead = sqlite_warming._ahead
    monkeypatch.setattr(sqlite_warming, "_ahead", ahead)
    return told


def _file(tmp_path: Path, size: int) -> Path:
    path = tmp_path / "file"
    path.touch()
    os.truncate(path, size)
    return path


async def test_the_whole_file_is_read_where_there_is_room(tmp_path: Path, read: list[tuple[int, int]]) -> None:
    stride = sqlite_warming.STRIDE
    warming = Warming(_file(tmp_path, 2 * stride + 5), lambda: 100 * stride)
    assert not warming.going
    await warming.run()
    assert not warming.going
    assert read == [(0, stride), (stride, stride), (2 * stride, 5)]


async def test_no_more_than_half_of_the_free_memory_is_taken(tmp_path: Path, read: list[tuple[int, int]]) -> None:
    stride = sqlite_warming.STRIDE
    await Warming(_file(tmp_path, 10 * stride), lambda: 3 * stride).run()
    assert read == [(0, stride), (stride, stride // 2)]


async def test_an_empty_file_and_no_memory_are_no_fault(tmp_path: Path, read: list[tuple[int, int]]) -> None:
    await Warming(_file(tmp_path, 0)).run()
    await Warming(_file(tmp_path, 100), lambda: 0).run()
    assert read == []


async def test_who_is_stopped_reads_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = asyncio.Event(), threading.Event()
    loop, stretches = asyncio.get_running_loop(), list[int]()

    def ahead(descriptor: int, start: int, length: int) -> None:
        stretches.append(start)
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(60)

    monkeypatch.setattr(sqlite_warming, "_ahead", ahead)
    warming = Warming(_file(tmp_path, 10 * sqlite_warming.STRIDE), lambda: 1 << 40)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(warming.run())
        await begun.wait()
        assert warming.going
        task.cancel()
    assert not warming.going
    go_on.set()
    await loop.shutdown_default_executor()
    assert stretches == [0]


async def test_a_file_that_is_gone_is_an_outage_of_the_catalog(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "none.sqlite")
    with pytest.raises(CatalogUnavailable, match="cannot be read"):
        await database.warm()
    assert not database.warming
    await database.close()


async def test_while_the_file_is_read_even_short_questions_leave_the_loop_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "c.sqlite") as store:
        looking = store.database._looking  # type: ignore[attr-defined]
        warming = store.database._warming  # type: ignore[attr-defined]
        assert looking._quickly(["a"]) is not None
        warming.going = True
        assert looking._quickly(["a"]) is None
        assert await store.by_name("model", ["a"]) == {}
        assert await store.texts("model", ["a"]) == ("", ["a"])


def test_memory_that_is_free_is_what_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert available() > 1024 * 1024
    told = tmp_path / "meminfo"
    told.write_text("MemTotal:  10 kB\nMemAvailable:     7 kB\n")
    monkeypatch.setattr(sqlite_warming, "MEMORY", told)
    assert available() == 7 * 1024
    limit = tmp_path / "limit"
    monkeypatch.setattr(sqlite_warming, "LIMITS", (tmp_path / "none", limit))
    for said, allowed in (("max\n", 7 * 1024), ("5000\n", 5000), ("9000000\n", 7 * 1024)):
        limit.write_text(said)
        assert available() == allowed
    monkeypatch.setattr(sqlite_warming, "MEMORY", tmp_path / "none")
    assert available() == 0
