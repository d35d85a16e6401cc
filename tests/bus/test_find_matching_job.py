"""The fleet's own call, answered by our rules: the same jobs where the old answer was right, and the right one where it was not.

Each mistake of the old function that we know of is a test here; what remains is held against the rules as they were meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings

from model_manager.bus.functions import library, version
from model_manager.bus.publishing import Bus
from tests.bus import fleet_cases
from tests.bus.conftest import BOTH
from tests.bus.fleet import PENDING, ROOT, Fleet, job, worker
from tests.bus.fleet_rules import first_for
from tests.bus.servers import Server
from tests.bus.telling import Teller, entry


@pytest.fixture
def fleet(shared: Server) -> Iterator[Fleet]:
    client = shared.client()
    yield Fleet(client)
    client.close()


POLLS = 20

CALMLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@given(queue=fleet_cases.jobs(), workers=fleet_cases.workers())
@settings(CALMLY, max_examples=80)
def test_every_worker_gets_the_job_that_the_rules_mean(
    shared: Server, queue: list[dict[str, str]], workers: list[dict[str, Any]]
) -> None:
    agree(Fleet(shared.client()), queue, workers)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@given(queue=fleet_cases.jobs(), workers=fleet_cases.workers())
@settings(CALMLY, max_examples=5_000)
def test_every_worker_gets_the_job_that_the_rules_mean_thousands_of_times(
    shared: Server, queue: list[dict[str, str]], workers: list[dict[str, Any]]
) -> None:
    agree(Fleet(shared.client()), queue, workers)


@pytest.fixture(scope="module", params=BOTH)
def hurried(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server whose calls end after a few steps, as on a machine that is slow beyond measure."""
    server = Server(request.param)
    passed = "clock() - begun + more"
    assert passed in library()
    slower = 5 if request.param == "valkey" else 50
    server.client().function_load(library().replace(passed, f"{slower} * (clock() - begun) + more"))
    yield server
    server.close()


@given(queue=fleet_cases.jobs(), workers=fleet_cases.workers())
@settings(CALMLY, max_examples=80)
def test_the_order_holds_where_a_call_does_next_to_nothing(
    hurried: Server, queue: list[dict[str, str]], workers: list[dict[str, Any]]
) -> None:
    agree(Fleet(hurried.client()), queue, workers)


def agree(fleet: Fleet, queue: list[dict[str, str]], workers: list[dict[str, Any]]) -> None:
    """Workers ask in turns, finishing what they get, until nobody gets anything."""
    fleet.submit(*queue)
    left, idle = list(queue), 0
    while idle < len(workers):
        asking = workers[0]
        workers = [*workers[1:], asking]
        expected, got = first_for(asking, left), fleet.gets(asking)
        for _ in range(POLLS if expected else 0):  # where a call takes long it ends early, and its worker polls again
            got = got or fleet.gets(asking)
        assert got == expected, (asking, left)
        idle = 0 if got else idle + 1
        left = [each for each in left if each["id"] != got]
        if got:
            done(fleet, asking, got)


def done(fleet: Fleet, by: dict[str, Any], job: str) -> None:
    """As a worker of the fleet writes it."""
    fleet.client.hset(f"job:{job}", mapping={"status": "completed"})
    fleet.client.hdel(f"jobs:active:{by['worker_id']}", job)


def test_the_answer_is_the_job_as_its_hash_holds_it(fleet: Fleet) -> None:
    asked = job(1, {"models": ["a.safetensors"]}, ctx='{"x": [1]}', workflow_id="wf")
    fleet.submit(asked)
    answer = fleet.ask(worker())
    assert answer is not None
    assert answer["jobId"] == "j1"
    assert {name: answer["job"][name] for name in asked if name != "status"} == {
        name: value for name, value in asked.items() if name != "status"
    }


def test_a_claim_is_written_where_the_fleet_looks_for_it(fleet: Fleet) -> None:
    fleet.submit(job())
    before = datetime.now(UTC)
    with fleet.client.pubsub() as channel:
        channel.subscribe("job_claimed", "update_job_progress")
        assert fleet.gets(worker()) == "j1"
        told = [
            message for _ in range(8) if (message := channel.get_message(timeout=0.5)) and message["type"] == "message"
        ]
    stored, active = fleet.hash("job:j1"), json.loads(fleet.hash("jobs:active:w1")["j1"])
    assert (stored["status"], stored["worker_id"]) == ("assigned", "w1")
    assert abs((datetime.fromisoformat(stored["assigned_at"]) - before).total_seconds()) < 60
    assert active == stored
    assert {each["channel"]: json.loads(each["data"])["job_id"] for each in told} == {
        b"job_claimed": "j1",
        b"update_job_progress": "j1",
    }
    assert fleet.hash("worker:w1") | {"status": "busy", "current_job_id": "j1"} == fleet.hash("worker:w1")
    assert fleet.client.zscore(PENDING, "j1") is None
    assert 0 < fleet.client.ttl("worker:w1") <= 120
    assert not fleet.client.exists("progress:j1"), "nobody reads it, and nobody deletes it"


