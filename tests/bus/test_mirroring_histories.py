"""Any interleaving of changes, crashes, restarts, losses, trims, repeated and reordered deliveries ends where the disks are."""

from __future__ import annotations

import random

import pytest
from redis.asyncio import Redis

from tests.bus.histories import World

HISTORIES = 25
"""Of one test; there are eight."""


async def history(redis: Redis, seed: int, *, losses: bool = True) -> None:
    await redis.flushall()
    chance = random.Random(seed)
    world = World(redis, chance, losses=losses)
    try:
        await world.play(chance.randint(10, 60))
        await world.quiet()
        world.insist()
    except BaseException:
        print(f"seed {seed}: {' '.join(world.steps)}")
        raise


@pytest.mark.parametrize("part", range(8))
async def test_e3_e4_e9_l1_every_history_ends_with_every_mirror_equal_to_the_disk(redis: Redis, part: int) -> None:
    for seed in range(part * HISTORIES, (part + 1) * HISTORIES):
        await history(redis, seed)


@pytest.mark.parametrize("part", range(2))
async def test_where_nothing_is_lost_the_stream_alone_leads_there(redis: Redis, part: int) -> None:
    for seed in range(part * HISTORIES, (part + 1) * HISTORIES):
        await history(redis, seed, losses=False)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(8))
async def test_thousands_of_histories_end_so(redis: Redis, part: int) -> None:
    for seed in range(10_000 + part * 500, 10_000 + (part + 1) * 500):
        await history(redis, seed)
