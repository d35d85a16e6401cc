from __future__ import annotations

import asyncio
from itertools import pairwise

from model_manager.sources.transport.spacing import Spacing
from tests.sources.test_asking import Time


async def test_turns_are_apart_whoever_takes_them() -> None:
    time, turns = Time(), list[float]()
    spacing = Spacing(2.0, clock=time.clock, sleep=time.sleep)

    async def take() -> None:
        await spacing.turn()
        turns.append(time.now)

    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(take())
    assert [later - earlier for earlier, later in pairwise(turns)] == [0.5] * 4


async def test_after_a_calm_nobody_waits_and_nothing_was_saved_up() -> None:
    time = Time()
    spacing = Spacing(1.0, clock=time.clock, sleep=time.sleep)
    await spacing.turn()
    time.now += 100
    for _ in range(2):
        await spacing.turn()
    assert time.slept == [1.0]


def test_silence_lasts_as_long_as_the_longest_wish_for_it() -> None:
    time = Time()
    spacing = Spacing(1.0, clock=time.clock, sleep=time.sleep)
    assert spacing.silence == 0
    spacing.quiet(30)
    spacing.quiet(5)
    time.now += 10
    assert spacing.silence == 20
    time.now += 100
    assert spacing.silence == 0