@pytest.mark.parametrize(
    "broken",
    [
        "{",
        "null",
        '"x"',
        "[]",
        '{"hardware": 3}',
        '{"gpu_memory_gb": "much"}',
        '{"models": [null, 7]}',
        "[" * 2000,
        '{"x":' * 999,
    ],
)
def test_l4_k10_what_cannot_be_read_runs_nowhere_and_stops_nobody(fleet: Fleet, broken: str) -> None:
    fleet.submit(job(1, broken), job(2, {"models": ["a.safetensors"]}))
    assert fleet.gets(worker()) == "j2"
    assert fleet.gets(worker("w2")) is None


def test_hardware_that_is_null_or_text_is_read_as_it_was_meant(fleet: Fleet) -> None:
    fleet.submit(
        job(1, {"hardware": None}),
        job(2, {"hardware": {"gpu_memory_gb": "16"}}),
        job(3, {"hardware": {"gpu_memory_gb": "48"}}),
    )
    assert [fleet.gets(worker(f"w{n}")) for n in range(3)] == ["j1", "j2", None]


def test_a_job_behind_hundreds_that_fit_nobody_is_found(fleet: Fleet) -> None:
    fleet.submit(
        *(job(n, {"models": ["missing.safetensors"]}) for n in range(450)), job(999, {"models": ["a.safetensors"]})
    )
    asked = [fleet.gets(worker()) for _ in range(100)]
    assert next(each for each in asked if each) == "j999"


def test_a_large_job_behind_one_that_fits_nobody_is_found(fleet: Fleet) -> None:
    large = {"negative_requirements": {"tag": [f"{n:080}" for n in range(75)]}}
    fleet.submit(job(1, {"models": ["missing.safetensors"]}), job(2, large), job(3, {"models": ["a.safetensors"]}))
    asked = [fleet.gets(worker(f"w{n}")) for n in range(20)]
    assert [each for each in asked if each] == ["j2", "j3"]


def test_ids_without_a_job_are_taken_out_of_the_way(fleet: Fleet) -> None:
    fleet.client.zadd(PENDING, {f"ghost{n}": 10**9 + n for n in range(150)})
    fleet.submit(job())
    assert "j1" in [fleet.gets(worker()) for _ in range(20)]
    assert fleet.client.zcard(PENDING) == 0


def test_a_worker_whose_call_was_answered_into_the_void_asks_again_and_gets_the_same_job(fleet: Fleet) -> None:
    fleet.submit(job(1), job(2))
    assert fleet.gets(worker()) == "j1"
    assert fleet.gets(worker()) == "j1"
    fleet.client.hset("job:j1", "status", "in_progress")
    assert fleet.gets(worker()) == "j2"


def test_a_retried_job_does_not_starve_behind_fresh_ones_for_ever(fleet: Fleet) -> None:
    """Both score formulas stand in one zset, and say the same: how urgent a job is, and how old."""
    fleet.submit(job(1), job(2), job(3))
    back = 50 * 1e6 + 2**53 - 1 - 1_700_000_000_000
    fleet.client.zadd(PENDING, {"j1": 50 * 1e15 - 1_699_999_900, "j2": back, "j3": 50 * 1e15 - 1_700_000_100})
    assert [fleet.gets(worker(f"w{n}")) for n in range(4)] == ["j1", "j2", "j3", None]


@pytest.mark.parametrize("said", ["component", "workflow"])
def test_all_asks_for_nothing(fleet: Fleet, said: str) -> None:
    fleet.submit(job(1, {said: "all"}))
    assert fleet.gets(worker()) == "j1"


