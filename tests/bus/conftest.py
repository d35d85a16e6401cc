from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from redis.asyncio import Redis

from model_manager.bus.connection import connect
from model_manager.bus.publishing import Bus
from model_manager.facts.identity import MachineId
from tests.bus.servers import Server

BOTH = ["valkey", pytest.param("redis", marks=pytest.mark.needs("redis-server"))]


@pytest.fixture(scope="session", params=BOTH)
def shared(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One server for many tests; never stopped or reconfigured."""
    server = Server(request.param)
    yield server
    server.close()


@pytest.fixture(params=BOTH)
def own(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server for one test, to be hurt."""
    server = Server(request.param)
    yield server
    server.close()


@pytest.fixture
async def redis(shared: Server) -> AsyncIterator[Redis]:
    client = connect(shared.url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def bus_of(redis: Redis) -> Callable[..., Bus]:
    def make(machine: str = "m1", installation: str = "here", lease: float = 60.0) -> Bus:
        return Bus(redis, MachineId.parse(machine), installation, "", 10_000, lease)

    return make


@pytest.fixture
def bus(bus_of: Callable[..., Bus]) -> Bus:
    return bus_of()


@pytest.fixture
async def own_redis(own: Server) -> AsyncIterator[Redis]:
    client = connect(own.url, timeout=5.0)
    yield client
    await client.aclose()
