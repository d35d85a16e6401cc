"""Any history of jobs, machines, offers, failures and losses is answered as the slow reference answers it."""

from __future__ import annotations

import random

import pytest
from redis.asyncio import Redis

from tests.bus.routing_histories import World

HISTORIES = 5
"""Of one test; there are eight for each server."""


async def history(redis: Redis, seed: int, steps: int) -> World:
    await redis.flushall()
    world = World(redis, random.Random(seed))
    try:
        await world.play(steps)
        await world.quiet()
    except BaseException:
        print(f"seed {seed}: {' '.join(world.steps)}")
        raise
    return world


@pytest.mark.parametrize("part", range(8))
async def test_l3_no_job_without_its_models_none_twice_none_lost_and_always_the_best(redis: Redis, part: int) -> None:
    claims = 0
    for seed in range(part * HISTORIES, (part + 1) * HISTORIES):
        claims += (await history(redis, seed, 150)).claims
    assert claims > 5 * HISTORIES


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(4))
async def test_a_hundred_thousand_operations_without_a_wrong_answer(redis: Redis, part: int) -> None:
    for seed in range(10_000 + part * 50, 10_000 + (part + 1) * 50):
        await history(redis, seed, 500)
