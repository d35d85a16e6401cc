from __future__ import annotations

import asyncio

from model_manager.agent.bell import Bell


async def test_a_thousand_rings_are_one_look() -> None:
    bell = Bell()
    for _ in range(1000):
        bell.ring()
    assert await bell.wait(0.5)
    assert not await bell.wait(0.01)


async def test_a_ring_before_the_wait_counts() -> None:
    bell = Bell()
    bell.ring()
    assert await bell.wait()


async def test_a_ring_wakes_who_waits() -> None:
    bell = Bell()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(bell.wait(30))
        await asyncio.sleep(0)
        bell.ring()
    assert waiting.result()


async def test_a_ring_during_the_look_is_not_lost() -> None:
    bell = Bell()
    bell.ring()
    await bell.wait()
    bell.ring()
    assert await bell.wait(0.5)
