from __future__ import annotations

import asyncio
import textwrap
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

import model_manager
from model_manager.bus.claims import Claims, lost
from model_manager.bus.connection import connect
from model_manager.errors import BadRequest, BusUnavailable, LeaseLost, NotServing
from model_manager.facts.job import Asks, Errand, Job, Work
from tests.bus.servers import Server
from tests.bus.working import Rig, job, until


@pytest.fixture
async def rig(redis: Redis) -> Rig:
    return await Rig(redis).begin("a.pt")


async def taken(claims: Claims, worker: str = "w", machine: str = "m1", **how: Any) -> Work:
    work = await claims.claim(machine, worker, **how)
    assert work is not None
    return work


async def test_a_job_goes_to_a_machine_that_has_its_models_and_to_no_other(redis: Redis, rig: Rig) -> None:
    other = await Rig(redis, "m2").begin("b.pt")
    await rig.claims.submit(job("1", "a.pt", payload=b"\xff\x00raw", priority=3))
    assert await other.claims.claim("m2", "w") is None
    work = await taken(rig.claims)
    assert (work.job, work.machine, work.worker, work.payload, work.attempt) == ("1", "m1", "w", b"\xff\x00raw", 1)
    assert (work.asks, work.priority) == ({"service": ["comfyui"], "models": ["a.pt"]}, 3)
    assert await rig.claims.claim("m1", "x") is None


async def test_what_is_gained_or_lost_counts_at_once(rig: Rig) -> None:
    await rig.claims.submit(job("1", "b.pt"))
    assert await rig.claims.claim("m1", "w") is None
    await rig.gain("b.pt")
    await rig.claims.submit(job("2", "a.pt"))
    await rig.lose("a.pt")
    assert (await taken(rig.claims)).job == "1"
    assert await rig.claims.claim("m1", "w") is None


async def test_a_completion_counts_once(rig: Rig) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    work = await taken(rig.claims)
    assert [await rig.claims.complete(work, "r") for _ in range(2)] == ["done", "repeat"]
    assert (await rig.claims.job("1")).result == "r"


async def test_completing_and_claiming_are_one_round_trip(rig: Rig) -> None:
    for id in "12":
        await rig.claims.submit(job(id, "a.pt"))
    outcome, second = await rig.claims.next(await taken(rig.claims), "r")
    assert (outcome, second and second.job) == ("done", "2")
    assert second is not None
    assert await rig.claims.next(second) == ("done", None)
    assert await rig.claims.next(second) == ("repeat", None)


async def test_a_failed_job_comes_back_until_its_attempts_are_used_up(rig: Rig) -> None:
    await rig.claims.submit(job("1", "a.pt", max_attempts=2))
    back = await rig.claims.fail(await taken(rig.claims), "out of memory", backoff=0.01)
    assert back.word in ("delayed", "pending")
    second = await taken(rig.claims, wait=20)
    assert (second.job, second.attempt) == ("1", 2)
    assert (await rig.claims.fail(second, "out of memory again")).word == "dead"
    (dead,) = [each async for each in rig.claims.jobs("dead")]
    assert (dead.id, dead.why) == ("1", "out of memory again")


async def test_a_job_that_waits_for_its_next_attempt_says_when(rig: Rig) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    work = await taken(rig.claims)
    back = await rig.claims.fail(work, "x" * 5000, backoff=600)
    assert back.word == "delayed"
    assert back.due is not None
    assert back.due > work.deadline
    (delayed,) = [each async for each in rig.claims.jobs("delayed")]
    assert delayed.due == back.due
    await rig.claims.retry("1")
    assert (await taken(rig.claims)).attempt == 1


async def test_l2_a_model_that_is_not_there_charges_nothing_and_another_machine_gets_the_job(
    redis: Redis, rig: Rig
) -> None:
    other = await Rig(redis, "m2").begin("a.pt")
    await rig.claims.submit(job("1", "a.pt", max_attempts=1))
    work = await taken(rig.claims)
    assert (await rig.claims.fail(work, "a.pt is gone", how="missing_model")).word == "pending"
    assert await rig.claims.claim("m1", "w") is None
    second = await taken(other.claims, machine="m2")
    assert second.attempt == 1
    assert await other.claims.complete(second) == "done"


