"""Many records at once, in transactions of thousands: all that can be used, or with a dry run none."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from model_manager.catalog import docs
from model_manager.catalog.incoming.findings import SHOWN, Finding, Incoming, Report, found
from model_manager.catalog.incoming.intake import placed
from model_manager.catalog.records import FIRST_VERSION, Action, CatalogModel, Change, Kind, Named, Record, Stored
from model_manager.catalog.storage import writing
from model_manager.catalog.storage.looking import Question
from model_manager.catalog.storage.reading import Reader
from model_manager.catalog.storage.store import Store
from model_manager.catalog.storage.writing import Put
from model_manager.errors import BadPath

CHUNK: Final = 500
"""Records that are written together; whoever asks meanwhile waits for no more than their making."""

PART: Final = 5000
"""Records of one transaction, after which other writers have their turn."""

PAUSE_SECONDS: Final = 0.03
"""Between two transactions, so that writers of other processes find the door open; SQLite has no queue for them."""

TOLD: Final = 1000
"""Changes that are told one by one; more are told as one that says that anything may have changed."""


class _Undone(Exception):
    """Ends a dry run's transaction."""


async def load(
    store: Store, items: Iterable[Incoming], who: str, *, replace_all: bool = False, dry_run: bool = False
) -> Report:
    """Write what came in; a record that is there under the same id or name is replaced. `replace_all` forgets the rest first.

    Every PART is written whole or not at all; with `replace_all` all of it is. What was written stays when a later part fails,
    and is passed over when the import is repeated. A dry run does all of it, and undoes it.
    """
    bulk = _Bulk(store.now(), store.kept)
    size = sys.maxsize if replace_all or dry_run else PART
    with _drawn(items) as draw:
        chunk = await draw()
        while chunk or not bulk.parts:
            with suppress(_Undone):
                async with store.transaction() as (reader, connection, seq):
                    await bulk.begin(reader, connection, seq, emptied=replace_all)
                    coming = await bulk.fill(chunk, draw, size)
                    await bulk.tell(who)
                    if dry_run:
                        raise _Undone
            chunk = await coming if coming else []
            await asyncio.sleep(PAUSE_SECONDS if chunk else 0)
    return bulk.report(dry_run)


Draw = Callable[[], Awaitable[list[Incoming]]]


