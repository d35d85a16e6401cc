from __future__ import annotations

import json
import time
from typing import Any

import pytest
from redis.asyncio import Redis

from model_manager.bus.connection import connect
from model_manager.bus.counting import ran, routed
from model_manager.bus.functions import version
from model_manager.bus.keys import Keys
from model_manager.errors import BusUnavailable
from model_manager.facts.job import Asks, Job
from model_manager.facts.routed import Routed
from tests.bus.fleet import PENDING, ROOT, worker
from tests.bus.working import Rig, job, until


@pytest.fixture
async def rig(redis: Redis) -> Rig:
    return await Rig(redis).begin("a.pt", "vae/v.pt")


async def test_a_pool_without_jobs_has_counted_nothing(redis: Redis) -> None:
    assert await routed(redis, Keys()) == Routed()
    assert await ran(redis, Keys(), ["m1"]) == {}


async def test_each_claim_counts_once_and_an_answer_that_was_lost_counts_no_second_time(redis: Redis, rig: Rig) -> None:
    for id in "12":
        await rig.claims.submit(job(id, "a.pt"))
    first = await rig.claims.claim("m1", "w")
    assert first is not None
    rig.claims._unanswered["m1", "w", ""] = first.token
    again = await rig.claims.claim("m1", "w")
    assert again is not None
    assert again.job == first.job
    assert await routed(redis, Keys()) == Routed(claims=1, waiting=1, running=1)
    await rig.claims.complete(first)
    assert await routed(redis, Keys()) == Routed(claims=1, waiting=1)


async def test_a_job_of_a_kind_that_the_worker_has_loaded_counts_as_hot(redis: Redis, rig: Rig) -> None:
    for id in "123":
        await rig.claims.submit(job(id, "a.pt"))
    await rig.claims.submit(job("4", "vae/v.pt"))
    first = await rig.claims.claim("m1", "w")
    assert first is not None
    _, second = await rig.claims.next(first, hot=(first.signature,))
    assert second is not None
    await rig.claims.next(second, hot=())
    assert await routed(redis, Keys()) == Routed(claims=3, hot=1, waiting=1, running=1)


async def test_a_job_that_is_given_back_for_a_missing_model_counts_against_routing(redis: Redis, rig: Rig) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    work = await rig.claims.claim("m1", "w")
    assert work is not None
    await rig.claims.fail(work, "a.pt is gone", how="missing_model")
    found = await routed(redis, Keys())
    assert (found.claims, found.missing, found.efficiency) == (1, 1, 0.0)


async def test_a_job_whose_models_were_fetched_while_it_waited_is_told_from_the_next_one(
    redis: Redis, rig: Rig
) -> None:
    asks = Asks(service="comfyui", models=("new.pt",))
    await rig.claims.submit(Job(id="1", asks=asks, policy="fetch"))
    (errand,) = await rig.claims.errands("m1", hold=30)
    assert errand.models == ("new.pt",)
    await rig.gain("new.pt")
    work = await rig.claims.claim("m1", "w")
    assert work is not None
    asked = int((await redis.hgetall("routing:errands"))[work.signature.encode()])

    async def later() -> bool:
        seconds, micros = await redis.time()
        return seconds * 1000 + micros // 1000 > asked

    await until(later, "the server's clock goes on")
    await rig.claims.submit(Job(id="2", asks=asks, policy="fetch"))
    assert (await rig.claims.next(work))[1] is not None
    found = await routed(redis, Keys())
    assert (found.claims, found.fetched, found.hits) == (2, 1, 0.5)


async def test_a_machine_remembers_when_a_job_last_needed_each_model(redis: Redis, rig: Rig) -> None:
    begun = int(time.time())
    await rig.claims.submit(job("1", "a.pt", "vae/v.pt"))
    assert await rig.claims.claim("m1", "w") is not None
    found = (await ran(redis, Keys(), ["m1", "m2"]))["m1"]
    assert found.keys() == {"n:a.pt", "f:vae/v.pt"}
    assert min(found.values()) >= begun - 1
    assert await redis.ttl("routing:ran:m1") > 80 * 86_400


async def test_a_worker_of_the_running_fleet_counts_the_same(redis: Redis, rig: Rig) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    said = json.dumps(worker(models={"comfyui": ["a.pt"]}))
    answer: Any = await redis.fcall(f"mm_find_matching_job_{version()}", 2, ROOT, PENDING, said, "100")
    assert json.loads(answer)["jobId"] == "1"
    assert (await routed(redis, Keys())).claims == 1
    assert (await ran(redis, Keys(), ["m1"]))["m1"].keys() == {"n:a.pt"}


async def test_e6_garbage_where_it_is_remembered_costs_no_claim(redis: Redis, rig: Rig) -> None:
    await redis.set("routing:ran:m1", "garbage")
    assert await ran(redis, Keys(), ["m1"]) == {}
    await rig.claims.submit(job("1", "a.pt"))
    assert await rig.claims.claim("m1", "w") is not None
    assert "m1" in await ran(redis, Keys(), ["m1"])


async def test_e2_a_server_that_is_away_is_told(redis: Redis) -> None:
    away = connect("unix:///nowhere")
    with pytest.raises(BusUnavailable):
        await routed(away, Keys())
    with pytest.raises(BusUnavailable):
        await ran(away, Keys(), ["m1"])
    await away.aclose()
