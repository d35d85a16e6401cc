from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from model_manager.bus.assignments import Pushed, pushed
from model_manager.bus.connection import connect
from model_manager.bus.keys import Keys
from model_manager.facts.identity import MachineId
from model_manager.facts.model import Assignment
from tests.bus.servers import Server
from tests.cli.conftest import Call


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, bare: None) -> Iterator[Server]:
    made = Server("valkey")
    monkeypatch.setenv("REDIS_URL", made.url)
    yield made
    made.close()


async def first(url: str, prefix: str = "") -> object:
    """What the machine gpu-7 finds."""
    redis = connect(url)
    try:
        return await anext(pushed(redis, Keys(prefix), MachineId("gpu-7")))
    finally:
        await redis.aclose()


def test_the_machine_finds_what_was_pushed(server: Server, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_MANAGER_REDIS_PREFIX", "{pool}:")
    code, out, _ = call("assign", "gpu-7", "--workflow", "flux", "--workflow", "sdxl", "--model", "a.safetensors")
    assert (code, out) == (0, "assigned to gpu-7\n")
    said = Assignment(workflows=("flux", "sdxl"), models=("a.safetensors",))
    assert asyncio.run(first(server.url, "{pool}:")) == Pushed(said, "add")


def test_replace_is_said(server: Server, call: Call) -> None:
    call("assign", "gpu-7", "--collection", "c1", "--replace")
    assert asyncio.run(first(server.url)) == Pushed(Assignment(collections=("c1",)), "replace")


def test_an_assignment_of_nothing_is_refused(server: Server, call: Call) -> None:
    code, _, err = call("assign", "gpu-7")
    assert code == 65
    assert "names nothing" in err
    assert asyncio.run(first(server.url)) is None


def test_without_redis_there_is_nobody_to_push_to(call: Call) -> None:
    code, _, err = call("assign", "gpu-7", "--workflow", "flux")
    assert code == 78
    assert "REDIS_URL" in err


def test_e7_a_redis_that_is_away_is_told_without_its_password(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:CANARY@127.0.0.1:1/0")
    code, _, err = call("assign", "gpu-7", "--workflow", "flux")
    assert code == 75
    assert "CANARY" not in err


def test_a_machine_id_that_is_none_is_refused(server: Server, call: Call) -> None:
    assert call("assign", "gpu:7", "--workflow", "flux")[0] == 78