@pytest.mark.parametrize(
    ("asked", "offered"),
    [
        ({"quality_level": "fast"}, {"performance": {"quality_levels": ["fast", "balanced"]}}),
        ({"geographic_region": "eu"}, {"location": {"geographic_region": "eu"}}),
        ({"compliance": ["gdpr"]}, {"location": {"compliance": ["gdpr", "hipaa"]}}),
        ({"timeout_minutes": 30}, {"performance": {"max_processing_time_minutes": 60}}),
        ({"models": ["x.safetensors"]}, {"models": "all"}),
        ({"models": ["x.safetensors"]}, {"models": {"comfyui": "all"}}),
        ({"models": ["x.safetensors"]}, {"models": {"comfyui": ["SD15/LCM/x.safetensors"]}}),
    ],
)
def test_what_a_worker_says_one_level_deeper_or_for_all_counts(
    fleet: Fleet, asked: dict[str, Any], offered: dict[str, Any]
) -> None:
    fleet.submit(job(1, asked))
    assert fleet.gets(worker(**offered)) == "j1"


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"models": "x.safetensors"}, "one name is a name"),
        ({"models": ["A.safetensors"]}, "case counts"),
        ({"service_type": "a1111"}, "both services must be there"),
        ({"quality_level": "best"}, "the worker does not offer it"),
    ],
)
def test_what_was_let_through_is_held_back(fleet: Fleet, asked: dict[str, Any], why: str) -> None:
    fleet.submit(job(1, asked))
    assert fleet.gets(worker(performance={"quality_levels": ["fast"]})) is None, why


def test_negative_requirements_alone_only_exclude(fleet: Fleet) -> None:
    fleet.submit(job(1, {"negative_requirements": {"asset_type": "video"}}))
    assert fleet.gets(worker("w1", asset_type="video")) is None
    assert fleet.gets(worker("w2", asset_type="image")) == "j1"


@pytest.mark.parametrize(
    "access",
    [{"isolation": "strict", "allowed_customers": ["acme"]}, {"isolation": "loose", "denied_customers": ["globex"]}],
)
def test_a_workers_own_customers_hold_for_jobs_that_ask_nothing(fleet: Fleet, access: dict[str, Any]) -> None:
    fleet.submit(job(1, customer_id="globex"), job(2, customer_id="acme"))
    assert fleet.gets(worker(customer_access=access)) == "j2"
    assert fleet.gets(worker("w2", customer_access=access)) is None


def test_the_worker_that_failed_it_last_does_not_get_it_again(fleet: Fleet) -> None:
    fleet.submit(job(1, last_failed_worker="w1"))
    assert fleet.gets(worker("w1")) is None
    assert fleet.gets(worker("w2")) == "j1"


@pytest.mark.parametrize("status", ["cancelled", "completed", "failed"])
def test_what_is_over_is_not_claimed(fleet: Fleet, status: str) -> None:
    fleet.submit(job(1, status=status))
    assert fleet.gets(worker()) is None


def test_a_machine_without_a_colon_in_its_id_is_not_needed(fleet: Fleet) -> None:
    """The fleet's ids are as they are."""
    fleet.submit(job(1))
    assert fleet.gets(worker("m:1.x-worker-comfyui-0", machine_id="m:1.x")) == "j1"


def over(fleet: Fleet, job: str) -> None:
    """Its lease ends now, as if two minutes had passed."""
    assert fleet.client.zadd(f"{ROOT}:leases", {job: 1}, xx=True, ch=True) == 1


def test_l3_a_worker_that_beats_keeps_its_job_and_one_that_is_gone_loses_it(fleet: Fleet) -> None:
    fleet.submit(job(1))
    assert fleet.gets(worker("w1")) == "j1"
    fleet.client.hset("job:j1", "status", "in_progress")
    fleet.client.set("worker:w1:heartbeat", "2026-01-01T00:00:00Z")
    over(fleet, "j1")
    assert fleet.gets(worker("w2")) is None
    fleet.client.delete("worker:w1", "worker:w1:heartbeat")
    over(fleet, "j1")
    assert fleet.gets(worker("w2")) == "j1"


def test_l3_a_job_that_its_worker_never_began_comes_back_when_its_lease_ends(fleet: Fleet) -> None:
    fleet.submit(job(1))
    assert fleet.gets(worker("w1")) == "j1"
    over(fleet, "j1")
    assert fleet.gets(worker("w2")) == "j1"


@pytest.mark.parametrize(("status", "state"), [("completed", "done"), ("failed", "dead"), ("cancelled", "cancelled")])
def test_what_a_worker_wrote_of_its_job_settles_it(fleet: Fleet, status: str, state: str) -> None:
    fleet.submit(job(1))
    assert fleet.gets(worker("w1")) == "j1"
    fleet.client.hset("job:j1", "status", status)
    over(fleet, "j1")
    assert fleet.gets(worker("w2")) is None
    assert fleet.hash(f"{ROOT}:job:j1")["st"] == state
    assert fleet.hash("job:j1")["status"] == status


