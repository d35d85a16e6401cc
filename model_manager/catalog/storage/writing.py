"""The only place where rows of the catalog change: whole records in, within a transaction that is open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Table, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from model_manager.catalog import docs
from model_manager.catalog.records import CatalogCollection, CatalogModel, CatalogWorkflow, Change, Kind, Record
from model_manager.catalog.storage import tables
from model_manager.facts.identity import Pin

TABLES: Final[dict[Kind, Table]] = {
    "model": tables.model,
    "workflow": tables.workflow,
    "collection": tables.collection,
}

KEPT: Final = 100_000
"""Changes that the trail and the feed go back, unless somebody says otherwise; whoever left the feed before that reads everything
anew."""

SWEEP: Final = 100
"""Changes after which older ones are looked for."""

MANY: Final = 50
"""Rows from which on it pays to write them together."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """A record on its way in: `text` is its JSON, `revision` its new one, 1 for what is new. `current`: whether this version of a
    model is answered from now on; it must be of the one that is answered already."""

    record: Record
    text: str
    revision: int
    at: str
    current: bool = True


async def lock(connection: AsyncConnection) -> int:
    """The seq of the last change. Whoever writes comes here first, so that changes are numbered as they are committed."""
    row = await connection.execute(select(tables.catalog.c.seq).with_for_update())
    return int(row.scalar_one())


async def put(connection: AsyncConnection, puts: Sequence[Put]) -> None:
    """Write records, each id once. Names must be free."""
    await _models(connection, [each for each in puts if isinstance(each.record, CatalogModel)])
    await _workflows(connection, [each for each in puts if isinstance(each.record, CatalogWorkflow)])
    await _collections(connection, [each for each in puts if isinstance(each.record, CatalogCollection)])


async def remove(connection: AsyncConnection, kind: Kind, identity: str) -> None:
    table = TABLES[kind]
    await connection.execute(delete(table).where(table.c.id == identity))


async def remove_version(connection: AsyncConnection, identity: str, version: str) -> None:
    table = tables.model_version
    await connection.execute(delete(table).where(table.c.model_id == identity, table.c.version == version))


async def clear(connection: AsyncConnection) -> None:
    """Forget everything but who changed what."""
    for table in TABLES.values():
        await connection.execute(delete(table))


async def tell(connection: AsyncConnection, changes: Sequence[Change], kept: int = KEPT) -> None:
    """Note changes; their numbers go on where `lock` said. Of older ones, so many are kept."""
    if not changes:
        return
    rows = [
        {
            "seq": each.seq,
            "at": each.at,
            "who": each.who,
            "action": each.action,
            "kind": each.kind,
            "entity": each.id,
            "name": each.name,
            "revision": each.revision,
            "before": each.before,
            "after": each.after,
            "note": each.note,
        }
        for each in changes
    ]
    await connection.execute(insert(tables.change), rows)
    last = changes[-1].seq
    await connection.execute(update(tables.catalog).values(seq=last))
    if last // SWEEP > (changes[0].seq - 1) // SWEEP:
        await connection.execute(delete(tables.change).where(tables.change.c.seq <= last - kept))


async def _models(connection: AsyncConnection, puts: list[Put]) -> None:
    old = [each for each in puts if each.revision > 1]
    table = tables.model
    this = table.c.id == bindparam("b_id")
    aging: dict[str, Any] = {"revision": bindparam("b_revision"), "changed_at": bindparam("b_changed_at")}
    naming = aging | {key: bindparam(f"b_{key}") for key in ("name", "current", "doc")}
    await _insert(connection, table, [_model_row(each) for each in puts if each.revision == 1])
    await _insert(connection, tables.model_sought, [_sought(each) for each in puts if each.revision == 1])
    shown = [each for each in old if each.current]
    await _each(connection, update(table).where(this).values(naming), [_bound(_model_row(each)) for each in shown])
    hidden = [_bound(_model_row(each)) for each in old if not each.current]
    await _each(connection, update(table).where(this).values(aging), hidden)
    sought = tables.model_sought
    values: dict[str, Any] = {
        column.name: bindparam(f"b_{column.name}") for column in sought.c if column.name != "name"
    }
    called = update(sought).where(sought.c.name == bindparam("b_name")).values(values)  # its name went with the model's
    await _each(connection, called, [_bound(_sought(each)) for each in shown])
    version = tables.model_version
    gone = delete(version).where(version.c.model_id == bindparam("b_id"), version.c.version == bindparam("b_version"))
    versions = [_version(each) for each in puts]
    replaced = [(each.record, each.revision) for each in puts]
    await _each(
        connection,
        gone,
        [{"b_id": r.id, "b_version": r.version} for r, n in replaced if n > 1 and isinstance(r, CatalogModel)],
    )
    await _insert(connection, version, versions)
    models = [each.record for each in puts if isinstance(each.record, CatalogModel)]
    await _insert(connection, tables.model_source, [row for model in models for row in _sources(model)])
    await _insert(connection, tables.model_hash, [row for model in models for row in _hashes(model)])
    await _insert(connection, tables.model_dependency, [row for model in models for row in _needs(model)])


async def _workflows(connection: AsyncConnection, puts: list[Put]) -> None:
    await _replace(connection, tables.workflow, puts)
    workflows = [each.record for each in puts if isinstance(each.record, CatalogWorkflow)]
    needs = [
        {"workflow_id": record.id, "position": at, "model": need.model, "is_required": need.required}
        for record in workflows
        for at, need in enumerate(record.needs)
    ]
    nodes = [
        {
            "workflow_id": record.id,
            "position": at,
            "name": node.name,
            "repository_url": node.repository_url,
            "install_order": node.install_order,
        }
        for record in workflows
        for at, node in enumerate(record.custom_nodes)
    ]
    await _insert(connection, tables.workflow_model, needs)
    await _insert(connection, tables.workflow_custom_node, nodes)


async def _collections(connection: AsyncConnection, puts: list[Put]) -> None:
    await _replace(connection, tables.collection, puts)
    nodes = [
        {"collection_id": each.record.id, "position": at, "workflow": name}
        for each in puts
        if isinstance(each.record, CatalogCollection)
        for at, name in enumerate(each.record.workflows)
    ]
    await _insert(connection, tables.collection_node, nodes)


async def _replace(connection: AsyncConnection, table: Table, puts: list[Put]) -> None:
    """What hangs on the old row goes with it."""
    old = [{"b_id": each.record.id} for each in puts if each.revision > 1]
    await _each(connection, delete(table).where(table.c.id == bindparam("b_id")), old)
    rows = [
        {
            "id": each.record.id,
            "name": each.record.name,
            "revision": each.revision,
            "changed_at": each.at,
            "doc": each.text,
            "search": _search(each.record),
        }
        for each in puts
    ]
    await _insert(connection, table, rows)


async def _insert(connection: AsyncConnection, table: Table, rows: Rows) -> None:
    """Many rows go past the layer that reads each of them for its type: they are texts, numbers and truths."""
    if len(rows) < MANY:
        await _each(connection, insert(table), rows)
        return
    columns = [column.name for column in table.columns]
    plain = list(map(itemgetter(*columns), rows))
    if connection.dialect.name == "postgresql":
        driver = (await connection.get_raw_connection()).driver_connection
        await driver.copy_records_to_table(table.name, records=plain, columns=columns)  # type: ignore[union-attr]
    else:
        places = ", ".join("?" * len(columns))
        named = ", ".join(f'"{column}"' for column in columns)
        await connection.exec_driver_sql(f'INSERT INTO "{table.name}" ({named}) VALUES ({places})', plain)  # noqa: S608


async def _each(connection: AsyncConnection, statement: Any, rows: Rows) -> None:
    if rows:
        await connection.execute(statement, rows)


def _model_row(put: Put) -> dict[str, Any]:
    record = put.record
    return {
        "id": record.id, "name": record.name, "current": _label(record), "revision": put.revision, "changed_at": put.at,
        "doc": put.text,
    }  # fmt: skip


def _version(put: Put) -> dict[str, Any]:
    record = put.record
    if not isinstance(record, CatalogModel):
        raise TypeError(type(record).__name__)
    return {"model_id": record.id, "version": record.version, "doc": put.text}


def _sought(put: Put) -> dict[str, Any]:
    record = put.record
    if not isinstance(record, CatalogModel):
        raise TypeError(type(record).__name__)
    return {
        "name": record.name,
        "type": record.model_type,
        "base_model": record.base_model,
        "auth_required": record.auth_required,
        "auth_env_var": record.auth_env_var or "",
        "search": _search(record),
    }


def _bound(row: dict[str, Any]) -> dict[str, Any]:
    """The row as values of a statement that changes others."""
    return {f"b_{key}": value for key, value in row.items()}


def _label(record: Record) -> str:
    return record.version if isinstance(record, CatalogModel) else ""


def _sources(record: CatalogModel) -> Iterable[dict[str, Any]]:
    for at, url in enumerate(record.sources):
        yield {"model_id": record.id, "version": record.version, "position": at, "url": url}


def _hashes(record: CatalogModel) -> Iterable[dict[str, Any]]:
    """Those that are hashes; anything else stands in the record as it was written, and is never looked for."""
    for algorithm, digits in hashes_of(record):
        yield {"model_id": record.id, "version": record.version, "algorithm": algorithm, "hex": digits}


def hashes_of(record: CatalogModel) -> set[tuple[str, str]]:
    """(algorithm, hex); of a hash that does not say, every algorithm it can be: `sha256|blake3`."""
    pins = [Pin.parse(record.hash), *(Pin.parse(f"{name}:{digits}") for name, digits in record.hashes)]
    return {("|".join(pin.algorithms), pin.hex) for pin in pins if pin}


def _needs(record: CatalogModel) -> Iterable[dict[str, Any]]:
    for at, need in enumerate(record.dependencies):
        yield {"model_id": record.id, "version": record.version, "position": at, "needs": need}


def _search(record: Record) -> str:
    return f"{record.name}\n{record.description}".lower()


def text_put(record: Record, revision: int, at: str, *, current: bool = True) -> Put:
    """A Put with the record's JSON."""
    return Put(record=record, text=docs.text_of(record), revision=revision, at=at, current=current)
