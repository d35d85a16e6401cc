"""A catalog: what may be asked of it, and what may be written. Every answer is of one moment; every write is whole or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from model_manager.catalog import docs
from model_manager.catalog.records import (
    Action,
    Asked,
    CatalogModel,
    Change,
    Counts,
    Gated,
    Kind,
    Named,
    Page,
    Position,
    Record,
    Stored,
    Written,
)
from model_manager.catalog.storage import writing
from model_manager.catalog.storage.database import Database
from model_manager.catalog.storage.looking import By, Joined, Looker, Question
from model_manager.catalog.storage.reading import Reader, Totals
from model_manager.errors import CatalogChanged, CatalogConflict, NotFound
from model_manager.facts import wire

T = TypeVar("T")

Judge = Callable[[Record, Reader], Awaitable[None]]
"""Raises when a record must not be written."""

KINDS: Final[tuple[Kind, ...]] = ("model", "workflow", "collection")
WALK: Final = 1000
"""Records that are read at once when everything is walked through."""


class Store:
    """A reference that the catalog does not have is absent from an answer. Raises CatalogUnavailable while the database is away.

    Writes raise CatalogConflict for a name that another record has, CatalogChanged when the record is not of the `expected`
    revision (0: it must not be there). `who` is noted beside each change.
    """

    def __init__(self, database: Database, now: Callable[[], str] | None = None, *, kept: int = writing.KEPT) -> None:
        """`now` gives ISO 8601 UTC; `kept` is how many changes the trail and the feed go back."""
        self.kept = kept
        self.database = database
        self.now = now or _utc
        self._looker = _Once(database)
        self._totals = Totals()
        self._asked_by: By = "name"  # who asks next asks as the last one did, mostly

    async def counts(self) -> Counts:
        return await self._read(lambda reader: reader.counts())

    async def position(self) -> Position:
        return await self._read(lambda reader: reader.position())

    async def by_reference(self, kind: Kind, references: Collection[str]) -> dict[str, Stored]:
        return await self._looker.by_reference(kind, references)

    async def texts(self, kind: Kind, references: Sequence[str]) -> tuple[str, list[str]]:
        """The JSON of what these lead to, with commas between, and those that lead nowhere."""
        docs, absent, self._asked_by = await self._looker.texts(kind, references, self._asked_by)
        return docs, absent

    async def by_id(self, kind: Kind, ids: Collection[str]) -> dict[str, Stored]:
        return await self._looker.by_id(kind, ids)

    async def by_name(self, kind: Kind, names: Collection[str]) -> dict[str, Stored]:
        return await self._looker.by_name(kind, names)

    async def found(self, kind: Kind, asked: Asked) -> Page[Stored]:
        return await self._read(lambda reader: reader.found(kind, asked))

    async def versions(self, identity: str) -> tuple[tuple[str, str], ...]:
        return await self._read(lambda reader: reader.versions(identity))

    async def version(self, identity: str, version: str) -> str | None:
        return await self._read(lambda reader: reader.version(identity, version))

    async def gated(self) -> tuple[Gated, ...]:
        return await self._read(lambda reader: reader.gated())

    async def named(self, kind: Kind, references: Collection[str]) -> dict[str, Named]:
        return await self._looker.named(kind, references)

    async def changes(self, after: int, limit: int) -> tuple[Position, tuple[Change, ...]]:
        """What changed after a seq, and where the feed is: of one moment."""
        async with self.reading() as reader:
            return await reader.position(), await reader.changes(after, limit)

    async def forgotten(self) -> int:
        return await self._read(lambda reader: reader.forgotten())

    async def history(self, kind: str, identity: str, before: int, limit: int) -> tuple[Change, ...]:
        return await self._read(lambda reader: reader.history(kind, identity, before, limit))

    async def missing(self) -> Sequence[str]:
        """What workflows need and nobody has."""
        return await self._read(lambda reader: reader.missing())

    async def names(self) -> AsyncIterator[Sequence[str]]:
        """Of all models, in their order, page by page."""
        last = ""
        while page := await self._read(lambda reader, last=last: reader.names(last, WALK)):  # type: ignore[misc]
            yield page
            last = page[-1]

    async def addresses(self) -> AsyncIterator[Sequence[str]]:
        """Of all versions of all models, page by page."""
        last = ""
        while True:
            last, page = await self._read(lambda reader, last=last: reader.addresses(last, WALK))  # type: ignore[misc]
            if not last:
                break
            yield page

    async def walk(self, kind: Kind) -> AsyncIterator[Stored]:
        """Everything, by id. What is written meanwhile may or may not be among it."""
        last = ""
        while page := await self._read(lambda reader, last=last: reader.after(kind, last, WALK)):  # type: ignore[misc]
            for stored in page:
                yield stored
            last = page[-1].id

    async def put(
        self,
        record: Record,
        who: str,
        *,
        expected: int | None = None,
        current: bool = True,
        note: str = "",
        dry_run: bool = False,
        judge: Judge | None = None,
    ) -> Written:
        """Write a record whole; nothing happens when it is like that already. `current`: the version is answered from now on.

        A dry run only says what would happen. `judge` may refuse it, and sees what no other writer changes meanwhile.
        """
        kind = docs.kind_of(record)
        async with self.transaction() as (reader, connection, seq):
            if judge is not None:
                await judge(record, reader)
            old = (await reader.by_id(kind, [record.id])).get(record.id)
            _insist(kind, record.name, old, expected)
            await _insist_free(reader, kind, record)
            shown = current or old is None or await _answered(reader, record)
            before = await _before(reader, record, old)
            put = writing.text_put(record, old.revision + 1 if old else 1, self.now(), current=shown)
            stored = Stored(id=record.id, name=record.name, revision=put.revision, doc=put.text)
            if old and before == put.text and (not shown or await _answered(reader, record)):
                return Written(stored=old, action=None)
            action: Action = "replaced" if old else "created"
            if dry_run:
                return Written(stored=stored, action=action)
            await writing.put(connection, [put])
            change = _change(seq + 1, put.at, who, action, kind, stored, before=before, after=put.text, note=note)
            await writing.tell(connection, [change], self.kept)
        return Written(stored=stored, action=action)

    async def delete(
        self,
        kind: Kind,
        identity: str,
        who: str,
        *,
        expected: int | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> None:
        """Raises NotFound, and CatalogConflict while others refer to it, unless it is forced."""
        async with self.transaction() as (reader, connection, seq):
            old = await _there(reader, kind, identity)
            _insist(kind, old.name, old, expected)
            users = await _users(reader, kind, old)
            if users and not force:
                why = f"it is needed by {', '.join(users[:5])}{' and others' if len(users) > 5 else ''}"
                raise CatalogConflict(kind=kind, name=old.name, why=why, fix="Change those first, or say force=true.")
            if dry_run:
                return
            await writing.remove(connection, kind, identity)
            change = _change(seq + 1, self.now(), who, "deleted", kind, old, before=old.doc)
            await writing.tell(connection, [change], self.kept)

    async def make_current(
        self,
        identity: str,
        version: str,
        who: str,
        *,
        expected: int | None = None,
        dry_run: bool = False,
        judge: Judge | None = None,
    ) -> Written:
        """Answer this version of a model from now on. Raises NotFound."""
        doc = await self.version(identity, version)
        if doc is None:
            raise NotFound(where="the catalog", name=f"{identity}, version {version}")
        note = f"version {version} is the current one"
        record = docs.model_of(wire.loads(doc))
        return await self.put(record, who, expected=expected, note=note, dry_run=dry_run, judge=judge)

    async def delete_version(
        self, identity: str, version: str, who: str, *, expected: int | None = None, dry_run: bool = False
    ) -> None:
        """Raises NotFound, CatalogConflict for the version that is answered."""
        async with self.transaction() as (reader, connection, seq):
            old = await _there(reader, "model", identity)
            _insist("model", old.name, old, expected)
            doc = await reader.version(identity, version)
            if doc is None:
                raise NotFound(where="the catalog", name=f"{identity}, version {version}")
            if (await reader.current_of([identity]))[identity] == version:
                raise CatalogConflict(
                    kind="model", name=old.name, why=f"version {version} is the current one", fix="Make another one current first."
                )  # fmt: skip
            if dry_run:
                return
            await writing.remove_version(connection, identity, version)
            note = f"version {version}"
            change = _change(seq + 1, self.now(), who, "deleted", "model", old, before=doc, note=note)
            await writing.tell(connection, [change], self.kept)

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[Looker]:
        """Several of the questions that are asked most, of one moment."""
        async with self.database.looking() as looker:
            yield looker

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reader]:
        """Several questions of one moment."""
        async with self.database.reading() as connection:
            yield Reader(self.database, connection, self._totals)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[tuple[Reader, AsyncConnection, int]]:
        """A transaction for writing, and the seq of the last change."""
        async with self.database.writing() as connection:
            seq = await writing.lock(connection)
            yield Reader(self.database, connection), connection, seq

    async def _read(self, ask: Callable[[Reader], Awaitable[T]]) -> T:
        async with self.reading() as reader:
            return await ask(reader)


class _Once(Looker):
    """Each question of a moment of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rows(self, question: Question, values: Collection[str]) -> Sequence[Sequence[Any]]:
        return await self._database.rows(question, values)

    async def joined(self, kind: Kind, by: By, values: Collection[str]) -> Joined:
        return await self._database.joined(kind, by, values)