def test_a_job_that_its_worker_put_back_is_taken_in_again(fleet: Fleet) -> None:
    fleet.submit(job(1))
    assert fleet.gets(worker("w1")) == "j1"
    fleet.client.hset("job:j1", mapping={"status": "pending", "retry_count": "1", "last_failed_worker": "w1"})
    fleet.client.hdel("jobs:active:w1", "j1")
    fleet.client.zadd(PENDING, {"j1": 5})
    assert fleet.gets(worker("w1")) is None
    assert fleet.gets(worker("w2")) == "j1"


def test_a_token_gives_the_same_job_again_to_a_worker_of_several(fleet: Fleet) -> None:
    fleet.submit(job(1), job(2))
    several = worker(performance={"concurrent_jobs": 2})
    first = fleet.ask(several, "token 1")
    assert first is not None
    assert fleet.ask(several, "token 1") == first
    second = fleet.ask(several, "token 2")
    assert second is not None
    assert [first["jobId"], second["jobId"]] == ["j1", "j2"]


def test_a_call_without_keys_is_answered_as_the_fleet_makes_it(fleet: Fleet) -> None:
    fleet.submit(job(1))
    reply = fleet.client.fcall(f"mm_find_matching_job_{version()}", 0, json.dumps(worker()), "100")
    assert json.loads(reply)["jobId"] == "j1"


def test_a_prefix_holds_for_every_key(fleet: Fleet) -> None:
    fleet.client.hset("{pool}:job:j1", mapping=job(1))
    fleet.client.zadd("{pool}:jobs:pending", {"j1": 1})
    keys = ("{pool}:routing", "{pool}:jobs:pending")
    reply = fleet.client.fcall(f"mm_find_matching_job_{version()}", 2, *keys, json.dumps(worker()), "100")
    assert json.loads(reply)["jobId"] == "j1"
    assert all(key.startswith(b"{pool}:") for key in fleet.client.scan_iter())


async def test_while_an_agent_lives_its_inventory_decides_which_models_are_there(fleet: Fleet, bus: Bus) -> None:
    teller = Teller("m1")
    await bus.beat(teller.beat(), {})
    await bus.publish([teller.hello()])
    fleet.submit(job(1, {"models": ["x.safetensors"]}))
    says_so = worker(models={"comfyui": ["x.safetensors"]})
    assert fleet.gets(says_so) is None
    await bus.snapshot(teller.snapshot(), teller.entries)
    assert fleet.gets(says_so) is None
    await bus.publish([teller.appear(entry("SD15/x.safetensors"))])
    assert fleet.gets(worker(models={})) == "j1"


async def test_l2_a_model_that_is_gone_takes_its_jobs_along(fleet: Fleet, bus: Bus) -> None:
    teller = Teller("m1")
    teller.held = {each.path: each for each in [entry("x.safetensors")]}
    await bus.beat(teller.beat(), {})
    await bus.snapshot(teller.snapshot(), teller.entries)
    fleet.submit(job(1, {"models": ["x.safetensors"]}))
    fleet.client.fcall(f"mm_take_in_{version()}", 2, ROOT, PENDING, "10", "all")
    await bus.publish([teller.vanish(*teller.entries)])
    assert fleet.gets(worker()) is None


def test_a_job_of_ours_reaches_a_worker_of_the_fleet_with_a_record_like_any_other(fleet: Fleet) -> None:
    asked = json.dumps({"service": "comfyui", "models": ["a.safetensors"]})
    submitted = ("1", "own", "3", asked, "", "", '{"n": 7}', "3", "wait")
    assert fleet.client.fcall(f"mm_submit_{version()}", 1, ROOT, *submitted)[2] == b"QUEUED"
    answer = None
    for _ in range(3):
        answer = answer or fleet.ask(worker())
    assert answer is not None
    assert answer["jobId"] == "own"
    assert {"payload": '{"n": 7}', "service_required": "comfyui", "priority": "3"}.items() <= answer["job"].items()
    fleet.client.hset("job:own", "status", "completed")
    over(fleet, "own")
    assert fleet.gets(worker("w2")) is None
    assert fleet.hash(f"{ROOT}:job:own")["st"] == "done"


@pytest.mark.parametrize(
    "said",
    ["", "{", "[]", '"x"', "{}", '{"worker_id": 7}', '{"worker_id": "w", "services": 3}', "[" * 3000, "x" * 70_000],
)
def test_k10_capabilities_that_cannot_be_read_are_an_answer_and_change_nothing(fleet: Fleet, said: str) -> None:
    fleet.submit(job(1))
    with pytest.raises(redis.ResponseError, match="the capabilities: "):
        fleet.client.fcall(f"mm_find_matching_job_{version()}", 2, ROOT, PENDING, said, "100")
    assert fleet.gets(worker()) == "j1"
