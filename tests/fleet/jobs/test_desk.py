"""Jobs over HTTP: what the rules say, before and after a job is handed in."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from tests.bus.working import Rig
from tests.fleet.stage import Client


@pytest.fixture
async def rig(redis: Redis) -> Rig:
    return await Rig(redis).begin("a.pt")


def asks(*models: Any, **more: Any) -> dict[str, Any]:
    return {"asks": {"service": "comfyui", "models": list(models)}, **more}


async def test_a_dry_run_warns_and_hands_nothing_in(fleet: Client, rig: Rig) -> None:
    told = await fleet.post("/jobs", asks("b.pt", "a.pt", dry_run=True))
    assert (told["outcome"], told["eligible"], told["machines"]) == ("dry_run", 0, [])
    told_of = {each["model"]: (each["machines"], each["available"]) for each in told["models"]}
    assert told_of == {"b.pt": (0, False), "a.pt": (1, True)}
    assert told["why"] == "no machine that takes jobs has b.pt"
    assert (await fleet.get("/jobs?state=pending"))["total"] == 0


async def test_a_job_says_where_it_can_run_and_is_claimed_there(fleet: Client, rig: Rig) -> None:
    told = await fleet.post("/jobs", asks("a.pt", id="j1", payload={"prompt": "a cat"}, priority=3), 202)
    assert (told["outcome"], told["eligible"], told["machines"], told["why"]) == ("queued", 1, ["m1"], "")
    (row,) = (await fleet.get("/jobs"))["items"]
    assert (row["id"], row["state"], row["priority"], row["eligible"], row["waiting"]) == ("j1", "pending", 3, 1, "")
    work = await rig.claims.claim("m1", "w")
    assert work is not None
    assert (work.job, work.payload) == ("j1", b'{"prompt":"a cat"}')
    assert (await fleet.get("/jobs/j1"))["job"]["machine_id"] == "m1"


async def test_the_same_id_again_is_the_same_job(fleet: Client, rig: Rig) -> None:
    await fleet.post("/jobs", asks("a.pt", id="j1"), 202)
    assert (await fleet.post("/jobs", asks("b.pt", id="j1")))["outcome"] == "known"
    assert (await fleet.get("/jobs/j1"))["job"]["asks"]["models"] == ["a.pt"]


async def test_a_job_whose_policy_is_reject_is_not_taken_where_nobody_can(fleet: Client, rig: Rig) -> None:
    assert (await fleet.post("/jobs", asks("b.pt", id="j1", policy="reject")))["outcome"] == "rejected"
    await fleet.get("/jobs/j1", 404)


async def test_a_job_that_waits_for_a_model_is_taken_when_it_appears(fleet: Client, rig: Rig) -> None:
    await fleet.post("/jobs", asks("b.pt", id="j1"), 202)
    (row,) = (await fleet.get("/jobs?state=pending"))["items"]
    assert (row["eligible"], row["waiting"]) == (0, "no machine that takes jobs has b.pt")
    assert row["models"] == [{"model": "b.pt", "machines": 0, "available": False, "without": 1}]
    await rig.gain("b.pt")
    row = (await fleet.get("/jobs/j1"))["job"]
    assert (row["eligible"], row["waiting"], row["models"][0]["available"]) == (1, "", True)


async def test_explaining_names_rules_and_what_would_have_to_be_fetched(fleet: Client, rig: Rig, redis: Redis) -> None:
    await Rig(redis, "m2").begin("b.pt", offer={"services": ["other"]})
    await fleet.post("/jobs", asks("b.pt", id="j1"), 202)
    said = await fleet.get("/jobs/j1/explain")
    verdicts = {each["machine_id"]: each for each in said["machines"]}
    assert verdicts["m1"]["missing"] == ["b.pt"]
    assert "service" in {each["rule"] for each in verdicts["m2"]["reasons"]}
    (lack,) = [each for each in said["lacks"] if each["machine_id"] == "m1"]
    assert (lack["missing"], lack["bytes"], lack["unknown"], lack["others"]) == (["b.pt"], 100_000_000, 0, [])
    (one,) = (await fleet.get("/jobs/j1/explain?machine_id=m1"))["machines"]
    assert (one["machine_id"], one["live"], one["fits"]) == ("m1", True, False)


async def test_pages_hold_every_job_once(fleet: Client, rig: Rig) -> None:
    for number in range(7):
        await fleet.post("/jobs", asks(f"{number % 3}.pt", id=f"j{number}"), 202)
    found, cursor = [], ""
    while True:
        page = await fleet.get(f"/jobs?state=pending&limit=3{cursor}")
        assert page["total"] == 7
        found += [each["id"] for each in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert sorted(found) == [f"j{number}" for number in range(7)]
    await fleet.get("/jobs?state=pending&cursor=bm9uZQ", 400)
    await fleet.get("/jobs?state=next&cursor=MA", 400)


async def test_a_job_tells_who_tried_it_from_when_to_when_and_why_that_ended(fleet: Client, rig: Rig) -> None:
    await fleet.post("/jobs", asks("a.pt", id="j1"), 202)
    assert (await fleet.get("/jobs/j1"))["tries"] == []
    for number in range(2):
        work = await rig.claims.claim("m1", f"w{number}")
        assert work is not None
        await rig.claims.fail(work, "out of memory", backoff=0.0)
    work = await rig.claims.claim("m1", "w2")
    *failed, running = (await fleet.get("/jobs/j1"))["tries"]
    assert [(each["machine_id"], each["worker"], each["attempt"], each["how"], each["why"]) for each in failed] == [
        ("m1", "w0", 1, "retry", "out of memory"), ("m1", "w1", 2, "retry", "out of memory"),
    ]  # fmt: skip
    assert all(each["began"] <= each["ended"] for each in failed)
    assert (running["how"], running["worker"], running["ended"]) == ("running", "w2", "")
    assert work is not None
    await rig.claims.complete(work)
    done = (await fleet.get("/jobs/j1"))["tries"][-1]
    assert (done["how"], done["began"], done["ended"] >= done["began"]) == ("done", running["began"], True)


async def test_cancel_and_retry(fleet: Client, rig: Rig) -> None:
    await fleet.post("/jobs", asks("a.pt", id="j1"), 202)
    assert await fleet.post("/jobs/j1/cancel", None) == {"id": "j1", "state": "cancelled"}
    assert (await fleet.get("/jobs?state=done"))["items"][0]["state"] == "cancelled"
    assert (await fleet.post("/jobs/j1/retry", None))["state"] == "pending"
    work = await rig.claims.claim("m1", "w")
    assert work is not None
    await rig.claims.complete(work, "made")
    assert (await fleet.post("/jobs/j1/retry", None, 409))["type"].endswith("job-over")
    assert (await fleet.get("/jobs/j1"))["result"] == "made"
    assert (await fleet.post("/jobs/nobody/cancel", None, 404))["type"].endswith("no-such-job")


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"asks": {"models": [None]}}, "null"),
        ({"askz": {}}, "unknown fields: askz"),
        ({"asks": []}, "'asks' must be an object"),
        ({"policy": "maybe"}, "'policy'"),
        ({"priority": 1.5}, "'priority'"),
        ({"dry_run": "yes"}, "'dry_run'"),
        ({"id": "a\nb"}, "'id'"),
        ({"asks": {"gpu_memory_gb": "much"}}, "gpu_memory_gb is no number"),
    ],
)
async def test_what_cannot_be_meant_so_is_refused_and_means_nobody(fleet: Client, body: Any, part: str) -> None:
    problem = await fleet.post("/jobs", body, 400)
    assert part in problem["detail"]
    assert (await fleet.get("/jobs?state=pending"))["total"] == 0


@pytest.mark.parametrize("path", ["/jobs", "/jobs/j1/cancel", "/jobs/j1/retry"])
async def test_k9_jobs_are_written_with_a_token_only(fleet: Client, path: str) -> None:
    await fleet.post(path, {}, 401, token=None)
    await fleet.post(path, {}, 403, Origin="http://evil.example")
