from __future__ import annotations

import pytest
from redis.asyncio import Redis

from model_manager.bus.claims import Claims
from model_manager.bus.jobs import PER_CALL, Jobs
from model_manager.errors import BadRequest, JobOver, NoSuchJob
from model_manager.facts.job import Asks, Available, Job
from tests.bus.working import Rig, job, until


@pytest.fixture
def jobs(redis: Redis) -> Jobs:
    return Jobs(redis, patience=5.0)


async def test_an_answer_says_how_many_machines_can_take_it_and_where_its_models_are(redis: Redis, jobs: Jobs) -> None:
    await Rig(redis, "m1").begin("a.pt", "b.pt")
    await Rig(redis, "m2").begin("a.pt")
    answer = await jobs.submit(job("1", "a.pt", "b.pt"))
    assert (answer.word, answer.eligible) == ("queued", 1)
    assert answer.models == (Available(model="a.pt", machines=2), Available(model="b.pt", machines=1))


async def test_the_same_id_again_is_the_same_job(jobs: Jobs) -> None:
    assert (await jobs.submit(job("1", "a.pt"))).word == "queued"
    assert (await jobs.submit(job("1", "b.pt"))).word == "known"
    assert (await jobs.job("1")).asks["models"] == ["a.pt"]


async def test_a_job_that_nobody_can_take_is_refused_if_its_policy_says_so(redis: Redis, jobs: Jobs) -> None:
    await Rig(redis).begin("a.pt")
    answer = await jobs.submit(job("1", "nobody.pt", policy="reject"))
    assert (answer.word, answer.eligible) == ("rejected", 0)
    assert answer.models == (Available(model="nobody.pt", machines=0),)
    with pytest.raises(NoSuchJob):
        await jobs.job("1")


@pytest.mark.parametrize("asks", [{"models": 7}, {"gpu_memory_gb": "much"}, {"models": [None]}])
async def test_k10_what_cannot_be_read_is_refused_with_a_reason_and_nobody_gets_it(jobs: Jobs, asks: object) -> None:
    with pytest.raises(BadRequest, match="job '1'"):
        await jobs.submit(Job(id="1", asks=asks))  # type: ignore[arg-type]
    with pytest.raises(NoSuchJob):
        await jobs.job("1")


async def test_l4_a_bad_job_among_many_keeps_no_other_from_being_taken(jobs: Jobs) -> None:
    many = [job(str(n), "a.pt") for n in range(3)]
    many[1] = Job(id="1", asks={"models": {"a": []}})
    assert [each.word for each in await jobs.submit_all(many)] == ["queued", "bad", "queued"]


async def test_more_jobs_than_one_call_takes_are_handed_in_together(jobs: Jobs) -> None:
    many = [job(str(n), payload=b"x" * 20_000) for n in range(PER_CALL + 200)]
    assert {each.word for each in await jobs.submit_all(many)} == {"queued"}
    assert sorted([each.id async for each in jobs.jobs("pending")], key=int) == [each.id for each in many]
    assert len([each async for each in jobs.jobs("pending", at_most=120)]) == 120
    assert [each.id for each in await jobs.next_up()] == [each.id for each in many[:100]]


async def test_a_job_is_told_whole(redis: Redis, jobs: Jobs) -> None:
    await Rig(redis).begin("a.pt")
    await jobs.submit(job("1", "a.pt", priority=7, customer="c", workflow="w", payload=b"\xff{", max_attempts=5))
    found = await jobs.job("1")
    assert (found.id, found.state, found.priority, found.customer, found.workflow) == ("1", "pending", 7, "c", "w")
    assert (found.attempts, found.max_attempts, found.policy, found.eligible) == (0, 5, "wait", 1)
    assert found.models == (Available(model="a.pt", machines=1),)
    assert found.submitted > 1_700_000_000
    assert found.payload == "\ufffd{"


async def test_a_cancelled_job_is_nobodys_until_it_is_tried_again(redis: Redis, jobs: Jobs) -> None:
    rig = await Rig(redis).begin("a.pt")
    await jobs.submit(job("1", "a.pt"))
    await jobs.cancel("1")
    assert (await jobs.job("1")).state == "cancelled"
    assert await rig.claims.claim("m1", "w") is None
    await jobs.retry("1")
    assert (await rig.claims.claim("m1", "w")) is not None


