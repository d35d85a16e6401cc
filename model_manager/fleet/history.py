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
from model_manager.serving.problems import Answer, away, bad_parameter

SCANNED: Final = 1_000
"""Entries in one look at the past."""

LOOKS: Final = 10
"""Looks for one answer: who filters for what is rare gets a short page, and goes on from its `next`."""

AT_ONCE: Final = 250
"""Entries in one look backwards: who reads back has others wait for no longer than a few milliseconds."""

KEEP_ALIVE: Final = 15.0
"""Seconds without an event after which a comment says that we are still there."""

LISTENERS: Final = 2_000

NARROWING: Final = ("machine_id", "kind", "model")
"""Parameters that leave events out."""

START: Final = "0-0"

Recall = Callable[[str, int], Awaitable[list[tuple[str, Entry]]]]
"""Entries after an id, at most so many. Raises BusUnavailable."""

Latest = Callable[[int], Awaitable[list[tuple[str, Entry]]]]
"""The last so many entries, oldest first. Raises BusUnavailable."""

Earlier = Callable[[str, int], Awaitable[list[tuple[str, Entry]]]]
"""The last so many entries before an id ("": of all), oldest first. Raises BusUnavailable."""

Follow = Callable[[str], AsyncIterator[Batch]]
"""Batches from an id on."""


class History:
    def __init__(self, telling: Telling, recall: Recall, earlier: Earlier, follow: Follow) -> None:
        self._telling = telling
        self._recall = recall
        self._earlier = earlier
        self._follow = follow

    async def events(self, asked: Asked) -> shapes.Events:
        """Those after an id, or the last ones: of all, or before an id. Raises Answer 400 for both ids, 503 when Redis is away and
        memory is too short."""
        after, limit = asked["after"], asked["limit"]
        if after is None:
            return await self._last(asked)
        if asked["before"] is not None:
            raise bad_parameter("before", "cannot be given together with 'after'. Leave one of them out.")
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
        return shapes.Events(items=tuple(items), next=after, older=None)

    async def _page(self, after: str) -> Sequence[tuple[str, Followed]]:
        known = self._telling.since(after)
        if known is not None:
            return known[:SCANNED]
        try:
            return await self._recall(after, SCANNED)
        except BusUnavailable as error:
            raise _away(error) from None

    async def _last(self, asked: Asked) -> shapes.Events:
        """Read backwards. Who filters for what is rare gets a short page, and goes on from its `older`."""
        limit, narrowed = asked["limit"], any(asked[name] for name in NARROWING)
        count = AT_ONCE if narrowed else limit
        at, newest = asked["before"] or "", None
        found: list[shapes.Told] = []
        for _ in range(LOOKS * SCANNED // AT_ONCE):
            page = await self._ahead_of(at, count)
            newest = newest or (page[-1][0] if page else None)
            for identity, told in reversed(page):
                at = identity
                if _chosen(told, asked):
                    found.append(record(identity, told))
                if len(found) == limit:
                    return shapes.Events(items=tuple(reversed(found)), next=newest, older=at)
            if len(page) < count:
                return shapes.Events(items=tuple(reversed(found)), next=newest, older=None)
        return shapes.Events(items=tuple(reversed(found)), next=newest, older=at)

    async def _ahead_of(self, identity: str, count: int) -> Sequence[tuple[str, Followed]]:
        try:
            return await self._earlier(identity, count)
        except BusUnavailable as error:
            raise _away(error) from None

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


def _away(error: BusUnavailable) -> Answer:
    return away("redis", f"{error} Events that were told lately are served from memory meanwhile: ask with 'after'.")


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
        and (asked["model"] is None or _names(told.event, asked["model"]))
    )


def _names(event: Any, model: str) -> bool:
    """Whether it is told of the model at `folder/name`, alone or among others."""
    models = getattr(event, "models", None)
    told = models if isinstance(models, tuple) else (event,)
    return any(f"{getattr(each, 'folder', '')}/{getattr(each, 'name', '')}" == model for each in told)


def _last_heard(request: web.Request) -> str | None:
    """The standard's header; what is no id of ours is refused."""
    identity = request.headers.get("Last-Event-ID", "").strip()
    return Param(name="Last-Event-ID", help="", pattern=EVENT).read(identity) if identity else None
