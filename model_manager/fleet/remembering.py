"""Answers that many ask for at once are made once: as bytes, compressed and tagged, for as long as nothing changed."""

from __future__ import annotations

import gzip
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from model_manager.facts import wire
from model_manager.serving.answering import COMPRESS_ABOVE, has, tag_of, takes_gzip
from model_manager.serving.routing import JSON

FRESH: Final = 1.0
"""Seconds for which an answer stands while nothing is heard to change: ages in it grow by themselves."""

MOST: Final = 512
LARGEST: Final = 1 << 20
"""Answers that are remembered, and bytes of one."""

LEVEL: Final = 1
"""Of gzip: a fifth of the time of the best one, for a seventh more bytes."""


@dataclass(slots=True)
class Made:
    """An answer as it is sent; `packed` when somebody first asks for it."""

    body: bytes
    tag: str
    until: float
    packed: bytes = b""


class Remembering:
    """`generation` is another value whenever an answer could be another one."""

    def __init__(self, generation: Callable[[], object], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._generation = generation
        self._monotonic = monotonic
        self._of: object = None
        self._made: dict[str, Made] = {}

    async def answer(self, request: web.Request, ask: Callable[[], Awaitable[Any]]) -> web.Response:
        """The record that `ask` answers, made now or lately. Raises what `ask` raises, which is not remembered."""
        path = request.raw_path
        known = self._known(path)
        if known is None:
            body = wire.dumps(await ask())
            known = Made(body, tag_of(body), self._monotonic() + FRESH)
            self._keep(path, known)
        return _sent(request, known)

    def _known(self, path: str) -> Made | None:
        generation = self._generation()
        if generation != self._of:
            self._made.clear()
            self._of = generation
        known = self._made.get(path)
        return known if known is not None and self._monotonic() < known.until else None

    def _keep(self, path: str, made: Made) -> None:
        """Unless something changed while it was made."""
        if len(made.body) > LARGEST or self._generation() != self._of:
            return
        if len(self._made) >= MOST:
            self._made.clear()
        self._made[path] = made


def _sent(request: web.Request, made: Made) -> web.Response:
    headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding", "ETag": f'W/"{made.tag}"'}
    if has(request, made.tag):
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = JSON
    if len(made.body) <= COMPRESS_ABOVE or not takes_gzip(request.headers.get("Accept-Encoding", "")):
        return web.Response(body=made.body, headers=headers)
    made.packed = made.packed or gzip.compress(made.body, LEVEL, mtime=0)
    return web.Response(body=made.packed, headers={**headers, "Content-Encoding": "gzip"})
