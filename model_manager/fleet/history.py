"""What was told: the stream's past in pages, and live as server-sent events that go on where a listener was cut off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import fields as fields_of
from typing import Any, Final

from aiohttp import web

from model_manager.bus.following import Batch, Followed, Gap
from model_manager.bus.tailing import Told as Entry
from model_manager.errors import BusUnavailable
from model_manager.facts import wire
from model_manager.facts.event import Envelope, Unknown
from model_manager.fleet import shapes
from model_manager.fleet.telling import Listening, Telling, place
from model_manager.serving.asking import EVENT, Asked, Param
from model_manager.serving.problems import Answer, away

SCANNED: Final = 1_000
"""Entries in one look at the past."""

LOOKS: Final = 10
"""Looks for one answer: who filters for what is rare gets a short page, and goes on from its `next`."""

KEEP_ALIVE: Final = 15.0
"""Seconds without an event after which a comment says that we are still there."""

LISTENERS: Final = 2_000

START: Final = "0-0"

Recall = Callable[[str, int], Awaitable[list[tuple[str, Entry]]]]
"""Entries after an id, at most so many. Raises BusUnavailable."""

Latest = Callable[[int], Awaitable[list[tuple[str, Entry]]]]
"""The last so many entries, oldest first. Raises BusUnavailable."""

Follow = Callable[[str], AsyncIterator[Batch]]
"""Batches from an id on."""


class History:
    def __init__(self, telling: Telling, recall: Recall, latest: Latest, follow: Follow) -> None:
        self._telling = telling
        self._recall = recall
        self._latest = latest
        self._follow = follow

    async def events(self, asked: Asked) -> shapes.Events:
        """Those after an id, or without one the last ones. Raises Answer 503 when Redis is away and memory is too short."""
        after, limit = asked["after"], asked["limit"]
        if after is None:
            return await self._last(asked)
        items: list[shapes.Told] = []
        for _ in range(LOOKS):
            page = await self._page(after)
            for identity, told in page:
                after = identity
                if _chosen(told, asked):
                    items.append(record(identity, told))
                if len(items) == limit:
                    break
            if len(items) == limit or len(page) < SCANNED:
                break
        return shapes.Events(items=tuple(items), next=after)

    async def _page(self, after: str) -> Sequence[tuple[str, Followed]]:
        known = self._telling.since(after)
        if known is not None:
            return known[:SCANNED]
        try:
            return await self._recall(after, SCANNED)
        except BusUnavailable as error:
            raise away("redis", f"{error} Events that were told lately are served from memory meanwhile.") from None

    async def _last(self, asked: Asked) -> shapes.Events:
        scanned = SCANNED if asked["machine_id"] or asked["kind"] else asked["limit"]
        page = await self._latest(scanned)
        chosen = [record(identity, told) for identity, told in page if _chosen(told, asked)]
        return shapes.Events(items=tuple(chosen[-asked["limit"] :]), next=page[-1][0] if page else None)

    async def stream(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        """Live, and before that what a listener missed. Raises Answer 503 for one listener too many."""
        begin = _last_heard(request) or asked["after"]
        if self._telling.listeners >= LISTENERS:
            raise Answer(503, "too-many-listeners", "Too many listen. Try again later.", {"Retry-After": "30"})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        try:
            with self._telling.listening() as listener:
                await response.write(b"retry: 2000\n\n")
                sent = await self._past(response, begin, asked) if begin else ""
                await self._live(response, listener, sent, asked)
        except ConnectionError:
            return response  # it hung up, as listeners do
        return response

    async def _past(self, response: web.StreamResponse, begin: str, asked: Asked) -> str:
        """Everything after an id, up to where the live ones begin; the id of the last one."""
        known = self._telling.since(begin)
        if known is not None:
            await _write(response, known, asked)
            return known[-1][0] if known else begin
        sent = begin
        async for batch in self._follow(begin):
            await _write(response, batch.told, asked)
            sent = batch.cursor
            if not batch.told or not self._telling.last or place(sent) >= place(self._telling.last):
                break
        return sent

    async def _live(self, response: web.StreamResponse, listener: Listening, sent: str, asked: Asked) -> None:
        while not listener.ended:
            told = await listener.take(KEEP_ALIVE)
            fresh = [each for each in told if not sent or place(each[0]) > place(sent)]
            if told:
                await _write(response, fresh, asked)
            elif not listener.ended:
                await response.write(b": still here\n\n")
        if not listener.overflowed:
            return
        why = "events come faster than you read; come back with your Last-Event-ID"
        await response.write(b"event: behind\ndata: " + wire.dumps({"why": why}) + b"\n\n")


async def _write(response: web.StreamResponse, told: Sequence[tuple[str, Followed]], asked: Asked) -> None:
    said = b"".join(_frame(identity, each) for identity, each in told if isinstance(each, Gap) or _chosen(each, asked))
    if said:
        await response.write(said)


def _frame(identity: str, told: Followed) -> bytes:
    if isinstance(told, Gap):
        return b"event: gap\ndata: " + wire.dumps({"why": told.why, "lost": told.lost}) + b"\n\n"
    body = record(identity, told)
    return f"id: {identity}\nevent: {_line(body.kind)}\ndata: ".encode() + wire.dumps(body) + b"\n\n"


def _line(kind: str) -> str:
    """A kind of a stranger may hold anything; a field of an event ends with its line."""
    return "".join(each for each in kind if each.isprintable())


def record(identity: str, told: Any) -> shapes.Told:
    """An event as it is answered."""
    return shapes.Told(
        id=identity,
        machine_id=told.machine_id,
        instance=told.instance,
        epoch=told.epoch,
        seq=told.seq,
        kind=told.kind,
        at=told.at,
        digest=told.digest,
        data=_data(told),
    )


def _data(told: Envelope) -> dict[str, Any]:
    event = told.event
    if isinstance(event, Unknown):
        return event.data
    return {field.name: getattr(event, field.name) for field in fields_of(event) if field.name != "kind"}


def _chosen(told: Any, asked: Asked) -> bool:
    """Whether it is an event at all, and one that was asked for."""
    return (
        isinstance(told, Envelope)
        and asked["machine_id"] in (None, told.machine_id)
        and asked["kind"] in (None, told.kind)
    )


def _last_heard(request: web.Request) -> str | None:
    """The standard's header; what is no id of ours is refused."""
    identity = request.headers.get("Last-Event-ID", "").strip()
    return Param(name="Last-Event-ID", help="", pattern=EVENT).read(identity) if identity else None
