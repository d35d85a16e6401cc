"""Several workers of one machine at once: lua/next.lua."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any

import pytest
from redis.asyncio import Redis

from model_manager.errors import BadRequest
from model_manager.facts.job import Work
from tests.bus.routing_histories import Pool
from tests.bus.test_routing import machine
from tests.bus.working import Rig, job


@pytest.fixture
async def pool(redis: Redis) -> Pool:
    pool = Pool(redis)
    await machine(redis, pool, "m1", "a.pt")
    for id in "123":
        await pool.submit(id, {"models": "a.pt"}, payload=f"payload {id}")
    return pool


def asks(worker: str, token: str, done: str = "", done_token: str = "", result: str = "") -> tuple[str, ...]:
    return worker, token, done, done_token, result


async def test_each_gets_the_best_that_is_left_and_the_last_ones_nothing(pool: Pool) -> None:
    word, replies = await pool.next("m1", [asks(f"w{n}", f"t{n}") for n in range(4)])
    assert word == "OK"
    assert [reply[:2] for reply in replies] == [["JOB", "1"], ["JOB", "2"], ["JOB", "3"], ["EMPTY", ""]]
    assert [reply[3] for reply in replies[:3]] == ["payload 1", "payload 2", "payload 3"]
    assert [(await pool.job(id))["worker"] for id in "123"] == ["w0", "w1", "w2"]


async def test_who_asks_again_with_its_token_gets_the_same_job_and_what_it_finished_counts_once(pool: Pool) -> None:
    await pool.next("m1", [asks("w0", "t0"), asks("w1", "t1")])
    asking = [asks("w0", "t2", "1", "t0", "r"), asks("w1", "t3", "2", "t1")]
    first = await pool.next("m1", asking)
    second = await pool.next("m1", asking)
    assert [reply[:2] for reply in first[1]] == [["JOB", "3"], ["EMPTY", ""]]
    assert [reply[:2] for reply in second[1]] == [["JOB", "3"], ["EMPTY", ""]]
    assert [reply[-1] for reply in first[1]] == ["DONE", "DONE"]
    assert [reply[-1] for reply in second[1]] == ["REPEAT", "REPEAT"]
    assert (await pool.job("1"))["result"] == "r"


async def test_one_job_that_two_workers_finished_is_done_once(pool: Pool) -> None:
    await pool.claim("m1", "w0", "t0")
    _, replies = await pool.next("m1", [asks("w0", "t1", "1", "t0"), asks("w1", "t2", "1", "t0")])
    assert [reply[-1] for reply in replies] == ["DONE", "REPEAT"]


async def test_what_was_taken_away_meanwhile_is_stale_and_the_others_count(pool: Pool) -> None:
    await pool.next("m1", [asks("w0", "t0"), asks("w1", "t1")])
    await pool.call("mm_fail", "1", "t0", "final", "why", 0)
    _, replies = await pool.next("m1", [asks("w0", "t2", "1", "t0"), asks("w1", "t3", "2", "t1")])
    assert [reply[-1] for reply in replies] == ["STALE", "DONE"]
    assert [(await pool.job(id))["state"] for id in "12"] == ["dead", "done"]


@pytest.mark.parametrize(
    ("machine_id", "asking", "why"),
    [
        ("m1", [], "1 to 8 workers"),
        ("m1", [asks(f"w{n}", f"t{n}") for n in range(9)], "1 to 8 workers"),
        ("m1", [asks("w0", "t0"), asks("w1", "t0")], "one token"),
        ("m1", [asks("", "t0")], "no id"),
        ("m:1", [asks("w0", "t0")], "no id"),
        ("m1", [asks("w0", "t0"), asks("w1", "t1", "1", "t9", "x" * 4097)], "4096"),
    ],
)
async def test_what_cannot_be_meant_is_refused_and_nothing_is_written(
    pool: Pool, machine_id: str, asking: list[Any], why: str
) -> None:
    word, replies = await pool.next(machine_id, asking)
    assert word == "BAD"
    assert why in replies[0][0] or not asking
    assert [(await pool.job(id))["state"] for id in "123"] == ["pending"] * 3


async def test_a_machine_that_nobody_knows_is_told_so_and_what_was_finished_counts(pool: Pool) -> None:
    await pool.claim("m1", "w0", "t0")
    assert await pool.next("m2", [asks("w0", "t1", "1", "t0")]) == ("UNKNOWN", [["DONE"]])


@pytest.mark.parametrize("submitted", [20, 260])
async def test_several_at_once_get_in_order_what_they_would_get_one_after_the_other(
    redis: Redis, submitted: int
) -> None:
    """With 260 jobs there are so many signatures that the bitmaps are asked beyond the first heads."""
    pool, chance, waiting = Pool(redis), random.Random(submitted), dict[str, tuple[float, set[str]]]()
    names = [f"{n}.pt" for n in range(24)]
    held = {name: set(chance.sample(names, size)) for name, size in (("m1", 4), ("m2", 12), ("m3", 23))}
    for name, some in held.items():
        await machine(redis, pool, name, *some)

    async def more(number: int) -> None:
        for _ in range(number):
            some, id = set(chance.sample(names, chance.choice([1, 2, 2]))), f"j{next(numbers)}"
            await pool.submit(id, {"models": sorted(some)}, chance.choice([0, 0, 1, -1, 3, 9]))
            waiting[id] = ((await pool.job(id))["score"], some)
        await pool.settle()

    numbers = itertools.count()
    await more(submitted)
    for call in range(60):
        name, number = chance.choice(["m1", "m2", "m2", "m3"]), chance.randint(1, 8)
        due = sorted((score, id) for id, (score, some) in waiting.items() if some <= held[name])[:number]
        _, replies = await pool.next(name, [asks(f"w{n}", f"t{call}-{n}") for n in range(number)])
        assert [reply[1] for reply in replies] == [id for _, id in due] + [""] * (number - len(due)), call
        for _, id in due:
            assert (await pool.job(id))["state"] == "running"
            del waiting[id]
        await more(chance.choice([0, 3, 8]))


async def test_what_stands_in_a_queue_without_a_record_is_passed_over_and_gone(redis: Redis, pool: Pool) -> None:
    [queue] = await redis.keys("routing:queue:*")
    await redis.zadd(queue, {f"lost{n}": n for n in range(1, 4)})
    _, replies = await pool.next("m1", [asks(f"w{n}", f"t{n}") for n in range(2)])
    assert [reply[1] for reply in replies] == ["1", "2"]
    assert await redis.zrange(queue, 0, -1) == [b"3"]


async def test_what_several_claimed_counts_each_once(redis: Redis, pool: Pool) -> None:
    await pool.next("m1", [asks(f"w{n}", f"t{n}") for n in range(8)])
    assert await redis.hget("routing", "claims") == b"3"


@pytest.fixture
async def rig(redis: Redis) -> Rig:
    return await Rig(redis).begin("a.pt")


async def held(rig: Rig, number: int) -> list[Work]:
    for n in range(2 * number):
        await rig.claims.submit(job(f"{n}", "a.pt"))
    found = [await rig.claims.claim("m1", f"w{n}") for n in range(number)]
    return [work for work in found if work is not None]


async def test_workers_of_one_machine_that_end_jobs_at_once_ask_together(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    works, names, call = await held(rig, 5), [], rig.claims._patience.call

    async def noted(name: str, *asked: Any, **how: Any) -> Any:
        names.append(name)
        return await call(name, *asked, **how)

    monkeypatch.setattr(rig.claims._patience, "call", noted)
    found = await asyncio.gather(*(rig.claims.next(work, "r") for work in works))
    assert [outcome for outcome, _ in found] == ["done"] * 5
    assert sorted(work.job for _, work in found if work) == ["5", "6", "7", "8", "9"]
    assert [work.worker for _, work in found if work] == [f"w{n}" for n in range(5)]
    assert len(names) <= 3
    assert set(names) == {"mm_next"}


async def test_a_result_that_is_too_long_is_refused_to_its_worker_alone(rig: Rig) -> None:
    works = await held(rig, 2)
    found = await asyncio.gather(
        rig.claims.next(works[0], "x" * 5000), rig.claims.next(works[1]), return_exceptions=True
    )
    assert isinstance(found[0], BadRequest)
    assert not isinstance(found[1], BaseException)
    assert found[1][0] == "done"


async def test_who_found_nothing_waits_for_what_comes(rig: Rig) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    work = await rig.claims.claim("m1", "w")
    assert work is not None
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(rig.claims.next(work, wait=30))
        await rig.claims.submit(job("2", "a.pt"))
    outcome, found = waiting.result()
    assert outcome == "done"
    assert found is not None
    assert found.job == "2"
