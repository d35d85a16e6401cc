"""Questions that are asked together, and that nobody hears of another's failure."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from model_manager.catalog.gathering import MOST, Gathering
from model_manager.catalog.records import Stored
from model_manager.errors import CatalogUnavailable


def stored(name: str) -> Stored:
    return Stored(id=name, name=name, revision=1, doc="{}")


class Table:
    """It has every name but `absent`; it answers when `open` is set, and fails as often as it is told to."""

    def __init__(self) -> None:
        self.asked: list[set[str]] = []
        self.open = asyncio.Event()
        self.failures = 0

    async def __call__(self, references: Collection[str]) -> dict[str, Stored]:
        self.asked.append(set(references))
        await self.open.wait()
        if self.failures:
            self.failures -= 1
            raise CatalogUnavailable(host="c", why="locked")
        return {name: stored(name) for name in self.asked[-1] if name != "absent"}


async def test_what_comes_while_another_is_answered_is_asked_together_and_each_hears_its_own() -> None:
    table = Table()
    gathering = Gathering(table)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(gathering.ask([f"n{n}", "absent"])) for n in range(50)]
        await asyncio.sleep(0)
        late = group.create_task(gathering.ask(["late"]))
        await asyncio.sleep(0)
        table.open.set()
    assert [set(task.result()) for task in tasks] == [{f"n{n}"} for n in range(50)]
    assert late.result() == {"late": stored("late")}
    assert len(table.asked) <= 3


async def test_a_question_is_never_answered_by_an_earlier_look() -> None:
    table = Table()
    gathering = Gathering(table)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(gathering.ask(["a"]))
        while not table.asked:
            await asyncio.sleep(0)
        second = group.create_task(gathering.ask(["a"]))
        await asyncio.sleep(0)
        table.open.set()
    assert first.result() == second.result()
    assert table.asked == [{"a"}, {"a"}]


async def test_who_goes_away_or_fails_leaves_the_others_their_answer() -> None:
    table = Table()
    gathering = Gathering(table)
    async with asyncio.TaskGroup() as group:
        leaving = group.create_task(gathering.ask(["a"]))
        while not table.asked:
            await asyncio.sleep(0)
        staying = [group.create_task(gathering.ask([name])) for name in "bc"]
        await asyncio.sleep(0)
        leaving.cancel()
        table.open.set()
    assert [set(task.result()) for task in staying] == [{"b"}, {"c"}]
    table.failures = 1
    results = await asyncio.gather(*(gathering.ask([name]) for name in "xy"), return_exceptions=True)
    assert [type(each) for each in results] == [CatalogUnavailable, dict]


@pytest.mark.parametrize("size", [MOST // 2, MOST // 2 + 1])
async def test_many_at_once_are_bounded(size: int) -> None:
    table = Table()
    table.open.set()
    gathering = Gathering(table)
    names = [[f"{n}-{at}" for at in range(size)] for n in range(5)]
    found = await asyncio.gather(*(gathering.ask(each) for each in names))
    assert [len(each) for each in found] == [size] * 5
    assert max(map(len, table.asked)) <= MOST
