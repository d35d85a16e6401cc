"""Rows into records: every question that routes ask, within a transaction that is open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, CompoundSelect, Row, Select, Table, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from model_manager.catalog.records import Asked, Change, Counts, Gated, Kind, Named, Page, Position, Stored
from model_manager.catalog.storage import tables
from model_manager.catalog.storage.database import Database
from model_manager.catalog.storage.looking import Looker, Question, docs, statement
from model_manager.catalog.storage.writing import TABLES
from model_manager.facts import wire

T = TypeVar("T")

COUNTED: Final = 256
"""Sorts of records whose number is remembered."""

COUNTED_TO: Final = 10_000
"""As far as records are counted that filters let through."""

_AFTER_HEX: Final = "g"
"""Sorts behind every hex digit."""


class Totals:
    """How many records there are of a sort, for as long as nothing changes: who turns pages has them counted once."""

    def __init__(self) -> None:
        self._at: Position | None = None
        self._known: dict[object, Any] = {}

    async def of(self, at: Position, what: object, count: Callable[[], Awaitable[T]]) -> T:
        if at != self._at or len(self._known) > COUNTED:
            self._at, self._known = at, {}
        known = self._known
        if what not in known:
            known[what] = await count()
        found: T = known[what]
        return found


class Reader(Looker):
    """Asks anything of one moment of a database. `totals` only where nobody writes in the same transaction."""

    def __init__(self, database: Database, connection: AsyncConnection, totals: Totals | None = None) -> None:
        self._database = database
        self._connection = connection
        self._totals = totals

    async def position(self) -> Position:
        row = (await self._all(select(tables.catalog.c.epoch, tables.catalog.c.seq)))[0]
        return Position(epoch=row.epoch, seq=row.seq)

    async def counts(self) -> Counts:
        return await self._once("counts", self._counts)

    async def _once(self, what: object, count: Callable[[], Awaitable[T]]) -> T:
        return await (self._totals.of(await self.position(), what, count) if self._totals else count())

    async def _counts(self) -> Counts:
        numbers = [select(func.count()).select_from(table).scalar_subquery() for table in TABLES.values()]
        row: Any = (await self._all(select(*numbers)))[0]
        return Counts(models=row[0], workflows=row[1], collections=row[2])

    async def rows(self, question: Question, values: Collection[str]) -> Sequence[Sequence[Any]]:
        return await self._all(statement(question, self._database.among, values))

    async def found(self, kind: Kind, asked: Asked) -> Page[Stored]:
        """One page of what filters let through, by name."""
        wanted = self._filters(kind, asked)
        items = tuple(map(_stored, await self._all(_page(kind, asked, wanted))))
        if not asked.after and len(items) < asked.limit and (items or not asked.offset):
            return Page(items=items, total=asked.offset + len(items))  # that were all
        sort = kind, replace(asked, after="", limit=0, offset=0)
        total = await self._once(sort, lambda: self._total(kind, wanted))
        if not wanted or total <= COUNTED_TO:
            return Page(items=items, total=total)
        return Page(items=items, total=COUNTED_TO, more=True)

    async def _total(self, kind: Kind, wanted: Sequence[ColumnElement[bool]]) -> int:
        """Of what filters let through no more are counted than needed to say that there are more."""
        rows: Select[Any] = select(literal_column("1")).select_from(_looked_through(kind, wanted))
        some = rows.where(*wanted).limit(COUNTED_TO + 1) if wanted else rows
        return int((await self._all(select(func.count()).select_from(some.subquery())))[0][0])

    async def after(self, kind: Kind, identity: str, limit: int) -> tuple[Stored, ...]:
        """Records by id, from behind an id: how everything is walked through."""
        table = TABLES[kind]
        rows = await self._all(docs(kind).where(table.c.id > identity).order_by(table.c.id).limit(limit))
        return tuple(_stored(row) for row in rows)

    async def missing(self) -> Sequence[str]:
        """What workflows need and nobody has, each once."""
        need, model = tables.workflow_model.c.model, tables.model
        known = [select(literal_column("1")).where(column == need).exists() for column in (model.c.id, model.c.name)]
        return [row[0] for row in await self._all(select(need).distinct().where(~known[0], ~known[1]))]

    async def names(self, after: str, limit: int) -> list[str]:
        """Names of models in their order, from behind one."""
        name = tables.model_sought.c.name
        page = select(name).where(name > after).order_by(name).limit(limit).subquery()
        return await self._list(select(self._database.listed(page.c.name)))

    async def addresses(self, after: str, limit: int) -> tuple[str, list[str]]:
        """Addresses of all versions of the models behind an id, and the last of those: "" at the end."""
        table = tables.model_source
        page = (
            select(table.c.model_id).where(table.c.model_id > after).order_by(table.c.model_id).limit(limit).subquery()
        )
        last = (await self._all(select(func.max(page.c.model_id))))[0][0]
        if last is None:
            return "", []
        some = table.c.model_id > after, table.c.model_id <= last
        return last, await self._list(select(self._database.listed(table.c.url)).where(*some))

    async def _list(self, query: Select[Any]) -> list[str]:
        """One text in one row, for a row of each would cost more than to find it."""
        text = (await self._all(query))[0][0]
        found: list[str] = wire.loads(text) if text else []
        return found

    async def versions(self, identity: str) -> tuple[tuple[str, str], ...]:
        """(label, JSON) of every version of a model."""
        table = tables.model_version
        rows = await self._all(
            select(table.c.version, table.c.doc).where(table.c.model_id == identity).order_by(table.c.version)
        )
        return tuple((row.version, row.doc) for row in rows)

    async def version(self, identity: str, version: str) -> str | None:
        """The JSON of one version."""
        table = tables.model_version
        rows = await self._all(select(table.c.doc).where(table.c.model_id == identity, table.c.version == version))
        return str(rows[0].doc) if rows else None

    async def all_versions(self, ids: Collection[str]) -> dict[tuple[str, str], str]:
        """(id, label) → JSON of every version of these models."""
        table = tables.model_version
        rows = await self._all(
            select(table.c.model_id, table.c.version, table.c.doc).where(self._database.among(table.c.model_id, ids))
        )
        return {(row.model_id, row.version): row.doc for row in rows}

    async def current_of(self, ids: Collection[str]) -> dict[str, str]:
        """The label of the version that is answered, by id."""
        table = tables.model
        rows = await self._all(select(table.c.id, table.c.current).where(self._database.among(table.c.id, ids)))
        return {row.id: row.current for row in rows}

    async def gated(self) -> tuple[Gated, ...]:
        """Every model that needs a token, by the variable that is named for it."""
        table = tables.model_sought
        variable = table.c.auth_env_var
        groups = select(variable, func.count(), self._database.listed(table.c.name)).where(table.c.auth_required)
        return tuple(Gated._make(row) for row in await self._all(groups.group_by(variable).order_by(variable)))

    async def users(self, named: Named, limit: int = 20) -> tuple[str, ...]:
        """Who needs a model, as `workflow:name` or `model:name`; at most `limit`."""
        references = [named.id, named.name]
        need, depends = tables.workflow_model, tables.model_dependency
        flows = await self._all(
            select(tables.workflow.c.name)
            .join(need, need.c.workflow_id == tables.workflow.c.id)
            .where(need.c.model.in_(references))
            .distinct()
            .limit(limit)
        )
        models = await self._all(
            select(tables.model.c.name)
            .join(depends, depends.c.model_id == tables.model.c.id)
            .where(depends.c.needs.in_(references), tables.model.c.id != named.id)
            .distinct()
            .limit(limit)
        )
        return tuple([*(f"workflow:{row.name}" for row in flows), *(f"model:{row.name}" for row in models)][:limit])

    async def listing(self, named: Named, limit: int = 20) -> tuple[str, ...]:
        """Which collections list a workflow, as `collection:id`."""
        node = tables.collection_node
        rows = await self._all(
            select(node.c.collection_id).where(node.c.workflow.in_([named.id, named.name])).distinct().limit(limit)
        )
        return tuple(f"collection:{row.collection_id}" for row in rows)

    async def changes(self, after: int, limit: int, *, whole: bool = False) -> tuple[Change, ...]:
        """What changed after a seq, oldest first; `before` and `after` of the records only when they are asked for."""
        table = tables.change
        columns = table.c if whole else [each for each in table.c if each.name not in ("before", "after")]
        rows = await self._all(select(*columns).where(table.c.seq > after).order_by(table.c.seq).limit(limit))
        return tuple(_change(row) for row in rows)

    async def forgotten(self) -> int:
        """The seq up to which changes are not known any more; 0 when all are."""
        oldest, last = func.min(tables.change.c.seq), select(tables.catalog.c.seq).scalar_subquery()
        row: Any = (await self._all(select(oldest, last)))[0]
        return int(row[1] if row[0] is None else row[0] - 1)

    async def history(self, kind: str, identity: str, before: int, limit: int) -> tuple[Change, ...]:
        """Who changed what, newest first, before a seq; empty filters let everything through."""
        table = tables.change
        wanted: list[ColumnElement[bool]] = [table.c.seq < before]
        wanted += [table.c.kind == kind] if kind else []
        wanted += [table.c.entity == identity] if identity else []
        rows = await self._all(select(table).where(*wanted).order_by(table.c.seq.desc()).limit(limit))
        return tuple(_change(row) for row in rows)

    def _filters(self, kind: Kind, asked: Asked) -> list[ColumnElement[bool]]:
        table = tables.model_sought if kind == "model" else TABLES[kind]
        wanted = [table.c.name == asked.name] if asked.name else []
        wanted += [table.c.search.contains(asked.search.lower(), autoescape=True)] if asked.search else []
        if kind == "model":
            wanted += [table.c.type == asked.model_type] if asked.model_type else []
            wanted += [table.c.base_model == asked.base_model] if asked.base_model else []
            if asked.auth_only:  # said so that SQLite goes by name, and sorts no half of all for one page
                wanted.append(table.c.auth_required.is_not(False))
            wanted += [table.c.name.in_(_with_hash(asked.hash.lower()))] if asked.hash else []
        return wanted

    async def _all(self, query: Select[Any] | CompoundSelect[Any]) -> Sequence[Row[Any]]:
        rows: Sequence[Row[Any]] = (await self._connection.execute(query)).all()
        return rows


def _page(kind: Kind, asked: Asked, wanted: Sequence[ColumnElement[bool]]) -> Select[Any]:
    """By name. What models are filtered by lies together; their records are read of one page only."""
    table, seen = TABLES[kind], _looked_through(kind, wanted)
    behind = [seen.c.name > asked.after] if asked.after else []
    if seen is table:
        rows = docs(kind).where(*wanted, *behind).order_by(table.c.name, table.c.id)
        return rows.limit(asked.limit).offset(asked.offset)
    names = select(seen.c.name).where(*wanted, *behind).order_by(seen.c.name)
    page = names.limit(asked.limit).offset(asked.offset).subquery()
    return docs(kind).where(table.c.name.in_(select(page.c.name))).order_by(table.c.name)


def _looked_through(kind: Kind, wanted: Sequence[ColumnElement[bool]]) -> Table:
    return tables.model_sought if kind == "model" and wanted else TABLES[kind]


def _with_hash(digits: str) -> Select[Any]:
    """Models with a version that has this hash, or a longer one that begins so (AutoV2 is the begin of a SHA-256)."""
    table, model = tables.model_hash, tables.model
    ids = select(table.c.model_id).where(table.c.hex >= digits, table.c.hex < digits + _AFTER_HEX)
    return select(model.c.name).where(model.c.id.in_(ids))


def _stored(row: Row[Any]) -> Stored:
    return Stored._make(row)


def _change(row: Row[Any]) -> Change:
    return Change(
        seq=row.seq,
        at=row.at,
        who=row.who,
        action=row.action,
        kind=row.kind,
        id=row.entity,
        name=row.name,
        revision=row.revision,
        before=getattr(row, "before", None),
        after=getattr(row, "after", None),
        note=row.note,
    )
