"""Notices for who looks: the past in pages, and live as server-sent events that go on where a listener was cut off."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import web
from loguru import logger

from model_manager.errors import StoreUnavailable
from model_manager.facts import wire
from model_manager.fleet.history import KEEP_ALIVE, LISTENERS
from model_manager.fleet.notices import shapes
from model_manager.fleet.notices.ledger import Filter, Ledger, Noted
from model_manager.serving.asking import Asked, Param
from model_manager.serving.problems import Answer

LOOK: Final = 1.0
"""Seconds between two looks for what another aggregator told."""

KEPT: Final = 500
"""Notices that are remembered for listeners."""

TIDY: Final = 3_600.0
"""Seconds between two removals of what is too old."""

LAST: Final = 2**53


class Bulletin:
    """`days`: how long notices are kept."""

    def __init__(self, ledger: Ledger, days: float) -> None:
        self._ledger = ledger
        self._days = days
        self._recent: deque[Noted] = deque(maxlen=KEPT)
        self._fresh = asyncio.Event()
        self._bell = asyncio.Event()
        self._listeners = 0
        self._last = 0
        self._ended = self._troubled = False

    def ring(self) -> None:
        """Something was told."""
        self._bell.set()

    def close(self) -> None:
        """Everybody is sent home; they come back to whoever serves next."""
        self._ended = True
        self._fresh.set()

    async def run(self) -> None:
        """Until cancelled."""
        due = 0.0
        while True:
            loop_time = asyncio.get_running_loop().time()
            try:
                if loop_time >= due:
                    await self._forget()
                    due = loop_time + TIDY
                await self._look()
                self._troubled = False
            except StoreUnavailable as error:
                self._say(error)
            try:
                async with asyncio.timeout(LOOK):
                    await self._bell.wait()
            except TimeoutError:
                continue
            self._bell.clear()

    def _say(self, error: StoreUnavailable) -> None:
        if not self._troubled:
            self._troubled = True
            logger.bind(reason=str(error)).warning("notices cannot be read")

    async def _forget(self) -> None:
        now = datetime.fromtimestamp(self._ledger.now(), UTC)
        await self._ledger.forget((now - timedelta(days=self._days)).isoformat(timespec="milliseconds"))

    async def _look(self) -> None:
        """What is new, for all listeners at once; nothing is asked while nobody listens."""
        if not self._listeners:
            return
        while found := await self._ledger.notices(self._last, KEPT):
            self._recent.extend(found)
            self._last = found[-1].id
            fresh, self._fresh = self._fresh, asyncio.Event()
            fresh.set()

    async def page(self, asked: Asked) -> shapes.Notices:
        """After a number, before one, or the last ones."""
        chosen = Filter(rule=asked["rule"], kind=asked["kind"], state=asked["delivery"])
        if asked["after"] is not None:
            found = await self._ledger.notices(asked["after"], asked["limit"], chosen)
        else:
            found = await self._ledger.before(asked["before"] or LAST, asked["limit"], chosen)
        items = tuple(map(shapes.notice, found))
        return shapes.Notices(
            items=items, next=items[-1].id if items else asked["after"], before=items[0].id if items else None
        )

    async def stream(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        """Live, and before that what a listener missed. Raises Answer 503 for one listener too many."""
        begin = _last_heard(request) if "Last-Event-ID" in request.headers else asked["after"]
        if self._listeners >= LISTENERS:
            raise Answer(503, "too-many-listeners", "Too many listen. Try again later.", {"Retry-After": "30"})
        cursor = await self._newest() if begin is None else begin
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        self._listeners += 1
        try:
            await response.write(b"retry: 2000\n\n")
            await self._told(response, cursor)
        except ConnectionError:
            return response  # it hung up, as listeners do
        finally:
            self._listeners -= 1
        return response

    async def _newest(self) -> int:
        newest = await self._ledger.before(LAST, 1)
        return newest[-1].id if newest else 0

    async def _told(self, response: web.StreamResponse, cursor: int) -> None:
        """At the pace of the listener: nothing waits for one but what is in the ledger anyway."""
        while not self._ended:
            fresh = self._fresh
            found = await self._after(cursor)
            if found:
                cursor = found[-1].id
                await response.write(b"".join(map(_frame, found)))
                continue
            try:
                async with asyncio.timeout(KEEP_ALIVE):
                    await fresh.wait()
            except TimeoutError:
                await response.write(b": still here\n\n")

    async def _after(self, cursor: int) -> Sequence[Noted]:
        """From memory, where it reaches back so far."""
        if self._last and cursor >= self._last:
            return ()
        if self._recent and self._recent[0].id <= cursor + 1:
            return [noted for noted in self._recent if noted.id > cursor]
        return await self._ledger.notices(cursor, KEPT)


def _frame(noted: Noted) -> bytes:
    return f"id: {noted.id}\nevent: notice\ndata: ".encode() + wire.dumps(shapes.notice(noted)) + b"\n\n"


def _last_heard(request: web.Request) -> int | None:
    """The standard's header; what is no number of ours is refused."""
    text = request.headers.get("Last-Event-ID", "").strip()
    value: int | None = (
        Param(name="Last-Event-ID", help="", kind="integer", least=0, most=LAST).read(text) if text else None
    )
    return value