async def test_a_job_that_is_done_is_neither_cancelled_nor_tried_again(redis: Redis, jobs: Jobs) -> None:
    rig = await Rig(redis).begin("a.pt")
    await jobs.submit(job("1", "a.pt"))
    work = await rig.claims.claim("m1", "w")
    assert work is not None
    await rig.claims.complete(work, "the result")
    for late in (jobs.cancel, jobs.retry):
        with pytest.raises(JobOver, match="done"):
            await late("1")
    assert [(each.id, each.result) async for each in jobs.jobs("done")] == [("1", "the result")]


async def test_a_job_that_nobody_knows_is_said_to_be_none(jobs: Jobs) -> None:
    for question in (jobs.job, jobs.cancel, jobs.retry, jobs.explain):
        with pytest.raises(NoSuchJob):
            await question("nobody")


async def test_why_a_machine_cannot_take_a_job_is_said_by_the_rules(redis: Redis, jobs: Jobs) -> None:
    await Rig(redis, "m1").begin("a.pt")
    await Rig(redis, "m2").begin("a.pt", "b.pt", offer={"services": ["a1111"]})
    asks = Asks(service="comfyui", models=("a.pt", "b.pt"))
    explained = await jobs.explain(asks=asks)
    by_machine = {each.machine: each for each in explained.machines}
    assert explained.eligible == 0
    assert (by_machine["m1"].fits, by_machine["m1"].missing) == (False, ("b.pt",))
    assert {rule for rule, _ in by_machine["m1"].reasons} == {"models"}
    assert {rule for rule, _ in by_machine["m2"].reasons} == {"service"}
    (alone,) = (await jobs.explain(asks=asks, machine="m2")).machines
    assert (alone.machine, alone.live) == ("m2", True)


async def test_a_machine_that_nobody_heard_of_is_in_no_explanation(jobs: Jobs) -> None:
    assert (await jobs.explain(asks=Asks(), machine="nobody")).machines == ()


async def test_which_machines_can_take_a_job(redis: Redis, jobs: Jobs) -> None:
    for name in ("m1", "m2", "m3"):
        await Rig(redis, name).begin("a.pt")
    assert await jobs.machines_for(Asks(models=("a.pt",)), limit=2) == (3, ("m1", "m2"))
    assert await jobs.machines_for(Asks(models=("b.pt",))) == (0, ())


async def test_jobs_of_others_are_taken_in_and_unreadable_ones_stop_nobody(redis: Redis, jobs: Jobs) -> None:
    await Rig(redis).begin("a.pt")
    for id, requirements in (("1", '{"models": ["a.pt"]}'), ("2", "{"), ("3", '{"models": ["b.pt"]}')):
        await redis.hset(f"job:{id}", mapping={"id": id, "service_required": "comfyui", "requirements": requirements})
        await redis.zadd("jobs:pending", {id: 100 - int(id)})

    async def one_is_left() -> bool:
        await jobs.take_in(only_eligible=True)
        return await redis.zrange("jobs:pending", 0, -1) == [b"3"]

    await until(one_is_left, "what can be done here is taken, once its requirement is indexed")
    assert await jobs.take_in() == (1, 0, 0)
    assert [each.id async for each in jobs.jobs("dead")] == ["2"]


async def test_what_a_point_of_priority_is_worth_can_be_chosen(redis: Redis, jobs: Jobs) -> None:
    rig = await Rig(redis).begin("a.pt")
    await jobs.tune(priority_seconds=3600)
    await jobs.submit(job("1", "a.pt"))
    await jobs.submit(job("2", "a.pt", priority=1))
    work = await rig.claims.claim("m1", "w")
    assert work is not None
    assert work.job == "2"
    with pytest.raises(BadRequest):
        await jobs.tune(priority_seconds=0)


async def test_pools_of_different_prefixes_know_nothing_of_each_other(redis: Redis) -> None:
    one, other = Claims(redis, "{one}:"), Jobs(redis, "{other}:")
    await one.submit(job("1", "a.pt"))
    with pytest.raises(NoSuchJob):
        await other.job("1")
    assert {key.decode().partition(":")[0] for key in await redis.keys("*")} <= {"{one}", "{other}"}


