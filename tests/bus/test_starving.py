from __future__ import annotations

import pytest
from redis.asyncio import Redis

from model_manager.bus import starving
from model_manager.bus.connection import connect
from model_manager.bus.functions import Functions
from model_manager.bus.keys import Keys
from model_manager.bus.starving import Starving
from model_manager.errors import BusUnavailable
from model_manager.facts.job import Asks, Job
from model_manager.facts.routed import Starved
from tests.bus.fleet import ROOT
from tests.bus.servers import Server
from tests.bus.working import Rig, job


@pytest.fixture
async def rig(redis: Redis) -> Rig:
    return await Rig(redis).begin("a.pt", "vae/v.pt")


async def look(redis: Redis) -> Starved:
    found = await Starving(redis, Keys()).look()
    assert found is not None
    return found


async def test_a_pool_without_jobs_starves_nobody(redis: Redis) -> None:
    assert await look(redis) == Starved(jobs=0, models={})


async def test_jobs_that_only_lack_models_are_counted_by_model(redis: Redis, rig: Rig) -> None:
    await rig.claims.submit(job("1", "b.pt"))
    await rig.claims.submit(job("2", "b.pt"))
    await rig.claims.submit(job("3", "a.pt", "loras/c.pt", "b.pt"))
    await rig.claims.submit(job("4", "a.pt"))
    assert await look(redis) == Starved(jobs=3, models={"b.pt": 3, "loras/c.pt": 1, "a.pt": 1})


async def test_jobs_that_wait_for_something_else_too_are_not_among_them(redis: Redis, rig: Rig) -> None:
    await rig.claims.submit(Job(id="1", asks=Asks(service="forge", models=("b.pt",))))
    await rig.claims.submit(Job(id="2", asks=Asks(service="comfyui", models=("b.pt",), gpu_memory_gb=80)))
    await rig.beat(free=3_000_000_000)
    await rig.claims.submit(Job(id="3", asks=Asks(service="comfyui", models=("b.pt",), storage_gb=50)))
    await rig.claims.submit(Job(id="4", asks=Asks(service="forge")))
    assert await look(redis) == Starved(jobs=0, models={})
    await rig.beat(free=300_000_000_000)
    assert (await look(redis)).jobs == 1


async def test_what_comes_ends_it(redis: Redis, rig: Rig) -> None:
    await rig.claims.submit(job("1", "b.pt"))
    assert (await look(redis)).jobs == 1
    await rig.gain("b.pt")
    assert (await look(redis)).jobs == 0
    await rig.lose("b.pt")
    assert (await look(redis)).jobs == 1


async def test_a_large_pool_is_gone_through_in_several_looks(
    redis: Redis, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(30):
        await rig.claims.submit(job(str(n), f"{n}.pt"))
    monkeypatch.setattr(starving, "SIGNATURES", "7")
    monkeypatch.setattr(starving, "CALLS", 2)
    hunger = Starving(redis, Keys())
    told = [await hunger.look() for _ in range(7)]
    assert told[:2] == [None, None]
    assert {each.jobs for each in told[2:] if each is not None} == {30}
    await rig.claims.submit(job("more", "0.pt"))
    assert [each.jobs for each in [await hunger.look() for _ in range(6)] if each is not None][-1] == 31


async def test_no_call_is_long_however_many_kinds_there_are(redis: Redis, rig: Rig) -> None:
    await rig.claims.submit_all(job(str(n), f"{n}.pt") for n in range(400))
    _, (cursor, *told) = await Functions(redis).call("mm_starving", (ROOT,), ("0", "500"))
    assert 0 < int(cursor) < 400
    assert len(told) == 2 * int(cursor)


@pytest.mark.parametrize("values", [("x", "5"), ("-1", "5"), ("0", "0"), ("0", "501"), ("0", "")])
async def test_k10_what_cannot_be_meant_is_refused(redis: Redis, values: tuple[str, str]) -> None:
    word, _ = await Functions(redis).call("mm_starving", (ROOT,), values)
    assert word == "BAD"


async def test_e1_redis_away_is_our_error(own: Server) -> None:
    redis = connect(own.url)
    own.kill()
    with pytest.raises(BusUnavailable):
        await Starving(redis, Keys()).look()
    await redis.aclose()
