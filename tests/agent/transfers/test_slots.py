from __future__ import annotations

import asyncio

import pytest

from model_manager.agent.transfers.slots import Slots
from model_manager.facts.shelf import ShelfPath
from tests.agent.stage import turns

A, B, C, D = (ShelfPath(folder="vae", name=f"{letter}.safetensors") for letter in "abcd")


class Doors:
    """Tasks that hold a slot until they are let go."""

    def __init__(self, count: int, group: asyncio.TaskGroup, *order: ShelfPath) -> None:
        self.order = list(order)
        self.slots = Slots(count, lambda path: self.order.index(path) if path in self.order else 99)
        self.inside: list[ShelfPath] = []
        self._group = group
        self._leave: dict[ShelfPath, asyncio.Event] = {}
        self.tasks: dict[ShelfPath, asyncio.Task[None]] = {}

    async def enter(self, path: ShelfPath, *, small: bool = False) -> None:
        self._leave[path] = asyncio.Event()
        self.tasks[path] = self._group.create_task(self._hold(path, small))
        await turns()

    async def _hold(self, path: ShelfPath, small: bool) -> None:
        async with self.slots.of(path, small=small):
            self.inside.append(path)
            await self._leave[path].wait()
            self.inside.remove(path)

    async def leave(self, path: ShelfPath) -> None:
        self._leave[path].set()
        await turns()

    async def all_leave(self) -> None:
        for leave in self._leave.values():
            leave.set()


async def test_a_free_slot_goes_to_the_first_in_the_order_of_work_and_not_of_coming() -> None:
    async with asyncio.TaskGroup() as group:
        doors = Doors(1, group, A, B, C)
        for path in (A, C, B):
            await doors.enter(path)
        assert doors.inside == [A]
        await doors.leave(A)
        assert doors.inside == [B]
        await doors.all_leave()


async def test_the_order_may_change_while_they_wait() -> None:
    async with asyncio.TaskGroup() as group:
        doors = Doors(1, group, A, B, C)
        for path in (A, B, C):
            await doors.enter(path)
        doors.order = [C, B, A]
        await doors.leave(A)
        assert doors.inside == [C]
        await doors.all_leave()


async def test_a_small_one_does_not_wait_behind_large_ones() -> None:
    async with asyncio.TaskGroup() as group:
        doors = Doors(2, group, A, B, C, D)
        await doors.enter(A)
        await doors.enter(B)
        await doors.enter(C, small=True)
        await doors.enter(D, small=True)
        assert doors.inside == [A, B, C]
        await doors.leave(C)
        assert doors.inside == [A, B, D]
        await doors.all_leave()


async def test_the_extra_slot_is_for_small_ones_only() -> None:
    async with asyncio.TaskGroup() as group:
        doors = Doors(1, group, A, B)
        await doors.enter(A)
        await doors.enter(B)
        assert doors.inside == [A]
        await doors.all_leave()


@pytest.mark.parametrize("served", [False, True])
async def test_who_is_cancelled_while_waiting_takes_no_slot_along(served: bool) -> None:
    async with asyncio.TaskGroup() as group:
        doors = Doors(1, group, A, B, C)
        await doors.enter(A)
        await doors.enter(B)
        if served:
            doors._leave[A].set()
            while doors.inside:
                await asyncio.sleep(0)
        doors.tasks[B].cancel()
        await turns()
        doors._leave[A].set()
        await doors.enter(C)
        assert doors.inside == [C]
        await doors.all_leave()


async def test_whoever_lets_go_early_gives_the_slot_back_once() -> None:
    slots = Slots(1, lambda path: 0)
    inside: list[ShelfPath] = []

    async def second() -> None:
        async with slots.of(B, small=False):
            inside.append(B)
            await turns()

    async with asyncio.TaskGroup() as group:
        async with slots.of(A, small=False) as moved:
            group.create_task(second())
            await turns(3)
            assert inside == []
            moved()
            moved()
            await turns(3)
            assert inside == [B]
        await turns(3)
    async with slots.of(A, small=False):
        assert slots._free == 0
