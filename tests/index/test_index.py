from __future__ import annotations

import asyncio
import inspect
import sqlite3
from pathlib import Path

import pytest

from model_manager.errors import IndexUnavailable
from model_manager.facts.disk import Diff
from model_manager.facts.identity import Pin
from model_manager.index.index import Index
from model_manager.index.store import Store

from .making import AT, MACHINE, held

ASKED = [n for n, m in vars(Index).items() if inspect.iscoroutinefunction(m) and not n.startswith("_")]


@pytest.mark.parametrize("name", ASKED)
def test_the_index_asks_the_store_by_the_same_name_and_arguments(name: str) -> None:
    assert str(inspect.signature(getattr(Index, name))) == str(inspect.signature(getattr(Store, name)))


def test_nothing_of_the_store_is_out_of_reach() -> None:
    public = {n for n, m in vars(Store).items() if inspect.isfunction(m) and not n.startswith("_")}
    assert public - {"open", "close"} == set(ASKED)


async def test_every_question_is_answered_through_the_thread(tmp_path: Path) -> None:
    a = held("a.gguf", content="a")
    async with Index.open(tmp_path / "index.db") as index:
        epoch = await index.begin_epoch(7, MACHINE)
        (envelope,) = await index.apply(Diff(appeared=(a,)), at=AT)
        assert (envelope.epoch, envelope.instance) == (7, epoch.instance)
        assert await index.held() == (a,)
        assert await index.at([a.file]) == {a.file: a}
        assert await index.with_digest(Pin(algorithms=("sha256",), hex=a.digests.sha256)) == (a,)
        assert await index.in_slot(a.shelf) == (a,)
        assert await index.unhashed(9) == ()
        assert (await index.totals()).models == 1
        assert await index.outbox(9) == (envelope,)
        assert (await index.outbox_size())[0] == 1
        assert (await index.compact(at=AT)).envelope.seq == 2
        await index.delivered(7, 2)
        assert await index.outbox_size() == (0, 0)
        await index.set_note("k", "v")
        assert await index.note("k") == "v"
        assert (len(index.installation), index.rebuilt) == (32, "")


async def test_a_hundred_changes_at_once_are_numbered_without_hole_or_double(tmp_path: Path) -> None:
    async with Index.open(tmp_path / "index.db") as index:
        await index.begin_epoch(1, MACHINE)
        async with asyncio.TaskGroup() as group:
            for n in range(100):
                group.create_task(index.apply(Diff(appeared=(held(f"{n}.gguf"),)), at=AT))
        assert [envelope.seq for envelope in await index.outbox(200)] == list(range(1, 101))


async def test_the_loop_runs_on_while_the_index_waits_and_a_change_is_whole_though_its_caller_left(
    tmp_path: Path,
) -> None:
    async with Index.open(tmp_path / "index.db") as index:
        await index.begin_epoch(1, MACHINE)
        other = sqlite3.connect(tmp_path / "index.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await index.apply(Diff(appeared=(held(),)), at=AT)
        other.rollback()
        assert await index.held() in ((held(),), ())
        assert len(await index.outbox(9)) == len(await index.held())


async def test_d8_closing_does_not_wait_for_a_lock(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "index.db", isolation_level=None)
    async with asyncio.timeout(60), Index.open(tmp_path / "index.db", patience=3600) as index:
        await index.begin_epoch(1, MACHINE)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await index.set_note("a", "b")
    other.rollback()


async def test_an_index_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    with pytest.raises(IndexUnavailable):
        async with Index.open(tmp_path / "nowhere" / "index.db"):
            pass


async def test_a_closed_index_is_one_file(tmp_path: Path) -> None:
    async with Index.open(tmp_path / "index.db") as index:
        await index.begin_epoch(1, MACHINE)
    assert [file.name for file in tmp_path.iterdir()] == ["index.db"]


async def test_c11_who_can_wait_hears_why_and_that_it_is_over(tmp_path: Path) -> None:
    said: list[str] = []
    other = sqlite3.connect(tmp_path / "index.db", isolation_level=None)
    async with Index.open(tmp_path / "index.db", patience=0.0, waiting=said.append) as index:
        await index.begin_epoch(1, MACHINE)
        other.execute("BEGIN EXCLUSIVE")
        async with asyncio.TaskGroup() as group:
            noting = group.create_task(index.set_note("a", "b"))
            async with asyncio.timeout(20):
                while not any(said):
                    await asyncio.sleep(0.01)
            assert not noting.done()
            other.execute("ROLLBACK")
        assert await index.note("a") == "b"
    assert "locked" in next(filter(None, said))
    assert said[-1] == ""
