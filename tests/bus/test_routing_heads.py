"""The heads of the queues as a server has them in mind, page by page: lua/routing/remembering.lua."""

from __future__ import annotations

import itertools
import json
import random

import pytest
from redis.asyncio import Redis

from model_manager.bus.functions import version
from tests.bus.routing_histories import Pool
from tests.bus.test_routing import machine
from tests.bus.test_routing_memory import OTHER, Releases
from tests.bus.test_routing_next import asks

NAMES = [f"{n}.pt" for n in range(40)]


async def forget(redis: Redis) -> None:
    """What the server had in mind of the pool."""
    await redis.hset("routing:tokens", "\n", "another turn")


def pair(n: int) -> list[str]:
    """Two models that no other number has together."""
    return [NAMES[n % 40], NAMES[(n + 1 + n // 40) % 40]]


QUANTUM = 262144
"""us of one step of the slices; the lowest two bits have none: lua/routing/queues.lua."""


async def wrongly_cut(redis: Redis) -> list[str]:
    """The signatures whose bits in the slices do not say where their head stands."""
    base = float(await redis.get("routing:noughts"))
    slices = range(2, 31)
    async with redis.pipeline(transaction=False) as pipe:
        heads = await redis.zrange("routing:heads", 0, -1, withscores=True)
        for sid, _ in heads:
            for bit in slices:
                pipe.getbit(f"routing:nought:{bit}", int(sid))
        bits = iter(await pipe.execute())
    said = {sid: sum((1 - next(bits)) << bit for bit in slices) for sid, _ in heads}
    return [sid for sid, score in heads if said[sid] != max(0, int((score - base) // QUANTUM)) // 4 * 4]


async def gets(pool: Pool, token: str, name: str = "m1") -> str:
    word, rest = await pool.claim(name, token=token)
    return rest[0] if word == "JOB" else ""


@pytest.mark.parametrize("seed", range(3))
async def test_the_best_of_many_heads_that_move_is_next(redis: Redis, seed: int) -> None:
    """More than are looked at in one walk, of which most fit nobody; they come, leave, come down and are cancelled."""
    pool, chance, waiting = Pool(redis), random.Random(seed), dict[str, tuple[float, set[str]]]()
    held = {name: set(chance.sample(NAMES, size)) for name, size in (("m1", 5), ("m2", 15), ("m3", 39))}
    for name, some in held.items():
        await machine(redis, pool, name, *some)
    numbers = itertools.count()

    async def more(number: int) -> None:
        for _ in range(number):
            some, id = set(chance.sample(NAMES, chance.choice([1, 2, 2, 2]))), f"j{next(numbers)}"
            await pool.submit(id, {"models": sorted(some)}, chance.randint(-9, 9))
            waiting[id] = ((await pool.job(id))["score"], some)
        await pool.settle()

    await more(600)
    for call in range(80):
        name, number = chance.choice(list(held)), chance.choice([1, 1, 8])
        due = sorted((score, id) for id, (score, some) in waiting.items() if some <= held[name])[:number]
        _, replies = await pool.next(name, [asks(f"w{n}", f"t{call}-{n}") for n in range(number)])
        due = due[: sum(reply[0] != "AGAIN" for reply in replies)]
        assert [reply[1] for reply in replies] == [id for _, id in due] + [""] * (number - len(due)), call
        gone = [*(id for _, id in due), *chance.sample(sorted(waiting.keys() - {id for _, id in due}), 2)]
        for id in gone:
            await pool.call("mm_cancel", id)
            del waiting[id]
        await more(chance.choice([0, 5, 9]))
    assert await wrongly_cut(redis) == []


async def test_a_queue_that_somebody_took_away_costs_no_other_job(redis: Redis) -> None:
    pool = Pool(redis)
    await machine(redis, pool, "m1", *NAMES)
    for n in range(140):
        await pool.submit(f"j{n}", {"models": pair(n)})
    assert await gets(pool, "t0") == "j0"
    await redis.delete(f"routing:queue:{(await pool.job('j1'))['signature']}")
    assert [await gets(pool, f"t{n}") for n in range(1, 140)] == [*(f"j{n}" for n in range(2, 140)), ""]
    assert not await redis.exists("routing:noughts")


async def test_slices_that_were_lost_are_made_anew(redis: Redis) -> None:
    pool = Pool(redis)
    await machine(redis, pool, "m1", *NAMES)
    for n in range(160):
        await pool.submit(f"j{n}", {"models": pair(n)}, -(n % 50))
    for n in range(20):
        await pool.call("mm_cancel", f"j{n}")
    await redis.delete("routing:noughts")
    await forget(redis)
    for n in range(40):
        await pool.submit(f"k{n}", {"models": pair(n)}, -99)
    assert await wrongly_cut(redis) == []


async def test_a_head_that_another_release_moved_on_is_not_taken_for_the_best(redis: Redis) -> None:
    pool = Pool(redis)
    await machine(redis, pool, "m1", *NAMES[:3])
    for id, model in (("first", 0), ("a1", 1), ("b1", 2), ("a2", 1), ("b2", 2)):
        await pool.submit(id, {"models": NAMES[model]})
    assert await gets(pool, "t1") == "first"
    sid, score = (await pool.job("a2"))["signature"], (await pool.job("a2"))["score"]
    await redis.zrem(f"routing:queue:{sid}", "a1")
    await redis.zadd("routing:heads", {sid: score})
    await redis.hset("routing:job:a1", "st", "running")
    assert [await gets(pool, f"t{n}") for n in range(2, 6)] == ["b1", "a2", "b2", ""]


async def test_a_head_that_another_release_moved_on_is_found_beyond_many_that_fit_nobody(redis: Redis) -> None:
    pool = Pool(redis)
    await machine(redis, pool, "m1", "x.pt", "y.pt")
    await machine(redis, pool, "m2", "first.pt")
    for id, model in (("first", "first.pt"), ("x1", "x.pt"), ("y1", "y.pt"), ("x2", "x.pt")):
        await pool.submit(id, {"models": model})
    assert await gets(pool, "first", "m2") == "first"
    for n in range(500):
        await pool.submit(f"j{n}", {"models": pair(n)}, 9)
    sid, score = (await pool.job("x2"))["signature"], (await pool.job("x2"))["score"]
    await redis.zrem(f"routing:queue:{sid}", "x1")
    await redis.zadd("routing:heads", {sid: score})
    await redis.hset("routing:job:x1", "st", "running")
    assert [await gets(pool, f"t{n}") for n in range(3)] == ["y1", "x2", ""]


@pytest.mark.parametrize("moved", ["by nobody", "by a claim", "by a cancel"])
async def test_a_head_that_another_release_moves_on_between_two_searches_is_found(redis: Redis, moved: str) -> None:
    pool, other = Pool(redis), Releases(redis, random.Random(1), only=OTHER)
    await other.load()
    await machine(redis, pool, "m1", "x.pt", "y.pt")
    await machine(redis, pool, "m2", "x.pt")
    for id, model in (("x1", "x.pt"), ("x2", "x.pt"), ("x3", "x.pt"), ("y1", "y.pt"), ("x4", "x.pt")):
        await pool.submit(id, {"models": model})
    for n in range(500):
        await pool.submit(f"j{n}", {"models": pair(n)}, 9)
    assert [await gets(pool, f"s{n}") for n in range(2)] == ["x1", "x2"]
    await pool.submit("sooner", {"models": "y.pt"}, 10)
    assert await gets(pool, "s2") == "sooner"
    if moved == "by a claim":
        assert await gets(Pool(redis, functions=other), "t", "m2") == "x3"
    elif moved == "by a cancel":
        await Pool(redis, functions=other).call("mm_cancel", "x3")
    left = ["x3", "y1", "x4", ""] if moved == "by nobody" else ["y1", "x4", ""]
    assert [await gets(pool, f"t{n}") for n in range(len(left))] == left


async def test_more_heads_of_one_score_than_a_page_has_are_all_found(redis: Redis) -> None:
    pool = Pool(redis)
    await machine(redis, pool, "m1", *NAMES)
    for n in range(100):
        await pool.submit(f"j{n}", {"models": pair(n)}, 9 if n == 99 else 0)
    first, others = (await pool.job("j99"))["score"], range(99)
    for n in others:
        sid = (await pool.job(f"j{n}"))["signature"]
        await redis.zadd(f"routing:queue:{sid}", {f"j{n}": first + 1e6})
        await redis.zadd("routing:heads", {sid: first + 1e6})
    await forget(redis)
    taken = [await gets(pool, f"t{n}") for n in range(101)]
    assert taken[0] == "j99"
    assert sorted(taken[1:100]) == sorted(f"j{n}" for n in others)
    assert taken[100] == ""


async def test_heads_of_one_score_stay_on_one_page_when_it_is_cut_in_two(redis: Redis) -> None:
    pool = Pool(redis)
    await machine(redis, pool, "m1", *NAMES)
    await machine(redis, pool, "m2", "rare.pt")
    for n in range(131):
        await pool.submit(f"before{n}", {"service": "comfyui", "models": pair(n) if n else ["rare.pt"]})
        assert await gets(pool, f"before{n}", "m1" if n else "m2") == f"before{n}"

    async def come(jobs: dict[str, list[str]], scores: dict[str, float]) -> None:
        """From the queue of the older fleet, which is where jobs have one score; the last name comes first."""
        for id, models in jobs.items():
            text = json.dumps({"models": models})
            await redis.hset(f"job:{id}", mapping={"requirements": text, "service_required": "comfyui"})
        await redis.zadd("jobs:pending", scores)
        while (await pool.call("mm_take_in", 100, "all", keys=("jobs:pending",)))[1][2] != "0":
            pass
        await pool.settle()

    sooner = {f"a{n:02}": pair(1 + n) for n in range(40)}
    others = {f"b{n:02}": pair(41 + n) for n in range(60)}
    await come(sooner | others, {id: 4096.0 if id in sooner else 1024.0 for id in sooner | others})
    assert await gets(pool, "none yet", "m2") == ""
    more = {f"c{n:02}": pair(101 + n) for n in range(30)} | {"c09x": ["rare.pt"]}
    await come(more, dict.fromkeys(more, 1024.0))
    assert await gets(pool, "rare", "m2") == "c09x"
    taken = [await gets(pool, f"t{n}") for n in range(131)]
    assert sorted(taken[:40]) == sorted(sooner)
    assert sorted(taken[40:]) == sorted(["", *others, *(more.keys() - {"c09x"})])


@pytest.mark.parametrize("name", ["heads", "noughts", "filled"])
async def test_garbage_in_the_place_of_what_is_in_mind_costs_no_job(redis: Redis, name: str) -> None:
    pool = Pool(redis)
    await machine(redis, pool, "m1", *NAMES[:2])
    for n in range(8):
        await pool.submit(f"j{n}", {"models": NAMES[n % 2]})
    assert await gets(pool, "t0") == "j0"
    await redis.delete(f"routing:{name}")
    await redis.lpush(f"routing:{name}", "garbage")
    taken = [await gets(pool, "t1")]
    await pool.settle()
    assert taken + [await gets(pool, f"t{n}") for n in range(2, 9)] == [*(f"j{n}" for n in range(1, 8)), ""]


async def test_who_went_beyond_many_heads_does_not_go_over_them_again(redis: Redis) -> None:
    pool = Pool(redis)
    await machine(redis, pool, "m1", "x.pt")
    for n in range(500):
        await pool.submit(f"j{n}", {"models": pair(n)}, 9)
    for n in range(3):
        await pool.submit(f"x{n}", {"models": "x.pt"})
    assert await gets(pool, "t0") == "x0"
    await redis.config_resetstat()
    assert [await gets(pool, "t1"), await gets(pool, "t2")] == ["x1", "x2"]
    assert "cmdstat_bitop" not in await redis.info("commandstats")


async def test_a_head_that_comes_leaves_what_is_known_of_a_seat(redis: Redis) -> None:
    pool = Pool(redis)
    await machine(redis, pool, "m1", "x.pt")
    asked_of_lease = []
    for n in range(6):
        await pool.submit(f"j{n}", {"models": "x.pt"})
        await redis.config_resetstat()
        assert [await gets(pool, f"t{n}"), await gets(pool, f"none{n}")] == [f"j{n}", ""]
        asked_of_lease.append("cmdstat_pttl" in await redis.info("commandstats"))
    assert False in asked_of_lease[1:]  # it is asked again each second


@pytest.mark.parametrize("number", [300, 4500])
async def test_what_came_before_much_else_is_not_forgotten(redis: Redis, number: int) -> None:
    """More heads come down than a server keeps in mind; one of them fits a machine that claimed before."""
    pool = Pool(redis)
    await machine(redis, pool, "m1", "x.pt", "y.pt")
    for id in ("x0", "x1"):
        await pool.submit(id, {"models": "x.pt"})
    assert await gets(pool, "t0") == "x0"
    await pool.submit("y", {"models": "y.pt"}, 1)
    async with redis.pipeline(transaction=False) as pipe:
        for n in range(number):
            wanted = json.dumps({"models": f"nobody{n % 5}.pt"})
            pipe.fcall(
                f"mm_submit_{version()}", 1, "routing", 1, f"n{n}", min(n // 5, 1000), wanted, "", "", "", 3, "wait"
            )
        await pipe.execute()
    assert [await gets(pool, f"t{n}") for n in range(1, 4)] == ["y", "x1", ""]
