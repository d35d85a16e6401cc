"""A served fleet with two machines, in a thread of its own, for commands that ask it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from model_manager.bus.connection import connect
from tests.bus.servers import Server
from tests.fleet.stage import Player, files, served, settings_for


class Fleetful:
    """`url` of the aggregator, `redis` of its Redis."""

    def __init__(self, state: Path) -> None:
        self._server = Server("valkey")
        self._state = state
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.redis = self._server.url
        self.url = ""

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        redis: Any = connect(self.redis)
        await Player(redis, "m1").begin(*files("a.safetensors", "b.safetensors"), flux=True)
        await Player(redis, "m2").begin(*files("a.safetensors"), flux=False)
        async with served(settings_for(self.redis, self._state)) as client:
            await client.exact()
            self.url = client.url
            self._up.set()
            await self._stop.wait()
        await redis.aclose()

    def __enter__(self) -> Fleetful:
        self._thread.start()
        assert self._up.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._server.close()
