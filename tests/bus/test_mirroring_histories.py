"""Any interleaving of changes, crashes, restarts, outages, losses, failovers, trims, repeated and reordered deliveries ends where
the disks are."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.bus.conftest import BOTH
from tests.bus.fleets import Pair
from tests.bus.histories import Line, World

HISTORIES = 25
"""Of one test; there are eight."""

FAILOVERS = 4
"""Histories with real failovers; one takes a second or two."""


@pytest.fixture(scope="module", params=BOTH)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    pair = Pair(request.param)
    yield pair
    pair.close()


@pytest.fixture
async def line(pair: Pair) -> AsyncIterator[Line]:
    line = Line(pair)
    yield line
    await line.aclose()


async def history(line: Line, seed: int, *, losses: bool = True, failovers: bool = False) -> None:
    await line.admin.flushall()
    chance = random.Random(seed)
    line.is_cut = False
    world = World(line, chance, losses=losses, failovers=failovers)
    try:
        await world.play(chance.randint(10, 60))
        await world.quiet()
        world.insist()
    except BaseException:
        print(f"seed {seed}: {' '.join(world.steps)}")
        raise


@pytest.mark.parametrize("part", range(8))
async def test_e3_e4_e9_l1_every_history_ends_with_every_mirror_equal_to_the_disk(line: Line, part: int) -> None:
    for seed in range(part * HISTORIES, (part + 1) * HISTORIES):
        await history(line, seed)


@pytest.mark.parametrize("part", range(2))
async def test_where_nothing_is_lost_the_stream_alone_leads_there(line: Line, part: int) -> None:
    for seed in range(part * HISTORIES, (part + 1) * HISTORIES):
        await history(line, seed, losses=False)


async def test_e3_so_does_every_history_with_failovers_that_lose_what_was_acknowledged(line: Line) -> None:
    for seed in range(FAILOVERS):
        await history(line, seed, failovers=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(8))
async def test_thousands_of_histories_end_so(line: Line, part: int) -> None:
    for seed in range(10_000 + part * 500, 10_000 + (part + 1) * 500):
        await history(line, seed)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(4))
async def test_e3_hundreds_of_histories_with_failovers_end_so(line: Line, part: int) -> None:
    for seed in range(20_000 + part * 100, 20_000 + (part + 1) * 100):
        await history(line, seed, failovers=True)
