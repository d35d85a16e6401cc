"""The feed, the audit trail, the export, and how the catalog is."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

from aiohttp import web

from model_manager.catalog import docs, shapes
from model_manager.catalog.answering import enveloped
from model_manager.catalog.feed import Feed
from model_manager.catalog.records import Change, Counts, Stored
from model_manager.catalog.storage.store import Store
from model_manager.facts import wire
from model_manager.serving.answering import Handler, tagged
from model_manager.serving.asking import Asked
from model_manager.serving.problems import Answer

LISTENERS: Final = 2000
"""Who may listen for changes at once."""

EXPORTED: Final = 256 * 1024
"""Bytes of an export that are sent at once."""

_PREFIX: Final = "model_manager_catalog"


class Counting:
    """Requests by route and status, and how long they took together."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.seconds: Counter[str] = Counter()

    def counted(self, name: str, handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            begin, status = time.perf_counter(), 500
            try:
                response = await handler(request)
                status = response.status
                return response
            except Answer as answer:
                status = answer.status
                raise
            finally:
                self.requests[name, status] += 1
                self.seconds[name] += time.perf_counter() - begin  # type: ignore[assignment]

        return handle


class Operating:
    def __init__(
        self,
        store: Store,
        feed: Feed,
        counting: Counting,
        document: Callable[[], bytes],
        who: Callable[[web.Request], str],
        *,
        read_only: bool,
    ) -> None:
        """`who` names a writer, or refuses."""
        self._store = store
        self._feed = feed
        self._counting = counting
        self._document = document
        self._who = who
        self._read_only = read_only

    async def health(self, request: web.Request, _: Asked) -> web.StreamResponse:
        async with self._store.reading() as reader:
            counts, position = await reader.counts(), await reader.position()
        answer = shapes.Health(
            state="empty" if counts.empty else "loaded",
            models=counts.models,
            workflows=counts.workflows,
            collections=counts.collections,
            read_only=self._read_only,
            warming=self._store.database.warming,
            cursor=shapes.cursor_of(position),
        )
        return enveloped(request, answer)

    async def metrics(self, request: web.Request, _: Asked) -> web.StreamResponse:
        counts, position = await self._store.counts(), await self._store.position()
        lines = _lines(counts, position.seq, self._feed.listeners, self._counting)
        return tagged(request, ("\n".join(lines) + "\n").encode(), "text/plain; version=0.0.4; charset=utf-8")

    async def openapi(self, request: web.Request, _: Asked) -> web.StreamResponse:
        return tagged(request, await asyncio.to_thread(self._document), "application/json")

    async def changes(self, request: web.Request, values: Asked) -> web.StreamResponse:
        return enveloped(request, await self._feed.since(values["since"], values["limit"]))

    async def stream(self, request: web.Request, values: Asked) -> web.StreamResponse:
        """Events `change` and `gap`, each with the cursor after it as its id; a comment as a sign of life."""
        if self._feed.listeners >= LISTENERS:
            raise Answer(503, "too-many-listeners", "Too many listen. Try again later.", {"Retry-After": "30"})
        begin = _last_heard(request) or values["since"]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        try:
            await response.write(b"retry: 2000\n\n")
            async for changes in self._feed.listen(begin):
                await response.write(b": here\n\n" if changes is None else _events(changes))
        except ConnectionError:
            return response  # it hung up, as listeners do
        return response

    async def audit(self, request: web.Request, values: Asked) -> web.StreamResponse:
        """Only writers see who wrote."""
        self._who(request)
        kind, identity = values["kind"] or "", values["id"] or ""
        found = await self._store.history(kind, identity, values["before"], values["limit"])
        return enveloped(request, [_audited(each) for each in found])

    async def export(self, request: web.Request, _: Asked) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"})
        await response.prepare(request)
        waiting = bytearray()
        async for line in exported(self._store):
            waiting += line
            if len(waiting) > EXPORTED:
                await response.write(bytes(waiting))
                waiting.clear()
        await response.write(bytes(waiting))
        await response.write_eof()
        return response


async def exported(store: Store) -> AsyncIterator[bytes]:
    """Everything, a line of JSON a record, models first: what an import makes the same catalog of."""
    async for stored in store.walk("model"):
        for text, current in await _versions(store, stored):
            yield _line("model", text, current=current)
    for kind in ("workflow", "collection"):
        async for stored in store.walk(kind):
            yield _line(kind, stored.doc)


async def _versions(store: Store, stored: Stored) -> list[tuple[str, bool]]:
    """The versions of a model that are not answered, and last the one that is."""
    label = docs.model_of(wire.loads(stored.doc)).version
    others = [(text, False) for version, text in await store.versions(stored.id) if version != label]
    return [*others, (stored.doc, True)]


def _line(kind: str, text: str, *, current: bool = True) -> bytes:
    head = f'{{"kind":"{kind}",' if current else f'{{"kind":"{kind}","current":false,'
    return head.encode() + text[1:].encode() + b"\n"


def _events(changes: shapes.Changes) -> bytes:
    gap = f"id: {changes.next}\nevent: gap\ndata: {{}}\n\n" if changes.gap else ""
    told = (f"id: {each.cursor}\nevent: change\ndata: {wire.dumps(each).decode()}\n\n" for each in changes.changes)
    here = f"id: {changes.next}\nevent: here\ndata: {{}}\n\n" if not changes.changes and not gap else ""
    return "".join((gap, here, *told)).encode()


def _last_heard(request: web.Request) -> str | None:
    """The cursor in Last-Event-ID. Raises Answer 400 for one that is none."""
    from model_manager.catalog.routes import SINCE

    text = request.headers.get("Last-Event-ID")
    return None if text is None else str(SINCE.read(text))


def _audited(change: Change) -> shapes.Audited:
    return shapes.Audited(
        seq=change.seq,
        at=change.at,
        who=change.who,
        action=change.action,
        kind=change.kind,
        id=change.id,
        name=change.name,
        revision=change.revision,
        note=change.note,
        before=None if change.before is None else wire.raw(change.before),
        after=None if change.after is None else wire.raw(change.after),
    )


def _lines(counts: Counts, seq: int, listeners: int, counting: Counting) -> Iterator[str]:
    """Names begin with model_manager_catalog_; seconds throughout."""
    yield from _one("records", "gauge", "records by kind", {
        'kind="model"': counts.models, 'kind="workflow"': counts.workflows, 'kind="collection"': counts.collections,
    })  # fmt: skip
    yield from _one("changes_total", "counter", "changes since the database was made", {"": seq})
    yield from _one(
        "process", "gauge", "the process that answers, of those at this address", {f'pid="{os.getpid()}"': 1}
    )
    yield from _one("listeners", "gauge", "listeners of changes", {"": listeners})
    requests = {f'route="{name}",status="{status}"': n for (name, status), n in sorted(counting.requests.items())}
    yield from _one("requests_total", "counter", "requests by route and status", requests)
    seconds: dict[str, Any] = {f'route="{name}"': f"{n:.6f}" for name, n in sorted(counting.seconds.items())}
    yield from _one("request_seconds_total", "counter", "time in requests by route", seconds)


def _one(name: str, kind: str, help: str, values: dict[str, Any]) -> Iterator[str]:
    yield f"# HELP {_PREFIX}_{name} {help}"
    yield f"# TYPE {_PREFIX}_{name} {kind}"
    for labels, value in values.items():
        yield f"{_PREFIX}_{name}{{{labels}}} {value}" if labels else f"{_PREFIX}_{name} {value}"
