"""StableQueue's routes for jobs: which models are meant, and how it stands with them."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from model_manager.fleet.stablequeue.jobs import named, parameters
from tests.bus.working import Rig
from tests.fleet.stage import Client

SHA = "ab" * 32
FORGE = {"services": ["forge"]}
RAW = f'a cat <lora:style:0.8>\nSteps: 20, Model hash: {SHA[:10]}, Lora hashes: "style: {"cd" * 5}"'


@pytest.fixture
async def rig(redis: Redis) -> Rig:
    return await Rig(redis).begin("a.pt", offer=FORGE)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"model_hash": SHA, "hash": "x"}, [(SHA, "model_hash")]),
        ({"checkpoint": {"hash": SHA[:10]}}, [(SHA[:10], "checkpoint.hash")]),
        ({"model_info": {"hash": SHA[:10]}}, [(SHA[:10], "model_info.hash")]),
        ({"raw_generation_info": RAW}, [(SHA[:10], "raw_generation_info"), ("cd" * 5, "<lora:style>")]),
        ({"civitai_version_id": 128713}, [("civitai:128713", "civitai_version_id")]),
        ({"checkpoint_name": "SD15\\a.safetensors [6ce0161689]"}, [("SD15/a.safetensors", "checkpoint_name")]),
        ({"prompt": "<lora:a:1> <lora:a:2>", "loras": [{"name": "b"}]}, [("b", "loras"), ("a", "<lora:a>")]),
        ({}, []),
    ],
)
def test_the_models_of_a_job_are_found_where_they_are_named(wanted: Any, found: Any) -> None:
    assert [(each.model, each.field) for each in named(wanted)] == found


def test_version_2_may_bring_the_text_of_a_picture() -> None:
    assert parameters({"generation_info_raw": RAW})["raw_generation_info"] == RAW
    assert parameters({"generation_params": "none"}) == {}


async def test_a_job_is_checked_before_and_each_time_it_is_asked_about(fleet: Client, rig: Rig) -> None:
    """Fault 11, and LoRAs that nobody checked."""
    await fleet.until("/search", lambda body: body["total"] == 1)
    wanted = {"model_hash": SHA, "prompt": "<lora:style:1>"}
    made = await fleet.post("/api/v1/generate", {"generation_params": wanted, "app_type": "forge"}, 202)
    said = made["model_availability"]
    assert (said["available"], said["checked_field"], said["hash"]) == (False, "model_hash", SHA)
    told = {each["model"]: each["available"] for each in said["models"]}
    assert told == {SHA: True, "style.safetensors": False}
    path = f"/api/v1/queue/jobs/{made['mobilesd_job_id']}/status"
    job = await fleet.get(path)
    assert (job["status"], job["model_availability"]["available"]) == ("pending", False)
    assert "style.safetensors" in job["waiting_reason"]
    await rig.gain("style.safetensors")
    job = await fleet.get(path)
    assert (job["model_availability"]["available"], job["waiting_reason"]) == (True, None)
    assert job["model_availability"]["match_type"] == "sha256"
    again = await fleet.get(f"/api/v2/jobs/{made['mobilesd_job_id']}/status")
    assert again["job"]["model_availability"] == job["model_availability"]


async def test_availability_is_that_of_the_server_that_was_meant(fleet: Client, rig: Rig, redis: Redis) -> None:
    await Rig(redis, "m2").begin("b.pt", offer=FORGE)
    for target, able in (("m1", True), ("m2", False)):
        body = {"generation_params": {"checkpoint_name": "a.pt"}, "app_type": "forge", "target_server_alias": target}
        made = await fleet.post("/api/v2/generate", body, 202)
        job = (await fleet.get(f"/api/v2/jobs/{made['mobilesd_job_id']}/status"))["job"]
        assert (job["target_server_available"], job["model_availability"]["available"]) == (able, True)


async def test_lists_cancel_and_retry(fleet: Client, rig: Rig) -> None:
    ids = []
    for _ in range(3):
        body = {"generation_params": {"checkpoint_name": "a.pt"}, "app_type": "forge"}
        ids.append((await fleet.post("/api/v1/generate", body, 202))["mobilesd_job_id"])
    page = await fleet.get("/api/v1/queue/jobs?status=pending&limit=2&offset=1&order=asc")
    assert (page["total"], len(page["jobs"])) == (3, 2)
    assert (await fleet.post(f"/api/v2/jobs/{ids[0]}/cancel", None))["status"] == "cancelled"
    assert [each["mobilesd_job_id"] for each in (await fleet.get("/api/v2/jobs?status=cancelled"))["jobs"]] == [ids[0]]
    assert (await fleet.post(f"/api/v1/queue/jobs/{ids[0]}/retry", None))["status"] == "pending"
    await fleet.get("/api/v1/queue/jobs/none/status", 404)


async def test_a_model_that_nobody_knows_is_refused_and_never_left_out(fleet: Client, rig: Rig) -> None:
    body = {"generation_params": {"civitai_version_id": 999}}
    problem = await fleet.post("/api/v1/generate", body, 400)
    assert "Nobody here knows 'civitai:999'" in problem["detail"]
    await fleet.post("/api/v1/generate", {"priority": "high"}, 400)
    await fleet.post("/api/v1/generate", {}, 401, token=None)


@pytest.mark.parametrize("name", ["b", "b.pt", "SD15/b", "SD15\\b.pt", "B.PT"])
async def test_a_lora_is_found_with_its_ending_and_without_it(fleet: Client, rig: Rig, name: str) -> None:
    await rig.gain("loras/SD15/b.pt")
    await fleet.until("/search?q=b.pt", lambda body: body["total"] == 1)
    body = {"generation_params": {"model_hash": SHA, "loras": [{"name": name}]}, "app_type": "forge", "dry_run": True}
    made = await fleet.post("/api/v1/generate", body)
    assert [each["available"] for each in made["model_availability"]["models"]] == [True, True]
    other = {"generation_params": {"loras": [{"name": "x.pt"}]}, "app_type": "forge", "dry_run": True}
    made = await fleet.post("/api/v1/generate", other)
    assert [each["model"] for each in made["model_availability"]["models"]] == ["x.pt"]
