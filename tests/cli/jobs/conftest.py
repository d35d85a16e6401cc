from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest

from model_manager.bus.claims import Claims
from model_manager.bus.connection import connect
from tests.bus.servers import Server
from tests.bus.working import Rig

Answer = TypeVar("Answer")


class Fleet:
    """A Redis with machines, asked and told from outside a loop."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def rig(self, machine: str, *models: str, **how: Any) -> None:
        self.do(lambda redis: Rig(redis, machine).begin(*models, **how))

    def ask(self, question: Callable[[Claims], Awaitable[Answer]]) -> Answer:
        return self.do(lambda redis: question(Claims(redis)))

    def do(self, work: Callable[[Any], Awaitable[Answer]]) -> Answer:
        async def doing() -> Answer:
            redis = connect(self.server.url)
            try:
                return await work(redis)
            finally:
                await redis.aclose()

        return asyncio.run(doing())


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch, bare: None) -> Iterator[Fleet]:
    """One machine, `m1`, that holds a.pt; the environment names its Redis."""
    server = Server("valkey")
    monkeypatch.setenv("REDIS_URL", server.url)
    made = Fleet(server)
    made.rig("m1", "a.pt")
    yield made
    server.close()
