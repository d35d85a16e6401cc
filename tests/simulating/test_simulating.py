"""A small fleet, so that the simulator itself is known to tell the truth."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.simulating.machine import Machine, Pool
from tests.simulating.run import NotExact, Plan, simulate

SMALL = Plan(machines=12, models=9, seconds=0.5, every=0.1, outage=0.3, heartbeat=0.5, patience=60.0, url=None)


async def test_a_small_fleet_is_exact_again_after_its_server_lost_everything() -> None:
    said: list[str] = []
    lines = dict(await simulate(SMALL, said.append))
    assert len(said) == 3
    assert {"all introduced and exact", "exact after the outage", "events told"} <= lines.keys()
    assert int(lines["snapshots"]) >= 2 * SMALL.machines


async def test_a_mirror_that_is_not_exact_is_found() -> None:
    plan = replace(SMALL, patience=0.0, outage=0.0)
    with pytest.raises(ExceptionGroup) as raised:
        await simulate(plan, lambda text: None)
    assert raised.group_contains(NotExact, match="differ")


async def test_a_machine_knows_its_own_digest() -> None:
    pool = Pool(5)
    machine = Machine(None, "", 1, pool, asyncio.Semaphore(), 1.0)  # type: ignore[arg-type]
    for _ in range(50):
        machine.change()
        assert machine.digest == f"{sum(pool.terms[path] for path in machine.held) % 2**128:032x}"
    assert machine.events == 51
