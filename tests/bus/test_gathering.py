from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from model_manager.bus.gathering import Gathering


class Desk:
    """Answers each question with its double, when it may."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.open = asyncio.Event()
        self.failure: Exception | None = None

    async def ask(self, questions: Sequence[int]) -> list[int]:
        self.calls.append(list(questions))
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return [2 * each for each in questions]


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_who_asks_alone_is_answered() -> None:
    desk = Desk()
    desk.open.set()
    gathering = Gathering(desk.ask, most=3, calls=1)
    assert [await gathering.asked(1), await gathering.asked(2)] == [2, 4]
    assert desk.calls == [[1], [2]]


async def test_those_who_ask_at_once_go_in_one_call() -> None:
    desk = Desk()
    desk.open.set()
    gathering = Gathering(desk.ask, most=3, calls=1)
    assert await asyncio.gather(*(gathering.asked(n) for n in range(3))) == [0, 2, 4]
    assert desk.calls == [[0, 1, 2]]


async def test_those_who_come_meanwhile_go_together_and_no_more_than_so_many() -> None:
    desk = Desk()
    gathering = Gathering(desk.ask, most=3, calls=2)
    async with asyncio.TaskGroup() as group:
        first = [group.create_task(gathering.asked(n)) for n in range(2)]
        await settled()
        later = [group.create_task(gathering.asked(n)) for n in range(2, 9)]
        await settled()
        assert sorted(map(len, desk.calls)) == [1, 1] or desk.calls == [[0, 1]]
        desk.open.set()
    assert [task.result() for task in first + later] == [2 * n for n in range(9)]
    assert max(map(len, desk.calls)) == 3
    assert sorted(n for call in desk.calls for n in call) == list(range(9))


@pytest.mark.parametrize(("number", "calls"), [(8, [4, 4]), (12, [6, 6]), (5, [4, 1]), (2, [1, 1])])
async def test_many_who_ask_at_once_share_the_calls_that_are_free(number: int, calls: list[int]) -> None:
    desk = Desk()
    gathering = Gathering(desk.ask, most=8, calls=2, few=4)
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(gathering.asked(n)) for n in range(number)]
        await settled()
        assert [len(call) for call in desk.calls] == calls
        desk.open.set()
    assert [task.result() for task in asking] == [2 * n for n in range(number)]


async def test_what_goes_wrong_is_heard_by_all_who_were_in_the_call_and_by_nobody_else() -> None:
    desk = Desk()
    desk.failure = OSError("away")
    gathering = Gathering(desk.ask, most=2, calls=1)
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(heard(gathering, n)) for n in range(3)]
        await settled()
        assert desk.calls == [[0, 1]]
        desk.open.set()
        await asyncio.wait(asking[:2])
        desk.failure = None
    assert [task.result() for task in asking[:2]] == ["away", "away"]
    assert desk.calls == [[0, 1], [2]]


async def heard(gathering: Gathering[int, int], question: int) -> str:
    try:
        return str(await gathering.asked(question))
    except OSError as error:
        return str(error)


async def test_an_answer_that_does_not_fit_leaves_nobody_waiting() -> None:
    async def ask(questions: Sequence[int]) -> list[int]:
        return [1]

    gathering = Gathering(ask, most=2, calls=1)
    found = await asyncio.gather(*(gathering.asked(n) for n in range(2)), return_exceptions=True)
    assert [type(each) for each in found] == [ValueError, ValueError]
    assert await gathering.asked(3) == 1


@pytest.mark.parametrize("gone", [0, 1, 2, 3, 4])
async def test_when_one_is_cancelled_the_others_are_answered(gone: int) -> None:
    desk = Desk()
    gathering = Gathering(desk.ask, most=2, calls=1)
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(gathering.asked(n)) for n in range(5)]
        await settled()
        asking[gone].cancel()
        await settled()
        desk.open.set()
    assert [task.result() for n, task in enumerate(asking) if n != gone] == [2 * n for n in range(5) if n != gone]
    assert await gathering.asked(7) == 14


async def test_who_is_cancelled_when_it_was_to_ask_next_leaves_that_to_another() -> None:
    desk = Desk()
    gathering = Gathering(desk.ask, most=1, calls=1)
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(gathering.asked(n)) for n in range(3)]
        await settled()
        desk.open.set()
        while not asking[0].done():
            await asyncio.sleep(0)
        asking[1].cancel()
    assert asking[2].result() == 4
