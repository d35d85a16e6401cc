from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from model_manager.bus.jobs import Jobs
from model_manager.facts.job import Asks, Job
from model_manager.facts.notice import Rule
from model_manager.fleet.notices.readings import Held, waiting, waits
from tests.fleet.alarms import Scene, scene
from tests.fleet.stage import files

RULE = Rule(id="r", name="n", kind="model.appeared", machines=("m*",))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(tmp_path) as made:
        yield made


async def test_what_a_group_holds_is_kept_up_to_date(stage: Scene) -> None:
    held = Held(stage.view)
    assert held.fitting(RULE) == set()
    stage.hold("m1", *files("a.pt"))
    stage.hold("other", *files("b.pt"))
    assert held.fitting(RULE) == {"loras/a.pt"}
    stage.hold("m2", *files("a.pt", "c.pt"))
    stage.hold("m1")
    assert held.fitting(RULE) == {"loras/a.pt", "loras/c.pt"}
    stage.view.mirrors._machines.pop("m2")
    assert held.fitting(RULE) == set()
    held.forget([])
    assert held._looks == {}


async def test_jobs_wait_for_models_that_nobody_has(redis: Redis) -> None:
    jobs = Jobs(redis, "")
    for n in range(3):
        await jobs.submit(Job(id=f"j{n}", asks=Asks(models=("loras/nobody.pt",))))
    await jobs.submit(Job(id="free", asks=Asks()))
    found = await waits(jobs)
    assert {model: count for model, (_, count) in found.items()} == {"loras/nobody.pt": 3}
    since = found["loras/nobody.pt"][0]
    rule = Rule(id="r", name="n", kind="job.waiting", seconds=60)
    assert waiting(rule, found, since + 59).holding == {}
    (subject,) = waiting(rule, found, since + 61).holding.values()
    assert subject.why == "loras/nobody.pt: 3 jobs wait, the first for 0:01:01"
