from __future__ import annotations

import json

import pytest
from redis.asyncio import Redis

from model_manager.bus.keys import Keys
from model_manager.bus.telemetry import copy
from model_manager.errors import BusUnavailable
from model_manager.facts.telemetry import Telemetry
from tests.bus.servers import Server

TOLD = Telemetry(timestamp=5, service="s", eventType="e", traceId="t", machineId="m", level="info", data={"a": "ü"})


async def test_a_copy_is_one_field_of_json(redis: Redis) -> None:
    await copy(redis, Keys("{p}:"), [TOLD, TOLD])
    entries = await redis.xrange("{p}:telemetry:events")
    assert [list(fields) for _, fields in entries] == [[b"event"], [b"event"]]
    assert json.loads(entries[0][1][b"event"])["data"] == {"a": "ü"}


async def test_e5_what_redis_refuses_is_our_error(own: Server, own_redis: Redis) -> None:
    await own_redis.set("telemetry:events", "no stream")
    with pytest.raises(BusUnavailable):
        await copy(own_redis, Keys(), [TOLD])
