"""What writers do, by the names of the routes. Each says who it was; with dry_run it only says what would be."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import IO, Any, Final

from aiohttp import web

from model_manager.catalog import docs
from model_manager.catalog.answering import enveloped, tag
from model_manager.catalog.asked import conditional, identity, insist
from model_manager.catalog.bodies import CollectionBody, CurrentBody, ModelBody, WorkflowBody, read
from model_manager.catalog.docs import kind_of, text_of
from model_manager.catalog.feed import Feed
from model_manager.catalog.following import follow
from model_manager.catalog.incoming import bulk
from model_manager.catalog.incoming.drawn import from_workflow
from model_manager.catalog.incoming.findings import Incoming
from model_manager.catalog.incoming.loading import MAX_LINE, from_document, from_lines
from model_manager.catalog.questions import Questions
from model_manager.catalog.records import FIRST_VERSION, CatalogModel, Kind, Record, Stored, Written
from model_manager.catalog.storage.looking import Looker
from model_manager.catalog.storage.store import Store
from model_manager.errors import BadRecord, NotFound, printable
from model_manager.facts import wire
from model_manager.serving.asking import Asked, asked_object
from model_manager.serving.guarding import writer_of
from model_manager.serving.problems import Answer, bad_body

MAX_IMPORT: Final = 1024 * 1024 * 1024
"""Bytes of NDJSON in one request."""

PAUSE_SECONDS: Final = 30.0
"""How long the next bytes of it may take."""

SETTING: Final = "MODEL_MANAGER_CATALOG_TOKENS"

Whole = WorkflowBody | CollectionBody
"""Bodies of which the newest is all that is kept."""


class Writes:
    """`writers`: name → token; none when nobody may write. `read_only` refuses even them."""

    def __init__(
        self, store: Store, questions: Questions, feed: Feed, writers: Mapping[str, str], *, read_only: bool
    ) -> None:
        self._store = store
        self._questions = questions
        self._feed = feed
        self._writers = writers
        self._read_only = read_only

    def who(self, request: web.Request) -> str:
        """Raises Answer 401 or 403."""
        return writer_of(request, self._writers, SETTING)

    async def model_create(self, request: web.Request, values: Asked) -> web.StreamResponse:
        who = self.allowed(request)
        body = read(ModelBody, await asked_object(request))
        record = body.record(identity(body.id, body.name), FIRST_VERSION)
        return await self._create(request, record, who, values)

    async def model_put(self, request: web.Request, values: Asked) -> web.StreamResponse:
        who = self.allowed(request)
        body = read(ModelBody, await asked_object(request))
        key = identity(body.id, body.name, values["id"])
        old = (await self._store.by_id("model", [key])).get(key)
        version = docs.model_of(wire.loads(old.doc)).version if old else FIRST_VERSION
        return await self._put(request, body.record(key, version), who, values, old)

    async def version_put(self, request: web.Request, values: Asked) -> web.StreamResponse:
        who = self.allowed(request)
        body = read(ModelBody, await asked_object(request))
        if body.version not in (None, values["version"]):
            raise bad_body("version is not that of the address. Leave it out.")
        key = identity(body.id, body.name, values["id"])
        old = (await self._store.by_id("model", [key])).get(key)
        if old is None:
            raise NotFound(where="the catalog", name=key)
        record = body.record(key, values["version"])
        there = await self._insist_version(request, key, record.version)
        expected = old.revision if conditional(request) else None
        written = await self._store.put(
            record, who, expected=expected, current=False, dry_run=values["dry_run"], judge=insist_no_cycle
        )
        return self._answered(request, written, docs.doc_of(record), new=there is None)

    async def version_choose(self, request: web.Request, values: Asked) -> web.StreamResponse:
        """If-Match is of the model as it is answered now."""
        who = self.allowed(request)
        body = read(CurrentBody, await asked_object(request))
        key = values["id"]
        old = (await self._store.by_id("model", [key])).get(key)
        insist(request, await self._tag("model", old) if old else None, f"The model '{printable(key, 100)}'")
        expected = old.revision if old and conditional(request) else None
        written = await self._store.make_current(
            key, body.version, who, expected=expected, dry_run=values["dry_run"], judge=insist_no_cycle
        )
        return self._answered(request, written, wire.raw(written.stored.doc), new=False)

    async def version_delete(self, request: web.Request, values: Asked) -> web.StreamResponse:
        who, key, version = self.allowed(request), values["id"], values["version"]
        old = (await self._store.by_id("model", [key])).get(key)
        await self._insist_version(request, key, version)
        expected = old.revision if old and conditional(request) else None
        await self._store.delete_version(key, version, who, expected=expected, dry_run=values["dry_run"])
        self._feed.ring()
        return enveloped(request, {"deleted": version})

    async def _insist_version(self, request: web.Request, key: str, version: str) -> str | None:
        """The version as it is, once it is what the request expects."""
        there = await self._store.version(key, version)
        insist(request, tag(wire.raw(there)) if there is not None else None, f"version '{printable(version, 100)}'")
        return there

    async def workflow_create(self, request: web.Request, values: Asked) -> web.StreamResponse:
        return await self._created(WorkflowBody, request, values)

    async def workflow_put(self, request: web.Request, values: Asked) -> web.StreamResponse:
        return await self._replaced("workflow", WorkflowBody, request, values)

    async def collection_create(self, request: web.Request, values: Asked) -> web.StreamResponse:
        return await self._created(CollectionBody, request, values)

    async def collection_put(self, request: web.Request, values: Asked) -> web.StreamResponse:
        return await self._replaced("collection", CollectionBody, request, values)

    async def _created(self, kind: type[Whole], request: web.Request, values: Asked) -> web.StreamResponse:
        who = self.allowed(request)
        body = read(kind, await asked_object(request))
        return await self._create(request, body.record(identity(body.id, body.name)), who, values)

    async def _replaced(
        self, kind: Kind, shape: type[Whole], request: web.Request, values: Asked
    ) -> web.StreamResponse:
        who = self.allowed(request)
        body = read(shape, await asked_object(request))
        key = identity(body.id, body.name, values["id"])
        old = (await self._store.by_id(kind, [key])).get(key)
        return await self._put(request, body.record(key), who, values, old)

    def delete(self, kind: Kind) -> Callable[[web.Request, Asked], Any]:
        """The handler that deletes records of a kind."""

        async def handle(request: web.Request, values: Asked) -> web.StreamResponse:
            who, key = self.allowed(request), values["id"]
            old = (await self._store.by_id(kind, [key])).get(key)
            if old is None:
                raise NotFound(where="the catalog", name=key)
            insist(request, await self._tag(kind, old), f"The {kind} '{printable(key, 100)}'")
            expected = old.revision if conditional(request) else None
            await self._store.delete(
                kind, key, who, expected=expected, force=values["force"], dry_run=values["dry_run"]
            )
            self._feed.ring()
            return enveloped(request, {"deleted": key})

        return handle

    async def import_(self, request: web.Request, values: Asked) -> web.StreamResponse:
        """JSON at once; NDJSON is put aside first, so that a slow sender holds no transaction open."""
        who = self.allowed(request)
        if request.content_type == "application/x-ndjson":
            with tempfile.TemporaryFile() as aside:
                await _put_aside(request, aside)
                report = await self._load(from_lines(iter(lambda: aside.readline(MAX_LINE + 1), b"")), who, values)
        else:
            report = await self._load(_taken(await asked_object(request), values["name"]), who, values)
        return enveloped(request, report)

    async def _load(self, items: Iterable[Incoming], who: str, values: Asked) -> Any:
        report = await bulk.load(self._store, items, who, dry_run=values["dry_run"])
        self._feed.ring()
        return report

    def allowed(self, request: web.Request) -> str:
        """Who writes, where anybody may. Raises Answer 401 or 403."""
        who = self.who(request)
        if self._read_only:
            raise Answer(
                403, "read-only", "This server only reads. Write through one that was not started with --read-only."
            )
        return who

    async def _create(self, request: web.Request, record: Record, who: str, values: Asked) -> web.StreamResponse:
        kind = kind_of(record)
        old = (await self._store.by_id(kind, [record.id])).get(record.id)
        if old is not None and old.doc != text_of(record):
            detail = f"The {kind} '{printable(record.id, 100)}' is there already. Write it with PUT."
            raise Answer(409, "there", detail)
        return await self._put(request, record, who, values, old)

    async def _put(
        self, request: web.Request, record: Record, who: str, values: Asked, old: Stored | None
    ) -> web.StreamResponse:
        kind = kind_of(record)
        insist(request, await self._tag(kind, old) if old else None, f"The {kind} '{printable(record.id, 100)}'")
        expected = (old.revision if old else 0) if conditional(request) else None
        written = await self._store.put(
            record, who, expected=expected, dry_run=values["dry_run"], judge=insist_no_cycle
        )
        return self._answered(request, written, await self._questions.shown(record))

    async def _tag(self, kind: Kind, stored: Stored) -> str:
        """The entity tag under which GET answers it."""
        return tag(await self._questions.shown(docs.record_of(kind, wire.loads(stored.doc))))

    def _answered(
        self, request: web.Request, written: Written, shown: Any, *, new: bool | None = None
    ) -> web.StreamResponse:
        """The record as it is now, with the tag under which GET answers it."""
        self._feed.ring()
        created = written.action == "created" if new is None else new
        return enveloped(request, shown, status=201 if created else 200, headers={"ETag": f'W/"{tag(shown)}"'})


async def insist_no_cycle(record: Record, reader: Looker) -> None:
    """Raises Answer 422 when following what it needs leads back to it."""
    if not isinstance(record, CatalogModel) or not record.dependencies:
        return
    written = Stored(id=record.id, name=record.name, revision=0, doc=text_of(record))

    async def look(references: Collection[str]) -> dict[str, Stored]:
        """As it would be then: what nobody had under this name leads here."""
        found = await reader.by_reference("model", references)
        ours = {record.id, *([record.name] if found.get(record.name, written).id == record.id else [])}
        return found | dict.fromkeys(ours & set(references), written)

    followed = await follow([written], look)
    loops = [each for each in followed.cycles if record.name in each]
    if loops or {record.id, record.name} & set(record.dependencies):
        way = " → ".join(printable(each, 60) for each in (loops[0] if loops else (record.name, record.name)))
        raise Answer(422, "cycle", f"What it needs leads back to itself: {way}. Leave one of these dependencies out.")


def _taken(body: dict[str, Any], name: str | None) -> list[Incoming]:
    """Lists of records, or else a workflow of ComfyUI. Raises Answer 400 for neither."""
    try:
        return list(from_document(body, "the body"))
    except BadRecord as error:
        why = error.facts["why"]
    try:
        drawn = list(from_workflow(body, f"{name or 'the body'}.json"))
    except BadRecord:
        raise bad_body(f"The body cannot be taken: {printable(why)}.") from None
    if not name:
        raise bad_body("This is a workflow. Say what it is called: /import?name=…")
    return drawn


async def _put_aside(request: web.Request, aside: IO[bytes]) -> None:
    """The body, into a file. Raises Answer 408, 413."""
    size = 0
    while True:
        try:
            async with asyncio.timeout(PAUSE_SECONDS):
                piece = await request.content.readany()
        except TimeoutError:
            raise Answer(408, "slow-body", f"No bytes came for {PAUSE_SECONDS:.0f} s. Send it again.") from None
        if not piece:
            break
        size += len(piece)
        if size > MAX_IMPORT:
            raise Answer(413, "too-large", f"The body is larger than {MAX_IMPORT} bytes. Send it in parts.")
        aside.write(piece)
    aside.seek(0)
