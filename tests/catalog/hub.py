"""A hub and a CivitAI on loopback that answer as those do, and count what they are asked."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.sources.serving import served


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


@dataclass
class Hub:
    """`files`: name → size, at `/o/r/resolve/main/<name>` as on HuggingFace and at `/api/download/models/<name>` as on CivitAI."""

    files: dict[str, int] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    refused: dict[str, int] = field(default_factory=dict)
    """Name → the status that even a token gets."""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """(method, path, Range)"""
    sent: int = 0
    """Bytes of bodies."""
    quiet: int = 0
    """Answers that first ask for patience."""

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path, request.headers.get("Range", "")))
        name = request.path.rpartition("/")[2]
        if self.quiet:
            self.quiet -= 1
            return web.Response(status=429, headers={"Retry-After": "0"})
        if "/blob/" in request.path:
            return web.Response(text="<html>a page</html>", content_type="text/html")
        if request.path.startswith("/api/v1/model-versions/"):
            return web.json_response(
                {"id": int(name), "files": [{"name": name, "hashes": {"SHA256": digest(name).upper()}}]}
            )
        if name not in self.files:
            return web.Response(status=404)
        if request.path.startswith("/bytes/"):
            return self._byte(request, name)
        if name in self.gated and ("Authorization" not in request.headers or name in self.refused):
            return web.Response(status=self.refused.get(name, 401), headers={"X-Error-Code": "GatedRepo"})
        linked = {"X-Linked-Etag": f'"{digest(name)}"', "X-Linked-Size": str(self.files[name])}
        return web.Response(
            status=302, headers={"Location": f"/bytes/{name}", **(linked if "/resolve/" in request.path else {})}
        )

    def _byte(self, request: web.Request, name: str) -> web.Response:
        assert request.headers.get("Range") == "bytes=0-0", "more than one byte was asked for"
        self.sent += 1
        headers = {"Content-Range": f"bytes 0-0/{self.files[name]}", "ETag": f'"{digest(name)}"'}
        return web.Response(status=206, body=b"x", headers=headers, content_type="application/octet-stream")


@asynccontextmanager
async def hub(**files: int) -> AsyncIterator[tuple[Hub, str]]:
    """The hub, and its `host:port`. Names are written with `_` for `.`."""
    made = Hub({name.replace("__", "."): size for name, size in files.items()})
    async with served(made.__call__) as host:
        yield made, host