async def test_a_job_that_can_never_be_done_is_dead_at_once(rig: Rig) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    assert (await rig.claims.fail(await taken(rig.claims), "no such prompt", how="final")).word == "dead"


async def test_l3_what_an_old_worker_says_after_its_lease_is_stale(redis: Redis, rig: Rig) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    old = await taken(rig.claims, lease=0.1)
    new = await taken(rig.claims, "x", wait=20)
    assert (new.job, new.attempt) == ("1", 2)
    assert await rig.claims.complete(old) == "stale"
    assert (await rig.claims.fail(old, "late")).word == "stale"
    with pytest.raises(LeaseLost, match="given back"):
        await rig.claims.extend(old)
    assert await rig.claims.complete(new) == "done"


async def test_an_idle_worker_is_woken_by_a_job_that_it_can_do(redis: Redis, rig: Rig) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(taken(rig.claims, wait=60))
        await until(lambda: _parked(redis), "the worker waits at its bell")
        await Claims(redis).submit(job("1", "a.pt"))
        async with asyncio.timeout(20):
            assert (await waiting).job == "1"


async def test_an_idle_worker_is_woken_by_a_model_that_arrives(redis: Redis, rig: Rig) -> None:
    await rig.claims.submit(job("1", "b.pt"))
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(taken(rig.claims, wait=60))
        await until(lambda: _parked(redis), "the worker waits at its bell")
        await rig.gain("b.pt")
        async with asyncio.timeout(20):
            assert (await waiting).job == "1"


async def _parked(redis: Redis) -> bool:
    clients: Any = await redis.client_list()
    return any(client["cmd"] == "blpop" for client in clients)


async def test_nobody_waits_longer_than_it_said(rig: Rig) -> None:
    async with asyncio.timeout(20):
        assert await rig.claims.claim("m1", "w", wait=0.1) is None


async def test_a_job_of_a_hot_model_goes_first_within_its_bonus(rig: Rig) -> None:
    await rig.gain("b.pt")
    await rig.claims.submit(job("1", "a.pt"))
    signature = (await rig.claims.submit(job("2", "b.pt"))).signature
    assert (await taken(rig.claims, hot=(signature,), bonus=0)).job == "1"
    await rig.claims.submit(job("3", "a.pt"))
    await rig.claims.submit(job("4", "b.pt"))
    assert (await taken(rig.claims)).job == "2"
    assert (await taken(rig.claims, hot=(signature,), bonus=120)).job == "4"


async def test_a_machine_that_offered_nothing_is_told_so(rig: Rig) -> None:
    with pytest.raises(NotServing, match="MODEL_MANAGER_SERVICES"):
        await rig.claims.claim("m2", "w")


async def test_l1_a_machine_without_a_heartbeat_gets_no_job_until_it_beats_again(redis: Redis) -> None:
    rig = await Rig(redis, lease=0.05).begin("a.pt")
    await rig.claims.submit(job("1", "a.pt"))

    async def away() -> bool:
        return not await redis.exists(rig.bus.keys.lease("m1"))

    await until(away, "its lease runs out")
    with pytest.raises(NotServing, match="does not beat"):
        await rig.claims.claim("m1", "w")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(taken(rig.claims, wait=60))
        again = Rig(redis, lease=60.0)
        again.teller = rig.teller
        await again.beat()
        async with asyncio.timeout(20):
            assert (await waiting).job == "1"


async def test_e4_an_offer_that_a_flushed_server_forgot_is_made_again(redis: Redis, rig: Rig) -> None:
    await redis.flushall()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(taken(rig.claims, wait=60))
        await rig.beat()
        await rig.bus.snapshot(rig.teller.snapshot(), rig.teller.entries)
        await Claims(redis).submit(job("1", "a.pt"))
        async with asyncio.timeout(30):
            assert (await waiting).job == "1"


