from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from model_manager.bus.connection import connect
from tests.bus.servers import Server
from tests.fleet.stage import Client, Player, served, settings_for

Join = Callable[[str], Player]


@pytest.fixture(scope="session")
def shared() -> Iterator[Server]:
    """One server for many tests; never stopped or reconfigured."""
    server = Server("valkey")
    yield server
    server.close()


@pytest.fixture
def own() -> Iterator[Server]:
    """A server for one test, to be hurt."""
    server = Server("valkey")
    yield server
    server.close()


@pytest.fixture
async def redis(shared: Server) -> AsyncIterator[Redis]:
    client = connect(shared.url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def join(redis: Redis) -> Join:
    return lambda machine_id: Player(redis, machine_id)


@pytest.fixture
async def fleet(redis: Redis, shared: Server, tmp_path: Path) -> AsyncIterator[Client]:
    """A served fleet, empty at first."""
    async with served(settings_for(shared.url, tmp_path)) as client:
        await client.exact()
        yield client
