"""What a server keeps in mind of a pool between calls, and what must end it: lua/routing/remembering.lua."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from model_manager.bus import functions
from model_manager.bus.connection import connect
from model_manager.bus.functions import Argument, Functions
from tests.bus.routing_histories import Pool, World
from tests.bus.servers import Server
from tests.bus.test_routing import machine
from tests.bus.working import COMFY, Rig

OTHER = "ba9876543210"
"""The version of a release whose functions are the same, and whose memory is another."""


class Releases(Functions):
    """Each call goes to one of two releases, by chance, or to `only` this one."""

    def __init__(self, redis: Redis, chance: random.Random, only: str = "") -> None:
        super().__init__(redis)
        self._server, self._chance, self._only = redis, chance, only

    async def load(self) -> None:
        await super().load()
        await self._server.function_load(functions.library().replace(functions.version(), OTHER), replace=True)

    async def _loaded(self) -> bool:
        return await super()._loaded() and bool(await self._server.function_list(f"model_manager_{OTHER}"))

    async def _once(self, name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> list[bytes]:
        version = self._only or self._chance.choice((functions.version(), OTHER))
        reply: Any = await self._server.fcall(f"{name}_{version}", len(keys), *keys, *arguments)
        return list(reply)


async def taken(pool: Pool, number: int, name: str = "m1", first: int = 0) -> list[str]:
    """What this machine gets, one claim after the other; "" for nothing."""
    replies = [await pool.claim(name, token=f"{name}-{first + n}") for n in range(number)]
    return [rest[0] if word == "JOB" else "" for word, rest in replies]


@pytest.mark.parametrize("part", range(4))
async def test_two_releases_beside_each_other_answer_like_one(redis: Redis, part: int) -> None:
    for seed in range(500 + 2 * part, 502 + 2 * part):
        await redis.flushall()
        chance = random.Random(seed)
        world = World(redis, chance, Releases(redis, chance))
        try:
            await world.play(150)
            await world.quiet()
        except BaseException:
            print(f"seed {seed}: {' '.join(world.steps)}")
            raise


Offer = dict[str, Any]

DECLARED: Offer = {"service": "comfyui", "models": "a.pt"}
SERVED: Offer = {"service": "comfyui"}


def made(asks: Offer, n: int, able: bool) -> Offer:
    """The nth offer, no two alike, of a machine that can do it, or cannot."""
    if asks is SERVED:
        return {"services": ["comfyui" if able else "a1111"], "n": n}
    return {"services": ["comfyui"], "models": {"comfyui": ["a.pt" if able else "b.pt", f"{n}.pt"]}}


@pytest.mark.parametrize("asks", [DECLARED, SERVED])
async def test_how_many_can_do_a_job_follows_offers_that_come_change_and_go(redis: Redis, asks: Offer) -> None:
    pool, other = Pool(redis), Releases(redis, random.Random(1))
    await other.load()
    await pool.submit("j", asks)

    async def after(name: str, n: int, able: bool | None) -> int:
        """How many can, once this machine offers that, or nothing any more; who changes it is this release or another one."""
        text = "" if able is None else json.dumps(made(asks, n, able))
        reply = await other.call("mm_offer", (pool.keys.routing, pool.keys.lease(name)), (name, "", "60000", text))
        assert reply[0] == "OK"
        await pool.settle()
        told: int = (await pool.job("j"))["eligible"]
        return told

    can: set[str] = set()
    chance = random.Random(7)
    for n in range(60):
        name, able = f"m{chance.randrange(6)}", chance.choice([True, True, False, None])
        can = can | {name} if able else can - {name}
        assert await after(name, n, able) == len(can), n


async def test_who_submits_is_told_where_the_models_are_now(redis: Redis) -> None:
    """Also where a model that came or went changes nothing for any job."""
    pool, chance, wanted = Pool(redis), random.Random(5), ("a.pt", "b.pt", "vae/c.pt")
    rigs = [await Rig(redis, name).begin("other.pt") for name in ("m1", "m2", "m3")]
    held: dict[Rig, set[str]] = {rig: set() for rig in rigs}
    away: set[Rig] = set()
    for n in range(60):
        rig, model = chance.choice(rigs), chance.choice(wanted)
        if chance.random() < 0.2:
            await (rig.claims.offer(rig.machine, COMFY) if rig in away else rig.claims.withdraw(rig.machine))
            away ^= {rig}
        elif model in held[rig]:
            await rig.lose(model)
            held[rig].remove(model)
        else:
            await rig.gain(model)
            held[rig].add(model)
        _, able, _, told = await pool.submit("j", {"models": list(wanted)})
        counts = {each["model"]: each["machines"] for each in told["models"]}
        assert counts == {each: sum(each in some for some in held.values()) for each in wanted}, n
        assert able == sum(some == set(wanted) and rig not in away for rig, some in held.items()), n


async def test_a_job_that_goes_before_those_that_a_machine_was_past_is_next(redis: Redis) -> None:
    pool = Pool(redis)
    await machine(redis, pool, "m1", "a.pt", "b.pt")
    await machine(redis, pool, "m2", "c.pt")
    for n in range(4):
        await pool.submit(f"other{n}", {"models": "c.pt"}, 1)
        await pool.submit(f"a{n}", {"models": "a.pt"})
    assert await taken(pool, 2) == ["a0", "a1"]
    await pool.submit("b0", {"models": "b.pt"}, 5)
    await pool.submit("sooner", {"models": "a.pt"}, 9)
    assert await taken(pool, 5, first=2) == ["sooner", "b0", "a2", "a3", ""]
    await pool.submit("late", {"models": "b.pt"}, 9)
    assert await taken(pool, 2, first=7) == ["late", ""]
    assert await taken(pool, 5, "m2") == ["other0", "other1", "other2", "other3", ""]


async def test_a_job_that_comes_back_is_next_again(redis: Redis) -> None:
    pool = Pool(redis)
    await machine(redis, pool, "m1", "a.pt", "b.pt")
    for n, model in enumerate(("a.pt", "b.pt", "a.pt", "b.pt")):
        await pool.submit(f"{n}", {"models": model})
    assert await taken(pool, 3) == ["0", "1", "2"]
    assert (await pool.call("mm_fail", "1", "m1-1", "retry", "why", 0))[0] == "PENDING"
    assert (await pool.call("mm_fail", "0", "m1-0", "retry", "why", 0))[0] == "PENDING"
    assert await taken(pool, 4, first=3) == ["0", "1", "3", ""]


async def test_among_many_signatures_claims_and_new_jobs_in_turns_find_the_best(redis: Redis) -> None:
    """Enough heads for slices; every machine comes by so often that it knows where it left off, or so seldom that it must not."""
    pool, chance = Pool(redis), random.Random(11)
    names = [f"{n}.pt" for n in range(24)]
    held = {name: set(chance.sample(names, size)) for name, size in (("m1", 6), ("m2", 14), ("m3", 2))}
    for name, some in held.items():
        await machine(redis, pool, name, *some)
    waiting: dict[str, tuple[float, set[str]]] = {}

    async def more(number: int) -> None:
        for _ in range(number):
            some, job = set(chance.sample(names, chance.choice([1, 2, 2]))), f"j{next(numbers)}"
            await pool.submit(job, {"models": sorted(some)}, chance.choice([0, 0, 1, -1, 3, 9]))
            waiting[job] = ((await pool.job(job))["score"], some)
        await pool.settle()

    numbers = iter(range(10_000))
    await more(260)
    assert await redis.exists("routing:noughts")
    for n in range(250):
        if n % 3 == 0:
            await more(1)
        name = chance.choice(["m1", "m1", "m1", "m2", "m3"])
        best = min(((score, job) for job, (score, some) in waiting.items() if some <= held[name]), default=(0.0, ""))[1]
        word, rest = await pool.claim(name, token=f"t{n}")
        assert (word, rest[0] if best else "") == (("JOB", best) if best else ("EMPTY", "")), n
        waiting.pop(best, None)


async def test_two_databases_of_one_server_are_two_pools(own: Server) -> None:
    redises = [connect(f"{own.url}?db={number}") for number in (0, 1)]
    try:
        pools = [Pool(redis) for redis in redises]
        for redis, pool, jobs in zip(redises, pools, (3, 1), strict=True):
            await machine(redis, pool, "m1", "a.pt")
            for n in range(jobs):
                await pool.submit(f"j{n}", {"models": "a.pt"}, 1 - n)
        found = [(await taken(pool, 1, first=n))[0] for n in range(4) for pool in pools]
        assert found == ["j0", "j0", "j1", "", "j2", "", "", ""]
    finally:
        for redis in redises:
            await redis.aclose()


async def test_e3_what_another_server_did_meanwhile_is_seen(own: Server) -> None:
    """As after a failover and back: the keys are those of an earlier moment, or of another server."""
    redis = connect(own.url)
    try:
        pool = Pool(redis)
        await machine(redis, pool, "m1", "a.pt")
        for n in range(3):
            await pool.submit(f"j{n}", {"models": "a.pt"})
        before = {key: await redis.dump(key) for key in await redis.keys("*")}
        leases = await redis.keys("*:model_manager")
        assert await taken(pool, 2) == ["j0", "j1"]
        await pool.submit("new", {"models": "b.pt"})
        await redis.flushall()
        for key, value in before.items():
            assert value is not None
            await redis.restore(key, 60_000 if key in leases else 0, value)
        assert await taken(pool, 4, first=10) == ["j0", "j1", "j2", ""]
    finally:
        await redis.aclose()


async def test_how_long_what_is_over_is_kept_is_heard_at_once(redis: Redis) -> None:
    pool = Pool(redis)
    await machine(redis, pool, "m1", "a.pt")
    for n in range(3):
        await pool.submit(f"j{n}", {"models": "a.pt"})
    await pool.claim("m1", token="t0")
    await pool.claim("m1", token="t1", done=("j0", "t0", ""))
    assert (await pool.call("mm_tune", "keep_ms", 10_000))[0] == "OK"
    await pool.claim("m1", token="t2", done=("j1", "t1", ""))
    first, second = [await redis.zscore("routing:done", job) for job in ("j0", "j1")]
    assert first is not None
    assert second is not None
    assert first - second > 3_000_000


async def test_a_signature_whose_number_is_used_again_is_told_as_what_it_is(redis: Redis) -> None:
    pool = Pool(redis)
    await machine(redis, pool, "m1", "a.pt", "b.pt")
    sid = (await pool.submit("first", {"models": "a.pt"}))[2]
    _, told = await pool.claim("m1", token="t0")
    assert "a.pt" in told[5]
    await pool.call("mm_complete", "first", "t0", "", "0")
    deadline = asyncio.get_running_loop().time() + 20
    while await redis.zscore("routing:spare", sid) is None:
        await pool.call("mm_reap", 10)
        assert asyncio.get_running_loop().time() < deadline
    await redis.zadd("routing:spare", {sid: 1})
    await pool.call("mm_reap", 10)
    await pool.settle()
    assert (await pool.submit("second", {"models": "b.pt"}))[2] == sid
    _, told = await pool.claim("m1", token="t1")
    assert (told[0], "b.pt" in told[5]) == ("second", True)