async def test_workers_of_a_seat_get_what_their_own_offer_says(rig: Rig) -> None:
    big = {"services": ["comfyui"], "hardware": {"gpu_memory_gb": 80}}
    await rig.claims.offer("m1", big, seat="big", lasts=60)
    await rig.claims.submit(job("1", "a.pt"))
    await rig.claims.submit(_large("2"))
    assert (await taken(rig.claims)).job == "1"
    assert await rig.claims.claim("m1", "w") is None
    assert (await taken(rig.claims, seat="big")).job == "2"
    await rig.claims.withdraw("m1", seat="big")
    await rig.claims.submit(_large("3"))
    assert await rig.claims.claim("m1", "w", seat="big") is None


async def test_workers_of_a_machine_that_offers_nothing_any_more_are_told_so(rig: Rig) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    work = await taken(rig.claims)
    await rig.claims.withdraw("m1")
    with pytest.raises(NotServing):
        await rig.claims.claim("m1", "w")
    assert await rig.claims.complete(work) == "done"


def _large(id: str) -> Job:
    return Job(id=id, asks=Asks(service="comfyui", models=("a.pt",), gpu_memory_gb=48))


@pytest.mark.parametrize(
    "said", [{"services": 7}, {"services": ["x"], "a": [[[[[[[[[[1]]]]]]]]]]}, {"services": ["x" * 70_000]}]
)
async def test_k10_an_offer_that_cannot_be_read_is_refused(rig: Rig, said: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        await rig.claims.offer("m1", said)


async def test_an_answer_that_was_lost_is_asked_for_again_and_is_the_same_job(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for id in "12":
        await rig.claims.submit(job(id, "a.pt"))
    claims = Claims(rig.claims._redis, patience=0)
    call = claims._patience._functions.call
    lose = True

    async def losing(*asked: Any) -> Any:
        answer = await call(*asked)
        if lose:
            raise BusUnavailable(why="the answer was lost")
        return answer

    monkeypatch.setattr(claims._patience._functions, "call", losing)
    with pytest.raises(BusUnavailable):
        await claims.claim("m1", "w")
    lose = False
    assert (await taken(claims)).job == "1"
    assert (await taken(claims)).job == "2"


async def test_a_claim_that_is_cancelled_when_it_has_its_job_already_gives_it_to_the_next(
    redis: Redis, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    answered = asyncio.Event()
    call = rig.claims._patience.call

    async def slow(*asked: Any, **how: Any) -> Any:
        answer = await call(*asked, **how)
        answered.set()
        await asyncio.sleep(60)
        return answer

    monkeypatch.setattr(rig.claims._patience, "call", slow)
    async with asyncio.TaskGroup() as group:
        claiming = group.create_task(rig.claims.claim("m1", "w"))
        await answered.wait()
        claiming.cancel()
    monkeypatch.undo()
    assert (await taken(rig.claims)).job == "1"


async def test_two_claims_of_one_worker_at_once_are_a_mistake(redis: Redis, rig: Rig) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(rig.claims.claim("m1", "w", wait=60))
        await until(lambda: _parked(redis), "the first one waits")
        with pytest.raises(BadRequest, match="name of its own"):
            await rig.claims.claim("m1", "w")
        waiting.cancel()


async def test_a_heartbeat_keeps_the_job_as_long_as_the_block_runs(redis: Redis, rig: Rig) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    work = await taken(rig.claims, lease=0.6)
    async with rig.claims.held(work):

        async def extended() -> bool:
            deadline = (await rig.claims.job("1")).deadline
            return deadline is not None and deadline > work.deadline + 0.6

        await until(extended, "its lease goes on")
        assert await rig.claims.claim("m1", "x") is None
    assert await rig.claims.complete(work) == "done"


async def test_l3_work_whose_job_was_given_to_another_is_cancelled(redis: Redis, rig: Rig) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    work = await taken(rig.claims, lease=0.6)
    stopped = asyncio.Event()

    async def working() -> None:
        async with rig.claims.held(work):
            await Claims(redis).cancel("1")
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                stopped.set()
                raise

    with pytest.raises(LeaseLost, match="it was cancelled"):
        await working()
    assert stopped.is_set()


async def test_e1_work_is_cancelled_when_redis_was_away_for_a_whole_lease(own: Server) -> None:
    redis = connect(own.url, timeout=5.0)
    rig = await Rig(redis).begin("a.pt")
    await rig.claims.submit(job("1", "a.pt"))
    work = await taken(rig.claims, lease=0.5)
    own.kill()
    async with asyncio.timeout(30):
        with pytest.raises(LeaseLost, match="away for a whole lease"):
            async with rig.claims.held(work):
                await asyncio.sleep(60)
    await redis.aclose()


async def test_what_the_block_raises_and_a_cancellation_from_outside_pass_as_they_are(rig: Rig) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    work = await taken(rig.claims)
    with pytest.raises(ZeroDivisionError):
        async with rig.claims.held(work):
            raise ZeroDivisionError
    with pytest.raises(TimeoutError):
        async with rig.claims.held(work):
            raise TimeoutError
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), rig.claims.held(work):
            await asyncio.sleep(60)
    assert await rig.claims.complete(work) == "done"


async def test_a_machine_that_only_lacks_models_is_asked_to_fetch_them_and_no_other(redis: Redis, rig: Rig) -> None:
    other = await Rig(redis, "m2").begin("a.pt", offer={"services": ["a1111"]})
    await rig.claims.submit(job("1", "a.pt", "b.pt", policy="fetch"))
    await rig.claims.submit(job("2", "c.pt"))
    assert await other.claims.errands("m2", hold=60) == ()
    (errand,) = await rig.claims.errands("m1", hold=60)
    assert (errand.models, errand.jobs) == (("b.pt",), 1)
    assert await rig.claims.errands("m1", hold=60) == (errand,)
    await rig.gain("b.pt")
    assert (await taken(rig.claims)).job == "1"
    assert await rig.claims.errands("m1", hold=60) == ()


async def test_one_machine_alone_is_asked(redis: Redis, rig: Rig) -> None:
    other = await Rig(redis, "m2").begin()
    await rig.claims.submit(job("1", "b.pt", policy="fetch"))
    asked = [await each.claims.errands(each.machine, hold=60) for each in (rig, other)]
    assert sorted(map(len, asked)) == [0, 1]
    assert isinstance(asked[0][0] if asked[0] else asked[1][0], Errand)


async def test_a_reaper_gives_back_what_nobody_finished(redis: Redis, rig: Rig) -> None:
    await rig.claims.submit(job("1", "a.pt"))
    await rig.claims.submit(job("2", "a.pt", max_attempts=1))
    for _ in range(2):
        await taken(rig.claims, lease=0.1)

    async def reaped() -> bool:
        await rig.claims.reap()
        return {(await rig.claims.job(id)).state for id in "12"} == {"pending", "dead"}

    await until(reaped, "both leases have ended")


def test_an_unknown_answer_is_no_answer() -> None:
    with pytest.raises(BusUnavailable, match="WHATEVER"):
        lost("WHATEVER")


async def test_an_answer_of_a_later_release_is_no_empty_queue(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def later(*_: Any, **__: Any) -> Any:
        return "LATER", []

    monkeypatch.setattr(rig.claims._patience, "call", later)
    with pytest.raises(BusUnavailable, match="LATER"):
        await rig.claims.claim("m1", "w")


async def test_the_ten_lines_of_the_page_do_what_they_say(redis: Redis, shared: Server) -> None:
    page = (Path(model_manager.__file__).parent.parent / "docs" / "routing.md").read_text()
    lines = page.split("```python\n")[1].split("```")[0].replace("redis://127.0.0.1:6379/0", shared.url)
    await Rig(redis, "gpu-7").begin("flux-dev.safetensors")

    async def render(payload: bytes) -> str:
        return f"rendered {payload.decode()}"

    known: dict[str, Any] = {"connect": connect, "Claims": Claims, "Job": Job, "Asks": Asks, "render": render}
    exec("async def ten_lines():\n" + textwrap.indent(lines, "    "), known)
    claims = Claims(redis)

    async def done() -> bool:
        return [each.result async for each in claims.jobs("done")] == ["rendered ..."]

    async with asyncio.TaskGroup() as group:
        worker = group.create_task(known["ten_lines"]())
        await until(done, "the job is done")
        worker.cancel()