async def test_pages_that_end_within_a_signature_leave_nobody_out(jobs: Jobs) -> None:
    for number in range(7):
        await jobs.submit(job(f"j{number}", f"{number % 3}.pt"))
    found: list[str] = []
    cursor = "0"
    for _ in range(7):
        page, cursor, total = await jobs.page("pending", cursor, 3)
        assert total == 7
        found += [each.id for each in page]
        if cursor == "0":
            break
    assert sorted(found) == [f"j{number}" for number in range(7)]


async def test_k10_many_jobs_that_each_ask_for_much_that_is_new_are_all_handed_in(redis: Redis) -> None:
    jobs = Jobs(redis)
    many = [Job(id=f"j{n}", asks=Asks(models=tuple(f"{n}-{each}.pt" for each in range(60)))) for n in range(12)]
    answers = await jobs.submit_all(many)
    assert [(each.id, each.word) for each in answers] == [(f"j{n}", "queued") for n in range(12)]
    assert [each.id for each in await jobs.next_up()] == [f"j{n}" for n in range(12)]


async def test_k10_a_job_that_json_cannot_say_is_bad_and_keeps_no_other_from_being_taken(jobs: Jobs) -> None:
    many = [job("0", "a.pt"), Job(id="1", asks={"gpu_memory_gb": float("nan")}), job("2", "a.pt")]
    assert [(each.id, each.word) for each in await jobs.submit_all(many)] == [
        ("0", "queued"),
        ("1", "bad"),
        ("2", "queued"),
    ]


async def test_an_id_of_any_bytes_comes_back_as_it_was(jobs: Jobs) -> None:
    assert (await jobs.submit(job("m\udcff", "a.pt"))).word == "queued"
    assert (await jobs.cancel("m\udcff")) is None


async def test_the_first_in_order_are_told_over_many_queues_and_over_several_calls(jobs: Jobs) -> None:
    many = [job(f"{n:03}", f"{n % 17}.pt", priority=n * 7 % 5, payload=b"x" * 30_000) for n in range(130)]
    await jobs.submit_all(many)
    best = sorted(many, key=lambda each: (-each.priority, each.id))
    await jobs.tune(priority_seconds=3600)
    told = [each.id for each in await jobs.next_up()]
    assert told == [each.id for each in best[:100]]
    assert [each.id for each in await jobs.next_up(7)] == told[:7]


async def test_every_seat_of_a_machine_is_explained_however_many_calls_it_takes(redis: Redis, jobs: Jobs) -> None:
    claims, seats = Claims(redis), [f"s{n:02}" for n in range(40)]
    for n, seat in enumerate(seats):
        await claims.offer(
            "m1", {"services": ["comfyui"], "x": [f"{n}-{each}" for each in range(400)]}, seat=seat, lasts=60
        )
    found = await jobs.explain(asks={"service": "comfyui", "x": ["none"]}, machine="m1", limit=50)
    assert [each.seat for each in found.machines] == seats
    assert not any(each.fits for each in found.machines)


async def test_who_can_do_a_job_is_known_though_its_indexing_takes_several_calls(redis: Redis, jobs: Jobs) -> None:
    names = [f"{n}.pt" for n in range(60)]
    await Rig(redis, "m1").begin(*names)
    many = [Job(id=f"j{n}", asks=Asks(models=tuple(names[n:]))) for n in range(20)]
    assert [(each.word, each.eligible) for each in await jobs.submit_all(many)] == [("queued", 1)] * 20


async def test_an_explanation_is_whole_however_many_calls_it_takes(redis: Redis, jobs: Jobs) -> None:
    names = [f"{n:03}.pt" for n in range(60)]
    for n in range(12):
        await Rig(redis, f"m{n}").begin(*names[n : n + 40])
    found = await jobs.explain(asks={"models": names}, limit=12)
    assert len(found.machines) == 12
    assert [each.model for each in found.models] == names
    assert {each.machine: len(each.missing) for each in found.machines} == {f"m{n}": 20 for n in range(12)}