async def _there(reader: Reader, kind: Kind, identity: str) -> Stored:
    found = (await reader.by_id(kind, [identity])).get(identity)
    if found is None:
        raise NotFound(where="the catalog", name=identity)
    return found


def _insist(kind: Kind, name: str, old: Stored | None, expected: int | None) -> None:
    if expected is not None and (old.revision if old else 0) != expected:
        raise CatalogChanged(kind=kind, name=name)


async def _insist_free(reader: Reader, kind: Kind, record: Record) -> None:
    """A name belongs to one record; collections may share theirs, for they go by id."""
    if kind == "collection":
        return
    other = (await reader.by_name(kind, [record.name])).get(record.name)
    if other and other.id != record.id:
        why = f"'{other.id}' has this name"
        raise CatalogConflict(kind=kind, name=record.name, why=why, fix="Give it another name, or change that one.")


async def _before(reader: Reader, record: Record, old: Stored | None) -> str | None:
    """What stood where the record goes."""
    if isinstance(record, CatalogModel):
        return await reader.version(record.id, record.version)
    return old.doc if old else None


async def _answered(reader: Reader, record: Record) -> bool:
    """Whether it is the version that is answered, of a record that is there."""
    if not isinstance(record, CatalogModel):
        return True
    return (await reader.current_of([record.id]))[record.id] == record.version


async def _users(reader: Reader, kind: Kind, stored: Stored) -> tuple[str, ...]:
    named = Named(id=stored.id, name=stored.name)
    if kind == "model":
        return await reader.users(named)
    return await reader.listing(named) if kind == "workflow" else ()


def _change(
    seq: int, at: str, who: str, action: Action, kind: Kind, stored: Stored, *,
    before: str | None = None, after: str | None = None, note: str = "",
) -> Change:  # fmt: skip
    return Change(
        seq=seq, at=at, who=who, action=action, kind=kind, id=stored.id, name=stored.name, revision=stored.revision,
        before=before, after=after, note=note,
    )  # fmt: skip


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
