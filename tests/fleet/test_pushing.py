from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from model_manager.bus.assignments import Pushed, pushed
from model_manager.bus.keys import Keys
from model_manager.facts.identity import MachineId
from model_manager.facts.model import Assignment
from tests.bus.servers import Server
from tests.fleet.conftest import Join
from tests.fleet.stage import Client, served, settings_for


async def assigned(redis: Redis, machine_id: str) -> Any:
    return await anext(pushed(redis, Keys(), MachineId(machine_id)))


async def test_a_machine_gets_what_is_pushed_to_it(fleet: Client, join: Join, redis: Redis) -> None:
    await join("m1").begin()
    await fleet.until("/machines", lambda body: body["total"] == 1)
    body = {"workflows": ["flux"], "models": ["a"], "mode": "replace"}
    assert await fleet.post("/machines/m1/assignment", body) == {"machines": ["m1"]}
    assert await assigned(redis, "m1") == Pushed(Assignment(workflows=("flux",), models=("a",)), "replace")


async def test_a_group_gets_it_whole_or_not_at_all(fleet: Client, join: Join, redis: Redis) -> None:
    for name in ("m1", "m2"):
        await join(name).begin()
    await fleet.until("/machines", lambda body: body["total"] == 2)
    await fleet.post("/assignments", {"machines": ["m1", "m9"], "workflows": ["flux"]}, 404)
    assert await assigned(redis, "m1") is None
    answer = await fleet.post("/assignments", {"machines": ["m1", "m2", "m1"], "workflows": ["flux"]})
    assert answer == {"machines": ["m1", "m2"]}
    assert await assigned(redis, "m2") == Pushed(Assignment(workflows=("flux",)), "add")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "names nothing"),
        ({"workflow": ["x"]}, "unknown fields"),
        ({"workflows": 3}, "neither a comma list"),
        ({"workflows": ["a\nb"]}, "control characters"),
        ({"workflows": ["a"], "mode": "maybe"}, "'mode'"),
        ([1], "no JSON object"),
    ],
)  # fmt: skip
async def test_what_is_misspelt_is_refused_whole(fleet: Client, join: Join, redis: Redis, body: Any, word: str) -> None:
    await join("m1").begin()
    await fleet.until("/machines", lambda body: body["total"] == 1)
    problem = await fleet.post("/machines/m1/assignment", body, 400)
    assert word in problem["detail"]
    assert await assigned(redis, "m1") is None


@pytest.mark.parametrize("machines", [None, [], "m1", [1], ["m"] * 1001])
async def test_a_group_is_a_list_of_names(fleet: Client, machines: Any) -> None:
    await fleet.post("/assignments", {"machines": machines, "workflows": ["a"]}, 400)


async def test_a_body_is_json_and_bounded(fleet: Client) -> None:
    await fleet.post("/assignments", {"x": "y" * 300_000}, 413)
    headers = {"Authorization": "Bearer a-token-for-writes"}
    for data, content, status in ((b"{", "application/json", 400), (b"{}", "text/plain", 415)):
        head = headers | {"Content-Type": content}
        async with fleet.session.post(f"{fleet.url}/assignments", data=data, headers=head) as answer:
            assert answer.status == status
            assert answer.content_type == "application/problem+json"


async def test_without_a_token_set_there_are_no_writes(shared: Server, tmp_path: Path) -> None:
    settings = settings_for(shared.url, tmp_path, MODEL_MANAGER_FLEET_TOKEN="")
    async with served(settings) as client:
        problem = await client.post("/assignments", {"machines": ["m1"], "workflows": ["a"]}, 403)
        assert "MODEL_MANAGER_FLEET_TOKEN" in problem["detail"]


async def test_e1_while_redis_is_away_nothing_is_promised(own: Server, tmp_path: Path) -> None:
    async with served(settings_for(own.url, tmp_path)) as client:
        await client.exact()
        own.kill()
        await client.until("/health", lambda body: body["state"] == "away")
        await client.post("/assignments", {"machines": ["m1"], "workflows": ["a"]}, 404)
