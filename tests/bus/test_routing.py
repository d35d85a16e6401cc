"""Jobs from submit to done: order, leases, retries, bells, what goes on in later calls, and what keeps the server whole."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fakeredis import FakeAsyncRedis
from redis.asyncio import Redis

from model_manager.bus import functions
from model_manager.bus.connection import connect
from model_manager.bus.functions import Functions
from model_manager.bus.publishing import Bus
from model_manager.errors import BusUnavailable
from tests.bus.conftest import BOTH
from tests.bus.routing_histories import Agent, Pool, World
from tests.bus.servers import Server
from tests.bus.telling import entry
from tests.bus.working import until

COMFY = {"services": ["comfyui"]}
EVERYTHING = {"services": ["comfyui"], "models": "all", "storage_gb": 1000}


@pytest.fixture
def pool(redis: Redis) -> Pool:
    return Pool(redis)


async def machine(redis: Redis, pool: Pool, name: str = "m1", *held: str, offer: object = COMFY) -> Agent:
    agent = Agent(redis, name, pool.keys.prefix)
    await agent.introduce(*(entry(each) for each in held))
    assert (await pool.offer(name, offer))[0] == "OK"
    return agent


async def test_the_higher_priority_goes_first_and_then_the_older(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool, "m1", "a.pt", "b.pt")
    for job, model, priority in (
        ("1", "a.pt", 0),
        ("2", "b.pt", 0),
        ("3", "a.pt", 1),
        ("4", "b.pt", -1),
        ("5", "a.pt", 0),
    ):
        await pool.submit(job, {"models": model}, priority)
    assert [(await pool.claim("m1", token=f"t{n}"))[1][0] for n in range(5)] == ["3", "1", "2", "5", "4"]


async def test_a_point_of_priority_is_worth_a_bounded_time_and_no_more(pool: Pool, redis: Redis) -> None:
    """So whoever waits longer than that times the difference is overtaken by nobody: the bound on starvation."""
    assert await pool.call("mm_tune", "priority_ms", 1000) == ("OK", [])
    await pool.submit("old", {}, 0)
    await pool.submit("new", {}, 5)
    old, new = (await pool.job("old"))["score"], (await pool.job("new"))["score"]
    at = [(await pool.job(name))["submitted_ms"] for name in ("old", "new")]
    assert abs((old - new) - (5_000_000 - 1000 * (at[1] - at[0]))) <= 2000
    assert (await pool.call("mm_tune", "priority_ms", 0))[0] == "BAD"
    assert (await pool.call("mm_tune", "anything", 1))[0] == "BAD"


async def test_l3_a_claim_asked_again_gives_the_same_job_and_fifty_workers_get_fifty(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool)
    for n in range(50):
        await pool.submit(f"j{n}")
    first = await pool.claim("m1", "w0", "t0")
    again = await pool.claim("m1", "w0", "t0")
    assert (first[0], first[1][:4]) == ("JOB", again[1][:4])
    assert int(again[1][4]) >= int(first[1][4])
    answers = await asyncio.gather(*(pool.claim("m1", f"w{n}", f"t{n}") for n in range(1, 51)))
    jobs = [rest[0] for word, rest in answers if word == "JOB"]
    assert len(jobs) == len({*jobs, first[1][0]}) - 1 == 49


async def test_done_counts_once_and_a_stale_worker_changes_nothing(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool)
    await pool.submit("j", payload="p" * 5000)
    assert (await pool.claim("m1", "w1", "one", lease=100))[1][2] == "p" * 5000
    await redis.zadd("routing:leases", {"j": 1})
    assert (await pool.claim("m1", "w2", "two"))[1][0] == "j"
    for name, *rest in ("mm_complete", "r", ""), ("mm_fail", "retry", "why", 0), ("mm_extend", 1000):
        assert (await pool.call(name, "j", "one", *rest))[0] == "STALE"
    assert (await pool.call("mm_complete", "j", "two", "it went well", ""))[0] == "DONE"
    assert (await pool.call("mm_complete", "j", "two", "it went well", ""))[0] == "REPEAT"
    found = await pool.job("j")
    assert (found["state"], found["result"], found["attempts"]) == ("done", "it went well", 2)


async def test_one_round_trip_completes_and_claims(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool)
    await pool.submit("a")
    await pool.submit("b")
    await pool.claim("m1", token="t1")
    word, rest = await pool.claim("m1", token="t2", done=("a", "t1", "ok"))
    assert (word, rest[0], rest[-1]) == ("JOB", "b", "DONE")
    assert (await pool.claim("m1", token="t2", done=("a", "t1", "ok")))[1][-1] == "REPEAT"


async def test_attempts_end_in_the_dead_letter_and_a_retry_begins_anew(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool)
    await pool.submit("j", attempts=2)
    for n, expected in enumerate(("DELAYED", "DEAD")):
        await pool.claim("m1", token=f"t{n}")
        assert (await pool.call("mm_fail", "j", f"t{n}", "retry", "out of memory", 60_000))[0] == expected
        assert (await pool.claim("m1", token="none"))[0] == "EMPTY"
        await redis.zadd("routing:delayed", {"j": 1}, xx=True)
        if expected == "DELAYED":
            await pool.call("mm_reap", 10)
    assert (await pool.job("j"))["why"] == "out of memory"
    assert (await pool.call("mm_retry", "j"))[0] == "PENDING"
    assert (await pool.claim("m1", token="again"))[1][3] == "1"


async def test_a_wait_doubles_with_each_attempt_up_to_an_hour(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool)
    await pool.submit("j", attempts=100)
    waits = []
    for n in range(4):
        await pool.claim("m1", token=f"t{n}")
        _, (due,) = await pool.call("mm_fail", "j", f"t{n}", "retry", "", 1_000_000)
        seconds, micros = await redis.time()
        waits.append(round((int(due) - seconds * 1000 - micros / 1000) / 1_000_000))
        await redis.zadd("routing:delayed", {"j": 1})
        await pool.call("mm_reap", 10)
    assert waits == [1, 2, 4, 4]


async def test_l2_a_model_that_is_gone_costs_no_attempt_and_the_job_goes_elsewhere(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool, "m1", "a.pt")
    await machine(redis, pool, "m2", "a.pt")
    await pool.submit("j", {"models": "a.pt"}, attempts=1)
    await pool.claim("m1", token="t1")
    assert (await pool.call("mm_fail", "j", "t1", "missing_model", "a.pt is gone", 0))[0] == "PENDING"
    assert (await pool.claim("m1", token="t2"))[0] == "EMPTY"
    assert (await pool.claim("m2", token="t3"))[1][3] == "1"


async def test_l2_the_machine_is_tried_again_after_a_while(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool, "m1", "a.pt")
    await pool.submit("j", {"models": "a.pt"})
    await pool.claim("m1", token="t1")
    await pool.call("mm_fail", "j", "t1", "missing_model", "", 0)
    for sid in await redis.zrange("routing:kept_away", 0, -1):
        await redis.zadd("routing:kept_away", {sid: 1})
    await pool.call("mm_reap", 10)
    assert (await pool.claim("m1", token="t2"))[0] == "JOB"
    assert (await pool.job("j"))["excluded"] == []


async def test_l1_a_dead_machine_gets_nothing_and_is_counted_no_more_once_withdrawn(pool: Pool, redis: Redis) -> None:
    agent = await machine(redis, pool, "m1", "a.pt")
    await pool.submit("j", {"models": "a.pt"})
    await agent.die()
    assert (await pool.claim("m1"))[0] == "AWAY"
    await agent.bus.reap()
    assert (await pool.claim("m1"))[0] == "UNKNOWN"
    assert (await pool.job("j"))["eligible"] == 0


async def test_an_inventory_that_went_on_without_the_index_is_not_believed(pool: Pool, redis: Redis) -> None:
    """An agent of an older release published: its functions do not know routing."""
    agent = await machine(redis, pool, "m1", "a.pt")
    await pool.submit("j", {"models": "a.pt"})
    await redis.hset(pool.keys.models("m1"), "seq", "7")
    assert (await pool.claim("m1"))[0] == "STALE"
    agent.teller.seq = 7
    await agent.snapshot()
    assert (await pool.claim("m1"))[0] == "JOB"


@pytest.mark.parametrize("bonus", [0, 1000])
async def test_a_hot_signature_goes_first_within_its_head_start_and_not_beyond(
    pool: Pool, redis: Redis, bonus: int
) -> None:
    await machine(redis, pool, "m1", "a.pt", "b.pt")
    await pool.submit("cold", {"models": "a.pt"})
    sid = (await pool.submit("hot", {"models": "b.pt"}))[2]
    await pool.submit("later", {"models": "b.pt"}, priority=-1)
    assert (await pool.claim("m1", bonus=bonus, hot=(sid,)))[1][0] == ("hot" if bonus else "cold")
    assert (await pool.claim("m1", token="t2", bonus=bonus, hot=(sid,)))[1][0] == ("cold" if bonus else "hot")


async def test_among_a_thousand_signatures_the_best_is_found_however_few_the_machine_can_do(
    pool: Pool, redis: Redis
) -> None:
    """Enough for the slices: many heads, most of them of others, scores far apart and side by side."""
    chance = random.Random(5)
    names = [f"{n}.pt" for n in range(40)]
    held = {name: set(chance.sample(names, size)) for name, size in (("m1", 12), ("m2", 25), ("m3", 2))}
    for name, some in held.items():
        await machine(redis, pool, name, *some)
    waiting: dict[str, tuple[float, set[str]]] = {}
    for n in range(500):
        some = set(chance.sample(names, chance.choice([1, 2, 2])))
        await pool.submit(f"j{n}", {"models": sorted(some)}, chance.choice([0, 0, -1, 9, 1000, -1000]))
        waiting[f"j{n}"] = (0.0, some)
    await pool.settle()
    for job in waiting:
        waiting[job] = ((await pool.job(job))["score"], waiting[job][1])
    assert await redis.zcard("routing:heads") > 200
    assert await redis.exists("routing:noughts")
    for n in range(400):
        name = chance.choice(list(held))
        able = [(score, job) for job, (score, some) in waiting.items() if some <= held[name]]
        word, rest = await pool.claim(name, token=f"t{n}")
        assert (word, rest[0] if able else "") == (("JOB", min(able)[1]) if able else ("EMPTY", "")), n
        if able:
            del waiting[rest[0]]


async def test_a_parked_worker_is_rung_by_a_job_that_it_can_do_and_by_no_other(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool, "m1", "a.pt")
    await machine(redis, pool, "m2", "b.pt")
    word, (bell, wait, *_) = await pool.claim("m1", "w1", park=20_000)
    assert (word, bell) == ("EMPTY", "routing:bell:m1:w1")
    assert 10 <= int(wait) <= 20_000
    await pool.claim("m2", "w2", park=20_000)
    await pool.submit("other", {"models": "b.pt"})
    assert await redis.llen(bell) == 0
    await pool.submit("ours", {"models": "a.pt"})
    assert await redis.blpop([bell], 5) is not None
    assert (await pool.claim("m1", "w1", "t2"))[1][0] == "ours"


async def test_one_job_rings_one_worker_of_a_thousand(pool: Pool, redis: Redis) -> None:
    for n in range(10):
        await machine(redis, pool, f"m{n}", "a.pt")
    for n in range(100):
        await pool.claim(f"m{n % 10}", f"w{n}", f"t{n}", park=60_000)
    for number in (1, 2, 3):
        await pool.submit(f"j{number}", {"models": "a.pt"})
        assert len(await redis.keys("routing:bell:*")) == number


async def test_a_worker_is_rung_when_its_machine_gets_the_model(pool: Pool, redis: Redis) -> None:
    agent = await machine(redis, pool)
    await pool.submit("j", {"models": "a.pt"})
    await pool.claim("m1", "w1", park=60_000)
    agent.teller.appear(entry("a.pt"))
    await agent.publish()
    assert await redis.llen("routing:bell:m1:w1") == 1


async def test_a_ring_that_was_lost_is_rung_again(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool, "m1", "a.pt")
    for worker in ("w1", "w2"):
        await pool.claim("m1", worker, worker, park=60_000)
    await pool.submit("j", {"models": "a.pt"})
    assert len(await redis.keys("routing:bell:*")) == 1
    assert (await pool.call("mm_reap", 10))[1][3] == "1"
    assert len(await redis.keys("routing:bell:*")) == 2


async def test_a_job_is_refused_kept_or_fetched_for_as_its_policy_says(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool, "m1", "a.pt", "b.pt")
    await machine(redis, pool, "m2", "a.pt")
    wanted = {"service": "comfyui", "models": ["a.pt", "b.pt", "c.pt"]}
    word, eligible, _, told = await pool.submit("1", wanted, policy="reject")
    assert (word, eligible, told["why"]) == ("REJECTED", 0, "no machine has c.pt")
    assert {each["model"]: each["machines"] for each in told["models"]} == {"a.pt": 2, "b.pt": 1, "c.pt": 0}
    assert (await pool.submit("2", wanted, policy="fetch"))[0] == "QUEUED"
    assert await _demand(pool, "m2") == []
    assert await _demand(pool, "m1") == [{"models": ["c.pt"], "jobs": 1}]


async def _demand(pool: Pool, name: str) -> list[object]:
    word, rest = await pool.call("mm_demand", name, 60_000, 5, keys=(pool.keys.lease(name),))
    assert word == "OK"
    return [json.loads(text) for text in rest[1::2]]


async def test_an_explanation_says_what_is_missing_where(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool, "m1", "a.pt", offer={"services": ["comfyui"], "hardware": {"gpu_memory_gb": 8}})
    wanted = {"service": "comfyui", "models": ["a.pt", "b.pt"], "gpu_memory_gb": 24}
    _, (text, *_) = await pool.call("mm_explain", "", json.dumps(wanted), "", "", "m1", 5)
    told = json.loads(text)
    (verdict,) = told["machines"]
    assert (verdict["fits"], verdict["missing"]) == (False, ["b.pt"])
    assert {each["rule"] for each in verdict["reasons"]} == {"models", "hardware"}
    assert {each["model"]: each["without"] for each in told["models"]} == {"a.pt": 0, "b.pt": 1}
    assert (await pool.call("mm_explain", "", "{}", "", "", "nobody", 5))[0] == "UNKNOWN"


@pytest.mark.parametrize("mode", ["all", "eligible"])
async def test_l4_jobs_of_the_older_fleet_are_taken_in_by_priority_and_age_and_poison_harms_nobody(
    pool: Pool, redis: Redis, mode: str
) -> None:
    await machine(redis, pool, "m1", "a.pt", offer={"services": ["comfyui"]})
    scores = {
        "fresh50": 50e15 - 1.7e9,
        "fresh10": 10e15 - 1.7e9,
        "retried": 50e6 + 2**53 - 1 - 1.7e12 - 100_000,
        "fresh9": 9e15 - 1.7e9,
    }
    for job, score in scores.items():
        await redis.hset(f"job:{job}", mapping={"requirements": '{"models":["a.pt"]}', "service_required": "comfyui"})
        await redis.zadd("jobs:pending", {job: score})
    poison = [
        "null",
        "{",
        '{"hardware":7}',
        '{"gpu_memory_gb":"lots"}',
        "x" * 70_000,
        '{"a":' * 2000 + "1" + "}" * 2000,
    ]
    for n, text in enumerate(poison):
        await redis.hset(f"job:p{n}", mapping={"requirements": text, "service_required": "comfyui"})
        await redis.zadd("jobs:pending", {f"p{n}": 9e17 + 1000 * n})
    await redis.zadd("jobs:pending", {"ghost": 8e17, "x:{}:*\"'": 8e17})
    await redis.set("job:astring", "x")
    await redis.zadd("jobs:pending", {"astring": 8e17})
    counted = [0, 0]
    for _ in range(20):
        word, (taken, bad, left) = await pool.call("mm_take_in", 100, mode, keys=("jobs:pending",))
        counted = [counted[0] + int(taken), counted[1] + int(bad)]
        if left == "0":
            break
    assert (word, counted, left) == ("OK", [4, 9], "0"), "where a call takes long it ends early"
    assert [(await pool.claim("m1", token=f"t{n}"))[1][0] for n in range(4)] == [
        "fresh50",
        "retried",
        "fresh10",
        "fresh9",
    ]
    assert (await redis.hget("job:fresh50", "status"), await redis.hget("job:fresh50", "worker_id")) == (
        b"assigned",
        b"w",
    )
    assert re.fullmatch(
        rb"20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d\.\d{3}Z", await redis.hget("job:fresh50", "assigned_at")
    )
    _, (_, number, *_) = await pool.call("mm_jobs", "dead", "0", 10)
    assert number == "9"


async def test_jobs_of_the_older_fleet_and_ours_stand_in_one_order_of_priority_and_age(
    pool: Pool, redis: Redis
) -> None:
    await machine(redis, pool, "m1", offer=COMFY)
    now = int((await redis.time())[0])

    async def theirs(job: str, priority: int, age: float, *, came_back: bool = False) -> None:
        at = now - age
        score = priority * 1e6 + 2**53 - 1 - at * 1000 if came_back else priority * 1e15 - int(at)
        created = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
        fields = {"requirements": "{}", "service_required": "comfyui", "priority": priority, "created_at": created}
        await redis.hset(f"job:{job}", mapping=fields)
        await redis.zadd("jobs:pending", {job: score})

    await theirs("an hour old", 50, 3_600)
    await theirs("a minute old", 50, 60.5)
    await theirs("the same second", 50, 60.2)
    await theirs("came back", 50, 1_800, came_back=True)
    await theirs("urgent", 59, 120)
    await theirs("not urgent", 40, 60)
    assert (await pool.submit("ours"))[0] == "QUEUED"
    assert (await pool.submit("ours, urgent", priority=20))[0] == "QUEUED"
    assert (await pool.call("mm_take_in", 100, "all", keys=("jobs:pending",)))[1] == ["6", "0", "0"]
    assert [(await pool.claim("m1", token=f"t{n}"))[1][0] for n in range(8)] == [
        "an hour old", "came back", "ours, urgent", "urgent", "a minute old", "the same second", "ours", "not urgent",
    ]  # fmt: skip


async def test_scores_of_a_formula_that_nobody_knows_keep_their_order_and_go_first(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool, "m1", offer=COMFY)
    await pool.submit("ours")
    for job, score in {"second": 5.0, "first": 7.5, "third": -3.0}.items():
        await redis.hset(f"job:{job}", mapping={"requirements": "{}", "service_required": "comfyui"})
        await redis.zadd("jobs:pending", {job: score})
    await pool.call("mm_take_in", 100, "all", keys=("jobs:pending",))
    assert [(await pool.claim("m1", token=f"t{n}"))[1][0] for n in range(4)] == ["first", "second", "third", "ours"]


async def test_what_no_machine_of_ours_can_do_stays_where_it_was(pool: Pool, redis: Redis) -> None:
    await redis.hset("job:1", mapping={"requirements": '{"models":["z.pt"]}', "service_required": "comfyui"})
    await redis.zadd("jobs:pending", {"1": 5})
    for _ in range(2):
        assert (await pool.call("mm_take_in", 10, "eligible", keys=("jobs:pending",)))[1] == ["0", "0", "1"]


async def test_k10_ids_of_any_kind_are_kept_apart(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool)
    ids = ["x:{}:*", "a\"b'c", "{pool}", "ü" * 100, "../../x", "-1", "%s%d%n"]
    for each in ids:
        assert (await pool.submit(each))[0] == "QUEUED"
    assert [(await pool.claim("m1", token=f"t{n}"))[1][0] for n in range(len(ids))] == ids
    for each in ("", "x" * 201, "a\nb", "a\0b"):
        assert (await pool.submit(each))[0] == "BAD"


async def test_k10_sizes_are_bounded_before_anything_is_read(pool: Pool) -> None:
    for wanted in ("x" * 10_000_000, '{"a":"' + "x" * 70_000 + '"}'):
        word, rest = await pool.call("mm_submit", 1, "j", 0, wanted, "", "", "", 1, "wait")
        assert "BAD" in (word, *rest)
    assert (await pool.call("mm_submit", 201, *(["j", 0, "", "", "", "", 1, "wait"] * 201)))[0] == "BAD"
    assert (await pool.call("mm_submit", 2, "j", 0, "", "", "", "", 1, "wait"))[0] == "BAD"
    assert (await pool.submit("j", payload="x" * 1_100_000))[0] == "BAD"
    assert (await pool.claim("m1", lease=1))[0] == "BAD"
    assert (await pool.claim("m:1"))[0] == "BAD"
    assert (await pool.claim("m1", hot=("0",) * 9))[0] == "BAD"


CALLS = ["offer", "submit", "claim", "extend", "complete", "fail", "reap", "cancel", "retry", "job", "jobs", "explain",
         "machines_for", "take_in", "demand", "settle", "tune"]  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
async def test_k10_no_argument_makes_a_function_fail(pool: Pool, redis: Redis, name: str) -> None:
    """Words instead of numbers, too few, empty, huge, binary: answered, never an error of the script."""
    await machine(redis, pool)
    await pool.submit("j")
    chance = random.Random(name)
    values = ["", "x", "-1", "0", "1", "7", "1e9", "nan", "9" * 400, "\x00\xff", "{}", "[]", "null", '{"models":7}', "j", "m1", "t",
              "pending", "all", "retry"]  # fmt: skip
    for _ in range(60):
        arguments = [chance.choice(values) for _ in range(chance.randrange(0, 16))]
        word, _ = await pool.call(f"mm_{name}", *arguments, keys=("jobs:pending", "machine:m1:models"))
        assert word.isupper()


@pytest.mark.parametrize("server", BOTH)
async def test_e3_replicas_and_a_replayed_file_have_the_same_keys(server: str) -> None:
    port = _free_port()
    first = Server(server, "--appendonly", "yes", "--appendfsync", "always", "--port", str(port))
    second = Server(server, "--replicaof", f"127.0.0.1 {port}")
    redis, replica = connect(first.url), connect(second.url)
    try:
        while (await replica.info("replication"))["master_link_status"] != "up":
            await asyncio.sleep(0.05)
        assert await _played(redis) > 5
        before = await _everything(redis)
        assert await redis.wait(1, 20_000) == 1
        assert await _everything(replica) == before
        first.kill()
        first.start()
        again = connect(first.url)
        assert await _everything(again) == before
        await again.aclose()
    finally:
        await redis.aclose()
        await replica.aclose()
        first.close()
        second.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _played(redis: Redis) -> int:
    world = World(redis, random.Random(3))
    await world.play(150)
    await world.pool.settle()
    return world.claims


async def _everything(redis: Redis) -> dict[bytes, object]:
    found: dict[bytes, object] = {}
    for key in sorted(await redis.keys("*")):
        match await redis.type(key):
            case b"hash":
                found[key] = await redis.hgetall(key)
            case b"zset":
                found[key] = await redis.zrange(key, 0, -1, withscores=True)
            case b"set":
                found[key] = await redis.smembers(key)
            case b"list":
                found[key] = await redis.lrange(key, 0, -1)
            case b"string":
                found[key] = await redis.get(key)
            case b"stream":
                found[key] = await redis.xrange(key)
    assert not [key for key in found if b":scratch:" in key]
    return found


async def test_two_releases_work_side_by_side(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool)
    await pool.submit("j")
    other = functions.library().replace(functions.version(), "0123456789ab")
    await redis.function_load(other)
    keys = ("routing", pool.keys.lease("m1"), pool.keys.models("m1"))
    values = ("m1", "w", "", "t", "60000", "0", "0", "", "", "", "0")
    theirs = await redis.fcall("mm_claim_0123456789ab", 3, *keys, *values)
    assert theirs[:2] == [b"JOB", b"j"]
    assert (await pool.claim("m1", "w", "t"))[1][0] == "j"


async def test_a_task_of_a_later_release_is_left_to_it_and_stops_nobody(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool, "m1", "a.pt")
    await redis.lpush("routing:todo", "Z1")
    assert (await pool.submit("j", {"models": "a.pt"}))[0] == "QUEUED"
    for n in range(4):
        word, rest = await pool.claim("m1", token=f"t{n}")
        if word == "JOB":
            break
    assert rest[0] == "j"
    assert await redis.lrange("routing:todo", 0, -1) == [b"Z1"]


async def test_whoever_settles_is_told_of_more_until_only_tasks_of_a_later_release_are_left(
    pool: Pool, redis: Redis
) -> None:
    """Once, the first of them made it say that nothing was left, and what stood behind waited for another call."""
    await machine(redis, pool, "m1", "a.pt")
    await redis.delete("routing:row:0")
    await redis.rpush("routing:todo", "Z1", "Z1", "Z2", "r0", "Z3")
    for _ in range(5):
        if (await redis.fcall(f"mm_settle_{functions.version()}", 1, "routing", "60"))[1] == b"0":
            break
    assert sorted(await redis.lrange("routing:todo", 0, -1)) == [b"Z1", b"Z1", b"Z2", b"Z3"]


async def test_e6_after_a_flush_of_the_functions_nothing_is_lost(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool)
    await pool.submit("j")
    await redis.function_flush()
    assert (await pool.claim("m1"))[0] == "JOB"


async def test_a_full_server_still_hands_out_and_completes(own: Server, own_redis: Redis) -> None:
    pool = Pool(own_redis)
    await machine(own_redis, pool)
    for n in range(3):
        await pool.submit(f"j{n}")
    await Functions(own_redis).load()
    await own_redis.config_set("maxmemory", "1")
    assert (await pool.claim("m1"))[0] == "JOB"
    assert (await pool.call("mm_extend", "j0", "t", 60_000))[0] == "OK"
    assert (await pool.call("mm_complete", "j0", "t", "", ""))[0] == "DONE"
    assert (await pool.claim("m1", token="t2"))[0] == "JOB"
    assert (await pool.call("mm_fail", "j1", "t2", "retry", "", 0))[0] == "PENDING"


async def test_a_prefix_in_braces_is_one_pool_of_its_own(redis: Redis) -> None:
    one, other = Pool(redis, "{one}:"), Pool(redis, "{other}:")
    await machine(redis, one, offer=EVERYTHING)
    await one.submit("j")
    assert (await other.call("mm_job", "j"))[0] == "GONE"
    assert (await one.claim("m1"))[0] == "JOB"
    assert all(key.startswith((b"{one}:", b"{other}:")) for key in await redis.keys("*"))


async def test_the_same_functions_run_on_fakeredis() -> None:
    redis = FakeAsyncRedis(version=(7, 2))
    pool = Pool(redis)
    await machine(redis, pool, "m1", "a.pt")
    await pool.submit("j", {"models": "a.pt", "service": "comfyui"})
    await pool.settle()
    assert (await pool.claim("m1"))[1][0] == "j"
    assert (await pool.call("mm_complete", "j", "t", "", ""))[0] == "DONE"


async def test_indexing_that_is_too_long_for_one_call_goes_on_and_nobody_is_eligible_too_early(
    pool: Pool, redis: Redis
) -> None:
    for n in range(200):
        await pool.offer(f"m{n}", {"services": ["comfyui"], "tag": n}, ttl=60_000)
    wanted = {"service": "comfyui", "tag": 150}
    await pool.submit("j", wanted)
    await pool.settle()
    assert (await pool.call("mm_machines_for", json.dumps(wanted), "", "", 0))[1] == ["50"]


async def test_a_verified_copy_more_or_less_of_the_same_model_changes_nothing(pool: Pool, redis: Redis) -> None:
    agent = await machine(redis, pool, "m1", "a.pt")
    twin = entry("a.pt", root="/other")
    agent.teller.appear(twin)
    await agent.publish()
    await pool.submit("j", {"models": "a.pt"})
    agent.teller.vanish(twin)
    await agent.publish()
    assert (await pool.job("j"))["eligible"] == 1
    agent.teller.change(replace(entry("a.pt"), verified=False))
    await agent.publish()
    assert (await pool.job("j"))["eligible"] == 0


GARBAGE = ["heads", "filled", "noughts", "cuts", "bell:m1:w", "parked", "tokens", "shown", "errands"]


@pytest.mark.parametrize("name", GARBAGE)
async def test_e8_garbage_that_can_be_made_anew_stops_nobody(pool: Pool, redis: Redis, name: str) -> None:
    await machine(redis, pool, "m1", "a.pt")
    for n in range(5):
        await pool.submit(f"j{n}", {"models": "a.pt"})
    await pool.submit("later", {})
    await _spoiled(redis, f"routing:{name}")
    assert (await pool.submit("last", {"models": ["a.pt"], "service": "comfyui"}))[0] in ("QUEUED", "KNOWN")
    await pool.settle()
    claimed = [(await pool.claim("m1", token=f"t{n}", park=20_000))[1][0] for n in range(7)]
    assert claimed == [f"j{n}" for n in range(5)] + ["later", "last"]
    await pool.claim("m1", token="none", park=20_000)


MADE_ANEW = [
    "leases",
    "row:0",
    "fit:0",
    "meets:0",
    "col:n:a.pt",
    "at",
    "told",
    "coming:0",
    "comparing",
    "disk",
    "staged",
    "machines",
    "names",
    "profiles",
    "profile",
]


@pytest.mark.parametrize("name", MADE_ANEW)
async def test_e8_k10_what_was_garbage_is_made_anew_and_no_job_is_lost_or_given_twice(
    pool: Pool, redis: Redis, name: str
) -> None:
    agent = await machine(redis, pool, "m1", "a.pt")
    for n in range(4):
        await pool.submit(f"j{n}", {"models": "a.pt"})
    assert (await pool.claim("m1", token="before"))[1][0] == "j0"
    await _spoiled(redis, f"routing:{name}")
    got = []
    for n in range(12):
        await pool.settle()
        await agent.beat(50.0)
        word, rest = await pool.claim("m1", token=f"t{n}")
        got += [rest[0]] if word == "JOB" else []
    assert got == ["j1", "j2", "j3"]
    assert (await pool.call("mm_extend", "j0", "before", 60_000))[0] == "OK"
    for job in ("j0", "j1"):
        state = await pool.job(job)
        assert state["state"] == "running"
        assert state["deadline_ms"] > 0, job
    await pool.submit("last", {"models": "a.pt"})
    assert (await pool.claim("m1", token="last"))[1][0] == "last"


@pytest.mark.parametrize("name", ["queue:0", "signatures"])
async def test_e8_of_other_garbage_the_key_is_named_and_what_to_do(pool: Pool, redis: Redis, name: str) -> None:
    await machine(redis, pool, "m1", "a.pt")
    await pool.submit("j", {"models": "a.pt"})
    await _spoiled(redis, f"routing:{name}")
    with pytest.raises(BusUnavailable, match=f"routing:{name} holds a (list|string).*delete all keys"):
        await _used(pool)


async def _used(pool: Pool) -> None:
    for n in range(2):
        await pool.claim("m1", token=f"t{n}")
        await pool.submit(f"k{n}", {"models": "a.pt"})
        await pool.offer("m1", {"services": ["a1111"]})


async def _spoiled(redis: Redis, key: str) -> None:
    await redis.delete(key)
    await (redis.set(key, "garbage") if await redis.type(key) == b"list" else redis.rpush(key, "garbage"))


async def test_a_large_inventory_is_taken_up_by_several_calls_and_claims_wait_for_the_last(
    pool: Pool, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def later(_: Bus) -> None:
        return None

    monkeypatch.setattr(Bus, "_settle", later)
    agent = await machine(redis, pool, "m1")
    await pool.submit("j", {"models": "299.pt"})
    agent.teller.appear(*(entry(f"{n}.pt") for n in range(300)))
    await agent.publish()
    assert (await pool.claim("m1"))[0] == "STALE"
    agent.teller.vanish(entry("7.pt"))
    await agent.publish()
    await pool.settle()
    assert (await pool.claim("m1"))[1][0] == "j"
    assert [(await _holders(pool, f"{n}.pt")) for n in (0, 7, 299)] == ["1", "0", "1"]


async def _holders(pool: Pool, model: str) -> str:
    return (await pool.call("mm_machines_for", json.dumps({"models": model}), "", "", 0))[1][0]


async def test_a_machine_that_leaves_with_a_large_inventory_is_gone_at_once_and_may_come_back(
    pool: Pool, redis: Redis
) -> None:
    agent = await machine(redis, pool, "m1", *(f"{n}.pt" for n in range(250)))
    await pool.submit("j", {"models": "9.pt"})
    await agent.bus.bye(agent.teller.bye())
    assert (await _holders(pool, "9.pt"), (await pool.claim("m1"))[0]) == ("0", "UNKNOWN")
    await machine(redis, pool, "m2", "9.pt")
    await pool.settle()
    assert await _holders(pool, "9.pt") == "1"
    assert (await pool.claim("m2"))[0] == "JOB"
    assert len(await redis.keys("routing:held:*")) == 1


async def _explained(pool: Pool, names: list[str]) -> dict[str, list[dict[str, object]]]:
    """In as many calls as it takes."""
    asks = json.dumps({"models": names})
    _, (text, model, machine) = await pool.call("mm_explain", "", asks, "", "", "", 50, 1, 1)
    told: dict[str, list[dict[str, object]]] = json.loads(text)
    while model != "0":
        _, (text, model, _) = await pool.call("mm_explain", "", asks, "", "", "", 0, model, 1)
        told["models"] += json.loads(text)["models"]
    while machine != "0":
        _, (text, _, machine) = await pool.call("mm_explain", "", asks, "", "", "", 50, 0, machine)
        told["machines"] += json.loads(text)["machines"]
    return told


async def test_k10_an_explanation_of_many_models_is_exact_and_leaves_nothing_behind(pool: Pool, redis: Redis) -> None:
    names = [f"{n}.pt" for n in range(60)]
    await machine(redis, pool, "all", *names)
    await machine(redis, pool, "most", *names[1:])
    told = await _explained(pool, names)
    assert [each["machine"] for each in told["machines"]] == ["all", "most"]
    assert {each["model"]: (each["machines"], each["without"]) for each in told["models"]} == {
        name: (1 if name == "0.pt" else 2, 2 if name == "0.pt" else 1) for name in names
    }
    assert not await redis.keys("routing:scratch:*")


async def _nothing(pool: Pool, machine: str = "m1") -> None:
    """Asked twice: the second answer is what the server remembers."""
    for _ in range(2):
        assert (await pool.claim(machine, token=f"none{random.random()}"))[0] == "EMPTY"


async def test_whoever_found_nothing_hears_of_a_job_that_came_came_back_or_is_due(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool, "m1", "a.pt")
    await _nothing(pool)
    await pool.submit("1", {"models": "a.pt"})
    assert (await pool.claim("m1", token="t1", lease=100))[1][0] == "1"
    await _nothing(pool)
    await redis.zadd("routing:leases", {"1": 1})
    await until(lambda: _gets(pool, "1", "t2"), "leases are looked at every eight ms")
    await _nothing(pool)
    assert (await pool.call("mm_fail", "1", "t2", "retry", "why", 3_600_000))[0] == "DELAYED"
    await _nothing(pool)
    await redis.zadd("routing:delayed", {"1": 1})
    await until(lambda: _gets(pool, "1", "t3"), "so are delays")


async def _gets(pool: Pool, job: str, token: str) -> bool:
    word, rest = await pool.claim("m1", token=token)
    return (word, rest[0]) == ("JOB", job)


async def test_whoever_found_nothing_hears_of_a_model_and_of_an_offer(pool: Pool, redis: Redis) -> None:
    agent = await machine(redis, pool, "m1")
    await pool.submit("1", {"models": "a.pt"})
    await pool.submit("2", {"gpu_memory_gb": 24})
    await _nothing(pool)
    agent.teller.appear(entry("a.pt"))
    await agent.publish()
    assert (await pool.claim("m1", token="t1"))[1][0] == "1"
    await _nothing(pool)
    await pool.offer("m1", {**COMFY, "hardware": {"gpu_memory_gb": 24}})
    assert (await pool.claim("m1", token="t2"))[1][0] == "2"


async def test_whoever_found_nothing_is_told_when_its_agent_is_gone(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool, "m1", "a.pt")
    await pool.submit("1", {"models": "a.pt"})
    assert (await pool.claim("m1", token="mine"))[1][0] == "1"
    await _nothing(pool)
    assert (await pool.claim("m1", token="mine"))[1][0] == "1", "its own job is no news, and still its own"
    await redis.delete(pool.keys.lease("m1"))

    async def away() -> bool:
        return (await pool.claim("m1", token="other"))[0] == "AWAY"

    await until(away, "a lease that somebody else deletes is missed within a second")
    await pool.offer("m1", "")
    assert (await pool.claim("m1", token="third"))[0] == "UNKNOWN"


@pytest.mark.parametrize("idle", [True, False])
async def test_a_machine_whose_lease_ends_in_its_time_gets_nothing_from_then_on(
    pool: Pool, redis: Redis, idle: bool
) -> None:
    await machine(redis, pool, "m1", "a.pt")
    for id in "12":
        await pool.submit(id, {"models": "a.pt" if not idle else "b.pt"})
    await redis.pexpire(pool.keys.lease("m1"), 700)
    assert (await pool.claim("m1", token="first"))[0] == ("EMPTY" if idle else "JOB")
    while await redis.exists(pool.keys.lease("m1")):
        await asyncio.sleep(0.005)
    assert (await pool.claim("m1", token="second"))[0] == "AWAY"


async def test_whoever_found_nothing_asks_anew_after_the_server_forgot_everything(pool: Pool, redis: Redis) -> None:
    await machine(redis, pool, "m1", "a.pt")
    await _nothing(pool)
    await redis.flushdb()
    await machine(redis, pool, "m1", "a.pt")
    await pool.submit("1", {"models": "a.pt"})
    assert (await pool.claim("m1", token="t1"))[1][0] == "1"


async def test_k10_what_is_much_for_one_call_is_answered_again_and_nothing_is_done_of_it(pool: Pool) -> None:
    wanted = [json.dumps({"models": [f"{n}-{each}.pt" for each in range(64)]}) for n in range(5)]
    fields = [part for n in range(5) for part in (f"j{n}", 0, wanted[n], "", "", "", 1, "wait")]
    word, (_, *told) = await pool.call("mm_submit", 5, *fields)
    done = told[0::4].count("QUEUED")
    assert (word, told[0::4]) == ("OK", ["QUEUED"] * done + ["AGAIN"] * (5 - done))
    assert 1 <= done < 5
    assert (await pool.call("mm_job", f"j{done}"))[0] == "GONE"
