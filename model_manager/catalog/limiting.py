"""How much one client may ask, and which pages of other origins may read the answers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Any, Final

from aiohttp import web

from model_manager.serving.answering import Handler
from model_manager.serving.problems import Answer

CLIENTS: Final = 10_000
"""Clients that are remembered; who was not seen for longest is forgotten first."""

RATE: Final = web.RequestKey("rate", dict[str, str])
"""What the client has left, as headers."""

METHODS: Final = "GET, HEAD, POST, PUT, DELETE"
HEADERS: Final = "Authorization, Content-Type, If-Match, If-None-Match, Last-Event-ID"
EXPOSED: Final = "ETag, Retry-After, X-Total-Count, X-Total-More, X-RateLimit-Limit, X-RateLimit-Remaining"


class Buckets:
    """A bucket of requests for each client address; it holds a minute's worth and fills evenly."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._size = per_minute
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> tuple[int, float]:
        """(requests left, 0), or (-1, seconds until there is one again)."""
        now = self._clock()
        level, at = self._levels.pop(client, (float(self._size), now))
        level = min(float(self._size), level + (now - at) * self._size / 60)
        allowed = level >= 1
        self._levels[client] = (level - 1 if allowed else level, now)
        if len(self._levels) > CLIENTS:
            self._levels.popitem(last=False)
        return (int(level - 1), 0.0) if allowed else (-1, (1 - level) * 60 / self._size)


def limited(per_minute: int, clock: Callable[[], float]) -> Any:
    """A middleware: so many requests a minute from one address, 0 for no limit. Machines and scrapers read /health freely."""
    buckets = Buckets(per_minute, clock)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not per_minute or request.path == "/health":
            return await handler(request)
        left, wait = buckets.take(request.remote or "")
        if left < 0:
            seconds = str(max(1, round(wait + 0.5)))
            detail = f"More than {per_minute} requests a minute. Ask again in {seconds} s, or ask for many at once."
            raise Answer(429, "too-many", detail, {"Retry-After": seconds, "X-RateLimit-Limit": str(per_minute)})
        request[RATE] = {"X-RateLimit-Limit": str(per_minute), "X-RateLimit-Remaining": str(left)}
        return await handler(request)

    return check


def open_to(origins: Collection[str]) -> Callable[[web.Request, web.StreamResponse], Any]:
    """Headers for every answer, streams and refusals included: what the client has left, and who may read it (CORS)."""

    async def prepare(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(request.get(RATE, {}))
        response.headers["X-Content-Type-Options"] = "nosniff"
        origin = request.headers.get("Origin")
        if origins:
            response.headers.add("Vary", "Origin")
        if origin is None or not (origin in origins or "*" in origins):
            return
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = EXPOSED

    return prepare


@web.middleware
async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What a browser asks before it asks: answered for origins that the guard let through."""
    if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
        return await handler(request)
    headers = {
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": HEADERS,
        "Access-Control-Max-Age": "600",
    }
    return web.Response(status=204, headers=headers)
