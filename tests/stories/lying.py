"""A catalog that misbehaves by script, in the test's process: each route answers what the test put there."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from aiohttp import web

Answer = bytes | int | Callable[[web.Request], Awaitable[web.StreamResponse]]
"""A body with status 200, a bare status, or whatever a handler does."""


def enveloped(data: Any) -> bytes:
    return json.dumps({"data": data, "error": None}).encode()


@dataclass
class LyingCatalog:
    """Workflows and models by name; `lies` replace the answer for a name. Batch routes are absent, so that every name is
    asked for by itself."""

    url: str = ""
    workflows: dict[str, Any] = field(default_factory=dict)
    models: dict[str, Any] = field(default_factory=dict)
    lies: dict[str, Answer] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    _runner: web.AppRunner | None = None
    _port: int = 0

    def offer(self, models: list[dict[str, Any]], workflows: Mapping[str, list[str]]) -> None:
        self.models |= {model["name"]: model for model in models}
        self.workflows |= {name: {"name": name, "models": needed} for name, needed in workflows.items()}

    async def up(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"

    async def down(self) -> None:
        """Refuses connections from now on; `up` comes back at the same address."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        parts = request.raw_path.strip("/").split("/")
        if request.method != "GET" or len(parts) != 3 or parts[1] != "name" or parts[0] not in ("workflows", "models"):
            return web.Response(status=404)
        name = unquote(parts[2])
        self.asked[name] += 1
        lie = self.lies.get(name)
        if callable(lie):
            return await lie(request)
        if isinstance(lie, int):
            return web.Response(status=lie)
        known = self.workflows if parts[0] == "workflows" else self.models
        if lie is None and name not in known:
            return web.Response(status=404)
        body = enveloped(known[name]) if lie is None else lie
        return web.Response(body=body, content_type="application/json")


@asynccontextmanager
async def lying_catalog() -> AsyncIterator[LyingCatalog]:
    catalog = LyingCatalog()
    await catalog.up()
    try:
        yield catalog
    finally:
        await catalog.down()


async def endless(request: web.Request) -> web.StreamResponse:
    """JSON that never ends, as fast as it is read (500 MB at most)."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"data": {"models": [')
    piece = b'"m",' * 65_536
    for _ in range(2000):
        await response.write(piece)
    return response


async def truncated(request: web.Request) -> web.StreamResponse:
    """A Content-Length that the body does not reach."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "5000"})
    await response.prepare(request)
    await response.write(b'{"data": {"models": ["x"')
    assert request.transport is not None
    request.transport.abort()
    return response


async def silent(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    return web.Response()
