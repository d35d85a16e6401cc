"""How something goes, live, for who listens: its state as server-sent events (WHATWG HTML, 9.2), one whenever it is another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

from aiohttp import web

from model_manager.facts import wire
from model_manager.fleet.telling import Telling
from model_manager.serving.asking import asked
from model_manager.serving.problems import Answer

EVERY: Final = 0.5
"""Seconds between two looks."""

KEEP_ALIVE: Final = 15.0
"""Seconds between two comments on a quiet stream."""

S = TypeVar("S")


async def progress(
    request: web.Request, telling: Telling, look: Callable[[], Awaitable[S]], kind: Callable[[S], str]
) -> web.StreamResponse:
    """Until the listener leaves, or we stop. Raises what the first look raises, and Answer 400 for parameters; the stream ends when a
    later look raises an Answer."""
    asked(request, ())
    state = await look()
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    loop = asyncio.get_running_loop()
    told, spoken = b"", loop.time()
    with telling.listening() as listener, suppress(ConnectionError, Answer):
        while not listener.ended:
            body = wire.dumps(state)
            if body != told:
                await response.write(f"event: {kind(state)}\ndata: ".encode() + body + b"\n\n")
                told, spoken = body, loop.time()
            elif loop.time() - spoken >= KEEP_ALIVE:
                await response.write(b": still here\n\n")
                spoken = loop.time()
            await listener.take(EVERY)
            state = await look()
    return response
