"""What is remembered of each time that a worker had a job."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from model_manager.bus.keys import Keys
from model_manager.facts.job import Try, Work
from tests.bus.working import Rig, job, until


@pytest.fixture
async def rig(redis: Redis) -> Rig:
    return await Rig(redis).begin("a.pt")


async def taken(rig: Rig, worker: str = "w", **how: Any) -> Work:
    work = await rig.claims.claim(rig.machine, worker, **how)
    assert work is not None
    return work


async def tries(rig: Rig, id: str = "1") -> tuple[Try, ...]:
    return (await rig.claims.job(id)).tries


def told(each: Try) -> tuple[str, str, int, str, str]:
    return each.machine, each.worker, each.attempt, each.how, each.why


async def test_a_job_that_nobody_had_was_not_tried(rig: Rig) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    assert await tries(rig) == ()


async def test_a_try_begins_when_it_is_claimed_and_ends_when_it_is_done(rig: Rig) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    work = await taken(rig, lease=30.0)
    (running,) = await tries(rig)
    assert told(running) == ("m1", "w", 1, "running", "")
    assert (running.began, running.ended) == (pytest.approx(work.deadline - 30.0, abs=0.002), None)
    await rig.claims.complete(work, "made")
    (done,) = await tries(rig)
    assert told(done) == ("m1", "w", 1, "done", "")
    assert done.began == running.began
    assert done.ended is not None
    assert done.ended >= (done.began or 0.0) > 0.0


async def test_each_way_to_fail_is_told_with_its_reason_and_the_last_one_ends_well(redis: Redis, rig: Rig) -> None:
    other = await Rig(redis, "m2").begin("a.pt")
    await rig.claims.submit(job("1", "a.pt"))
    await rig.claims.fail(await taken(rig), "out of memory", backoff=0.0)
    await rig.claims.fail(await taken(rig, "x"), "a.pt is gone", how="missing_model")
    work = await taken(other)
    await other.claims.complete(work)
    found = await tries(rig)
    assert [told(each) for each in found] == [
        ("m1", "w", 1, "retry", "out of memory"),
        ("m1", "x", 2, "missing_model", "a.pt is gone"),
        ("m2", "w", 2, "done", ""),
    ]
    times = [moment for each in found for moment in (each.began, each.ended) if moment is not None]
    assert len(times) == 6
    assert times == sorted(times)


async def test_l3_a_worker_that_is_not_heard_of_is_told_as_a_lease_that_ended(rig: Rig) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    await taken(rig, lease=0.1)
    await taken(rig, "x", wait=20)
    lost, running = await tries(rig)
    assert told(lost)[:4] == ("m1", "w", 1, "lease")
    assert "was not heard of" in lost.why
    assert told(running) == ("m1", "x", 2, "running", "")


async def test_who_had_a_job_that_was_cancelled_or_given_up_is_told_after_it_is_tried_again(rig: Rig) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    await taken(rig)
    await rig.claims.cancel("1")
    assert [each.how for each in await tries(rig)] == ["cancelled"]
    await rig.claims.retry("1")
    await rig.claims.fail(await taken(rig), "no such prompt", how="final")
    await rig.claims.retry("1")
    assert [(each.attempt, each.how) for each in await tries(rig)] == [(1, "cancelled"), (1, "final")]


async def test_the_last_eight_are_kept_and_long_reasons_are_cut_between_letters(rig: Rig, redis: Redis) -> None:
    await rig.claims.submit(job("1", "a.pt", max_attempts=50))
    for number in range(11):
        await rig.claims.fail(await taken(rig), f"{number}: " + "ü" * 400, backoff=0.0)
    found = await tries(rig)
    assert [each.attempt for each in found] == list(range(4, 12))
    assert all("ü" * 140 in each.why and "\ufffd" not in each.why and len(each.why.encode()) <= 300 for each in found)
    assert await redis.hstrlen(f"{Keys().routing}:job:1", "tr") < 8 * 500


async def test_k12_a_reason_with_line_ends_quotes_and_bytes_that_are_no_text_stays_one_try(rig: Rig) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    why = 'a "b"\n{"machine":"m9"}\n\x1b[31m \udcff'
    await rig.claims.fail(await taken(rig), why, backoff=0.0)
    await rig.claims.fail(await taken(rig), "again", backoff=0.0)
    first, second = await tries(rig)
    assert (first.machine, first.why) == ("m1", why.replace("\udcff", "\ufffd"))
    assert second.why == "again"


async def test_a_job_from_before_has_no_beginning_and_is_told_all_the_same(rig: Rig, redis: Redis) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    work = await taken(rig)
    await redis.hdel(f"{Keys().routing}:job:1", "ta")
    assert [each.began for each in await tries(rig)] == [None]
    await rig.claims.fail(work, "late", backoff=0.0)
    assert [(each.began, each.how) for each in await tries(rig)] == [(None, "retry")]


async def test_what_is_forgotten_takes_its_tries_along(rig: Rig, redis: Redis) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    await rig.claims.fail(await taken(rig), "once", backoff=0.0)
    await rig.claims.complete(await taken(rig), keep=0.0)

    async def forgotten() -> bool:
        await rig.claims.reap()
        return not [key async for key in redis.scan_iter(f"{Keys().routing}:*job:1")]

    await until(forgotten, "the job is forgotten")


async def test_a_reason_that_is_too_long_is_cut_at_a_whole_letter(rig: Rig) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    returned = await rig.claims.fail(await taken(rig), "-" + "ü" * 1_000, how="final")
    assert returned.word == "dead"
    assert (await rig.claims.job("1")).why == "-" + "ü" * 499
