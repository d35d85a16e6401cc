"""Each rule of lua/rules by a table: what is asked, what is offered, whether it fits; and what cannot be read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

import model_manager
from model_manager.facts.shelf import CATEGORY_OF
from tests.bus.routing_histories import Agent, Pool
from tests.bus.telling import entry

LUA = Path(model_manager.__file__).parent.parent / "lua"
COMFY: dict[str, Any] = {"services": ["comfyui"]}
WORKER: dict[str, Any] = {
    "worker_id": "m1-worker-comfyui-0",
    "machine_id": "m1",
    "services": ["comfyui"],
    "job_service_required_map": ["comfyui", "comfyui-remote"],
    "hardware": {"gpu_memory_gb": 24, "ram_gb": 64, "cpu_cores": 16, "gpu_model": "RTX 4090"},
    "customer_access": {"isolation": "loose"},
    "performance": {"quality_levels": ["fast", "good"], "max_concurrent_jobs": 2},
    "location": {"region": "eu", "compliance_zones": ["gdpr"]},
    "supported_components": ["txt2img"],
    "features": ["controlnet", "lora"],
    "debug": True,
}


@pytest.fixture
def pool(redis: Redis) -> Pool:
    return Pool(redis)


async def fits(
    pool: Pool, redis: Redis, wanted: object, offer: dict[str, Any], customer: str = "", workflow: str = ""
) -> bool:
    """What a claim says, and the question which machines can; they must agree."""
    agent = Agent(redis, "m1")
    await agent.introduce(entry("a.pt"), entry("SD15/LCM/b.pt", "checkpoints"), entry("c.pt", "unet"), free_gb=50)
    assert (await pool.offer("m1", offer))[0] == "OK"
    assert (await pool.submit("j", wanted, customer=customer, workflow=workflow))[0] == "QUEUED"
    await pool.settle()
    text = wanted if isinstance(wanted, str) else json.dumps(wanted)
    _, (number, *names) = await pool.call("mm_machines_for", text, customer, workflow, 10)
    word, _ = await pool.claim("m1")
    assert (word == "JOB") == (number == "1") == (names == ["m1"])
    assert (await pool.job("j"))["eligible"] == int(number)
    return word == "JOB"


@pytest.mark.parametrize(
    ("wanted", "offer", "expected"),
    [
        ({}, COMFY, True),
        ("", COMFY, True),
        ({"service": "comfyui"}, COMFY, True),
        ({"service_type": "a1111"}, COMFY, False),
        ({"service": "all"}, {}, True),
        ({"service": "comfyui"}, {}, False),
        ({"service": "comfyui", "service_type": "a1111"}, COMFY, False),
        ({"service_required": "comfyui-remote"}, WORKER, True),
        ({"service": "comfyui"}, {"services": {"comfyui": {"port": 8188}}}, True),
    ],
)
async def test_service(pool: Pool, redis: Redis, wanted: object, offer: dict[str, Any], expected: bool) -> None:
    assert await fits(pool, redis, wanted, offer) is expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"models": ["a.pt"]}, True),
        ({"models": "a.pt"}, True),
        ({"models": "absent.pt"}, False),
        ({"models": "all"}, True),
        ({"models": None}, True),
        ({"models": []}, True),
        ({"models": ["a.pt", "absent.pt"]}, False),
        ({"models": ["A.PT"]}, False),
        ({"models": ["b.pt"]}, True),
        ({"models": ["LCM/b.pt"]}, True),
        ({"models": ["SD15/LCM/b.pt"]}, True),
        ({"models": ["CM/b.pt"]}, False),
        ({"models": ["models/checkpoints/SD15/LCM/b.pt"]}, True),
        ({"models": ["checkpoints/b.pt"]}, False),
        ({"models": ["loras/a.pt"]}, True),
        ({"models": ["checkpoints/a.pt"]}, False),
        ({"models": ["diffusion_models/c.pt"]}, True),
        ({"models": ["unet/c.pt"]}, True),
        ({"models": ["sha256:" + "AB" * 32]}, True),
        ({"models": ["autov2:" + "ab" * 5]}, True),
        ({"models": ["autov2:" + "cd" * 5]}, False),
        ({"models": [{"name": "a.pt", "sha256": "ab" * 32}]}, True),
        ({"models": [{"name": "a.pt", "hash": "cd" * 32}]}, False),
        ({"models": [{"folder": "unet", "name": "c.pt"}]}, True),
        ({"models": [{"path": "unet/c.pt"}]}, True),
        ({"negative_requirements": {"models": ["a.pt"]}}, False),
        ({"negative_requirements": {"models": ["absent.pt"]}}, True),
    ],
)
async def test_models(pool: Pool, redis: Redis, wanted: object, expected: bool) -> None:
    assert await fits(pool, redis, wanted, COMFY) is expected


@pytest.mark.parametrize(
    ("wanted", "models", "expected"),
    [
        ({"service": "comfyui", "models": ["x.pt"]}, {"comfyui": ["x.pt"]}, True),
        ({"service": "comfyui", "models": ["a.pt"]}, {"comfyui": ["x.pt"]}, False),
        ({"service": "comfyui", "models": ["x.pt"]}, {"comfyui": ["SD15/x.pt"]}, True),
        ({"service": "comfyui", "models": ["loras/x.pt"]}, {"comfyui": ["loras/x.pt"]}, True),
        ({"service": "comfyui", "models": ["x.pt"]}, {"ollama": ["x.pt"]}, False),
        ({"service": "comfyui", "models": ["x.pt"]}, "all", True),
        ({"service": "comfyui", "models": ["x.pt"]}, {"comfyui": "all"}, True),
        ({"service": "comfyui"}, {}, True),
        ({"service": "comfyui", "models": ["a.pt"]}, {}, False),
        ({"storage_gb": 60}, "all", False),
        ({"negative_requirements": {"models": ["x.pt"]}}, {"comfyui": ["x.pt"]}, False),
    ],
)
async def test_declared_models(pool: Pool, redis: Redis, wanted: object, models: object, expected: bool) -> None:
    assert await fits(pool, redis, wanted, {**COMFY, "models": models, "storage_gb": 50}) is expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"gpu_memory_gb": 24}, True),
        ({"gpu_memory_gb": 24.5}, False),
        ({"gpu_memory_gb": "16"}, True),
        ({"gpu_memory_gb": "all"}, True),
        ({"hardware": None}, True),
        ({"hardware": {"ram_gb": 65}}, False),
        ({"hardware": {"cpu_cores": 8, "gpu_model": "RTX 4090"}}, True),
        ({"hardware": {"gpu_model": "H100"}}, False),
        ({"cpu_cores": 32}, False),
        ({"negative_requirements": {"gpu_memory_gb": 24}}, False),
        ({"negative_requirements": {"hardware": {"gpu_memory_gb": 48}}}, True),
    ],
)
async def test_hardware(pool: Pool, redis: Redis, wanted: object, expected: bool) -> None:
    assert await fits(pool, redis, wanted, WORKER) is expected


async def test_a_machine_that_does_not_say_how_much_memory_it_has_is_not_believed_to_have_any(
    pool: Pool, redis: Redis
) -> None:
    assert not await fits(pool, redis, {"gpu_memory_gb": 1}, COMFY)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"storage_gb": 50}, True),
        ({"storage_gb": 50.001}, False),
        ({"disk_gb": "20"}, True),
        ({"storage_gb": 0}, True),
        ({"negative_requirements": {"storage_gb": 10}}, False),
        ({"negative_requirements": {"storage_gb": 100}}, True),
    ],
)
async def test_storage(pool: Pool, redis: Redis, wanted: object, expected: bool) -> None:
    assert await fits(pool, redis, wanted, COMFY) is expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"features": ["lora"]}, True),
        ({"features": ["lora", "upscale"]}, False),
        ({"features": "lora"}, True),
        ({"debug": True}, True),
        ({"debug": False}, False),
        ({"component": "all"}, True),
        ({"workflow": "all"}, True),
        ({"component": "txt2img"}, True),
        ({"component": "img2img"}, False),
        ({"quality_level": "good"}, True),
        ({"quality_level": "best"}, False),
        ({"performance": {"max_concurrent_jobs": 2}}, True),
        ({"performance.max_concurrent_jobs": 3}, False),
        ({"region": "eu"}, True),
        ({"compliance_zones": ["gdpr", "hipaa"]}, False),
        ({"timeout_minutes": 30}, True),
        ({"capabilities": {"debug": True, "features": ["controlnet"]}}, True),
        ({"unheard_of": 1}, False),
        ({"negative_requirements": {"debug": True}}, False),
        ({"negative_requirements": {"unheard_of": True, "features": ["upscale"]}}, True),
        ({"negative_requirements": {"unheard_of": True, "features": ["lora"]}}, False),
        ({"positive_requirements": {"features": ["lora"]}, "models": ["absent.pt"]}, True),
    ],
)
async def test_capabilities(pool: Pool, redis: Redis, wanted: object, expected: bool) -> None:
    assert await fits(pool, redis, wanted, WORKER) is expected


STRICT = {"isolation": "strict"}


@pytest.mark.parametrize(
    ("wanted", "customer", "access", "expected"),
    [
        ({}, "ann", None, True),
        ({"customer_isolation": "strict"}, "ann", None, False),
        ({"customer_isolation": "strict"}, "ann", STRICT, True),
        ({"customer_isolation": "loose"}, "ann", None, True),
        ({}, "bob", {**STRICT, "allowed_customers": ["ann"]}, False),
        ({}, "ann", {**STRICT, "allowed_customers": ["ann"]}, True),
        ({}, "", {**STRICT, "allowed_customers": ["ann"]}, False),
        ({}, "bob", {"denied_customers": ["bob"]}, False),
        ({}, "cy", {"denied_customers": ["bob"]}, True),
        ({}, "bob", {"allowed_customers": []}, True),
    ],
)
async def test_tenant(pool: Pool, redis: Redis, wanted: object, customer: str, access: object, expected: bool) -> None:
    offer = COMFY if access is None else {**COMFY, "customer_access": access}
    assert await fits(pool, redis, wanted, offer, customer=customer) is expected


@pytest.mark.parametrize(("bound", "workflow", "expected"), [("wf1", "wf1", True), ("wf1", "wf2", False), ("wf1", "", False), ("", "wf2", True)])  # fmt: skip
async def test_workflow(pool: Pool, redis: Redis, bound: str, workflow: str, expected: bool) -> None:
    assert await fits(pool, redis, {}, {**COMFY, "workflow_id": bound}, workflow=workflow) is expected


async def test_elsewhere(pool: Pool, redis: Redis) -> None:
    assert await fits(pool, redis, {"models": "a.pt"}, COMFY)
    assert (await pool.call("mm_fail", "j", "t", "missing_model", "it is gone", 0))[0] == "PENDING"
    await pool.settle()
    assert (await pool.claim("m1", token="t2"))[0] == "EMPTY"
    _, (text, *_) = await pool.call("mm_explain", "j", "", "", "", "m1", 5)
    assert [each["rule"] for each in json.loads(text)["machines"][0]["reasons"]] == ["elsewhere"]


async def test_jobs_that_wait_are_sorted_anew_when_an_offer_names_their_customer(pool: Pool, redis: Redis) -> None:
    assert await fits(pool, redis, {"models": "absent.pt"}, COMFY) is False
    for n in range(30):
        await pool.submit(f"ann-{n}", customer="ann")
        await pool.submit(f"bob-{n}", customer="bob")
    await pool.offer("m1", {**COMFY, "customer_access": {"allowed_customers": ["bob"]}})
    await pool.settle()
    claimed = [(await pool.claim("m1", token=f"t{n}"))[1][0] for n in range(31)]
    assert claimed[:30] == [f"bob-{n}" for n in range(30)]
    assert not claimed[30].startswith("ann")


UNREADABLE = [
    "null", "[]", '"x"', "{", "nan", "7", "{}x", "\x00", '{"a":' * 2000 + "1" + "}" * 2000, '{"a":' * 9 + "1" + "}" * 9,
    {"models": 7}, {"models": [7]}, {"models": [None]}, {"models": [{}]}, {"models": {"x:{}:*": None}}, {"models": [""]},
    {"models": ["a\nb"]}, {"models": [["a.pt"]]}, {"models": ["sha256:zz"]}, {"models": [{"name": "a.pt", "hash": "0123"}]},
    {"models": {"comfyui": ["a.pt"]}}, {"models": [f"{n}.pt" for n in range(129)]}, {"models": "x" * 2000}, {"models": False},
    {"gpu_memory_gb": "much"}, {"gpu_memory_gb": []}, {"gpu_memory_gb": True}, {"hardware": [1]}, {"hardware": "x"},
    '{"gpu_memory_gb": 1e400}', '{"gpu_memory_gb": nan}', {"storage_gb": {}}, {"storage_gb": "1e3x"}, {"service": 7}, {"service": ""},
    {"service": ["comfyui"]}, {"customer_isolation": "total"}, {"negative_requirements": ["x"]}, {"negative_requirements": "x"},
    {"negative_requirements": {"customer_isolation": "strict"}}, {"positive_requirements": [1]}, {"features": [1, None]},
]  # fmt: skip


@pytest.mark.parametrize("wanted", UNREADABLE, ids=lambda wanted: re.sub(r"\W+", "-", str(wanted))[:40])
async def test_k10_what_cannot_be_read_is_a_reason_and_matches_nobody(pool: Pool, redis: Redis, wanted: object) -> None:
    word, eligible, signature, told = await pool.submit("j", wanted)
    assert (word, eligible, signature) == ("BAD", 0, "")
    assert told["why"]
    assert (await pool.call("mm_job", "j"))[0] == "GONE"


@pytest.mark.parametrize(
    "offer",
    ["[]", "nonsense", {"services": 7}, {"services": [7]}, {"models": 7}, {"models": {"comfyui": 7}}, {"models": ["a.pt"]},
     {"customer_access": {"isolation": 7}}, {"customer_access": {"allowed_customers": "ann"}}, {"workflow_id": 7},
     {"hardware": 7}, {"models": "all", "storage_gb": "x"}],
)  # fmt: skip
async def test_k10_an_unreadable_offer_is_refused_with_a_reason(pool: Pool, offer: object) -> None:
    word, (why,) = await pool.offer("m1", offer)
    assert word == "BAD"
    assert why


def test_folders_are_called_as_the_shelf_calls_them() -> None:
    table = re.search(r"^local CATEGORY = \{(.*)\}$", (LUA / "rules" / "models.lua").read_text(), re.MULTILINE)
    assert table is not None
    assert dict(re.findall(r"(\w+) = '(\w+)'", table.group(1))) == CATEGORY_OF