@contextmanager
def _drawn(items: Iterable[Incoming]) -> Iterator[Draw]:
    """The next CHUNK, from now on: records are read and judged on one thread beside the loop."""
    rest = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="import") as aside:
        loop = asyncio.get_running_loop()
        try:
            yield lambda: loop.run_in_executor(aside, lambda: list(islice(rest, CHUNK)))
        finally:
            aside.submit(getattr(rest, "close", lambda: None)).result()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the catalog has under the ids and names of some records."""

    by_name: dict[str, Named]
    by_id: dict[str, Stored]
    current: dict[str, str]
    versions: dict[tuple[str, str], str]


class _Bulk:
    def __init__(self, at: str, kept: int) -> None:
        self._at, self._kept = at, kept
        self._reader: Reader
        self._connection: AsyncConnection
        self.parts = 0
        self._filled = 0
        self._seq = 0
        self._alone = False
        self._emptied = False
        self._seen: set[int] = set()
        self._folded: set[int] = set()
        self._slots: set[int] = set()
        self._findings: list[Finding] = []
        self._changes: list[Change] = []
        self._before: dict[str, int] = {}
        self._counts = {"created": 0, "replaced": 0, "unchanged": 0, "left out": 0}
        self._found = 0

    async def begin(self, reader: Reader, connection: AsyncConnection, seq: int, *, emptied: bool) -> None:
        """A transaction, which sees the seq of the last change. `emptied`: all else is forgotten first."""
        self._reader, self._connection = reader, connection
        if emptied:
            await writing.clear(connection)
        ours = self._alone and self._seq == seq
        self._alone = ours if self.parts else (await reader.counts()).empty
        self._seq, self._emptied = seq, emptied
        self.parts += 1
        self._filled = 0
        self._changes = []
        self._before = dict(self._counts)

    async def fill(self, chunk: list[Incoming], draw: Draw, size: int) -> Awaitable[list[Incoming]] | None:
        """Add what comes until there are `size` records: the next ones are on their way then. None when there are no more."""
        while chunk:
            coming = draw()
            await self.add(chunk)
            if self._filled >= size:
                return coming
            chunk = await coming
        return None

    async def add(self, items: Sequence[Incoming]) -> None:
        self._filled += len(items)
        for item in items:
            self._note(item.findings)
            self._counts["left out"] += item.record is None
        for kind in ("model", "workflow", "collection"):
            ours = [each for each in items if each.record is not None and docs.kind_of(each.record) == kind]
            for together in _rounds(ours):
                await self._write(kind, together)

    async def tell(self, who: str) -> None:
        """One by one, or as a whole when there were many."""
        created, replaced = (self._counts[each] - self._before[each] for each in ("created", "replaced"))
        seq = self._seq
        if created + replaced > TOLD or self._emptied:
            note = f"{created} created, {replaced} replaced"
            note += ", all else forgotten" if self._emptied else ""
            self._seq = seq + 1
            whole = Change(
                seq=seq + 1, at=self._at, who=who, action="imported", kind="catalog", id="", name="", revision=0, note=note
            )  # fmt: skip
            await writing.tell(self._connection, [whole], self._kept)
        elif created + replaced:
            self._seq = seq + len(self._changes)
            numbered = [replace(each, seq=seq + 1 + at, who=who) for at, each in enumerate(self._changes)]
            await writing.tell(self._connection, numbered, self._kept)

    def report(self, dry_run: bool) -> Report:
        return Report(
            dry_run=dry_run,
            created=self._counts["created"],
            replaced=self._counts["replaced"],
            unchanged=self._counts["unchanged"],
            left_out=self._counts["left out"],
            findings_total=self._found,
            findings=tuple(self._findings),
        )

    async def _write(self, kind: Kind, items: list[Incoming]) -> None:
        known = await self._known(kind, [each.record for each in items if each.record])
        puts = [put for item in items if (put := self._put(kind, item, known))]
        await writing.put(self._connection, puts)

    async def _known(self, kind: Kind, records: Sequence[Record]) -> _Known:
        records = [each for each in records if self._may_be_there(kind, each)]
        if not records:
            return _Known(by_name={}, by_id={}, current={}, versions={})
        by_name: dict[str, Named] = {}
        if kind != "collection":
            rows = await self._reader.rows(Question(kind, "name", False), {each.name for each in records})
            by_name = {row[1]: Named(*row) for row in rows}
        ids = {each.id or _identity(each, by_name) for each in records}
        by_id = await self._reader.by_id(kind, ids)
        if kind != "model" or not by_id:
            return _Known(by_name=by_name, by_id=by_id, current={}, versions={})
        current = await self._reader.current_of(by_id)
        return _Known(by_name=by_name, by_id=by_id, current=current, versions=await self._reader.all_versions(by_id))

    def _may_be_there(self, kind: Kind, record: Record) -> bool:
        """A catalog that was empty, and that nobody else wrote to, has only what we saw."""
        keys = (_id_key(kind, record.id or record.name), _name_key(kind, record.name))
        return not self._alone or any(hash(key) in self._seen for key in keys)

    def _put(self, kind: Kind, item: Incoming, known: _Known) -> Put | None:
        """What is to be written of one record; None for what is there already or cannot be."""
        record = _resolved(item.record, known)
        holder = known.by_name.get(record.name)
        key = f"{_id_key(kind, record.id)}\0{record.version if isinstance(record, CatalogModel) else ''}"
        name = _name_key(kind, record.name)
        if holder and holder.id != record.id:
            self._leave_out(record, f"its name is that of '{holder.id}'")
            return None
        if hash(key) in self._seen or (known.by_id.get(record.id) is None and hash(name) in self._seen):
            self._leave_out(record, "it is described twice; the first one stays")
            return None
        self._seen.update(map(hash, (key, _id_key(kind, record.id), *([name] if kind != "collection" else []))))
        if isinstance(record, CatalogModel):
            self._see_clashes(record, item.slot)
        return self._changed(kind, record, item, known)

    def _changed(self, kind: Kind, record: Record, item: Incoming, known: _Known) -> Put | None:
        old = known.by_id.get(record.id)
        before = old.doc if old else None
        if isinstance(record, CatalogModel):
            before = known.versions.get((record.id, record.version))
        answered = isinstance(record, CatalogModel) and known.current.get(record.id) == record.version
        current = item.current or old is None or answered
        put = writing.text_put(record, old.revision + 1 if old else 1, self._at, current=current)
        shown = not isinstance(record, CatalogModel) or not current or answered
        if old and before == put.text and shown:
            self._counts["unchanged"] += 1
            return None
        action: Action = "replaced" if old else "created"
        self._counts[action] += 1
        if len(self._changes) <= TOLD:
            change = Change(
                seq=0, at=self._at, who="", action=action, kind=kind, id=record.id, name=record.name, revision=put.revision,
                before=before, after=put.text, note="import",
            )  # fmt: skip
            self._changes.append(change)
        return put

    def _see_clashes(self, record: CatalogModel, place: tuple[str, str] | None) -> None:
        """Names and places that only some file systems tell apart."""
        folded = hash((record.name.casefold(), record.version))
        if folded in self._folded:
            self._note([found(record.name, "its name differs from another one only in case", "kept")])
        self._folded.add(folded)
        try:
            slot = hash((place or placed(record.save_to, record.name).slot, record.version))
        except BadPath:
            return
        if slot in self._slots:
            self._note([found(record.name, "another model goes to the same place", "kept")])
        self._slots.add(slot)

    def _leave_out(self, record: Record, why: str) -> None:
        self._counts["left out"] += 1
        self._note([found(record.name, why, "left out")])

    def _note(self, findings: Iterable[Finding]) -> None:
        for each in findings:
            self._found += 1
            if len(self._findings) < SHOWN:
                self._findings.append(each)


def _id_key(kind: Kind, identity: str) -> str:
    return f"i{kind}\0{identity}"


def _name_key(kind: Kind, name: str) -> str:
    return f"n{kind}\0{name}"


def _rounds(items: list[Incoming]) -> Iterator[list[Incoming]]:
    """The same items in lists in which no id and no name is twice: each list can be written at once."""
    while items:
        taken: set[str] = set()
        now: list[Incoming] = []
        later: list[Incoming] = []
        for item in items:
            record = item.record
            keys = (
                {f"i{record.id}", f"n{record.name}"} if record and record.id else {f"n{record.name if record else ''}"}
            )
            (later if keys & taken else now).append(item)
            taken |= keys
        yield now
        items = later


def _identity(record: Record, by_name: dict[str, Named]) -> str:
    holder = by_name.get(record.name)
    return holder.id if holder else record.name


def _resolved(record: Record | None, known: _Known) -> Record:
    """With its id, and a model with its version."""
    if record is None:
        raise TypeError("an item without a record")
    if record.id and not (isinstance(record, CatalogModel) and not record.version):
        return record
    identity = record.id or _identity(record, known.by_name)
    if isinstance(record, CatalogModel):
        return replace(record, id=identity, version=record.version or known.current.get(identity, FIRST_VERSION))
    return replace(record, id=identity)
