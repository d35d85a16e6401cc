"""What the routes ask of a catalog's database. One thread per store; every answer is read in one go."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from model_manager.catalog.database import connect, query, rolled_back, translated
from model_manager.catalog.records import (
    Asked,
    CatalogCollection,
    CatalogModel,
    CatalogWorkflow,
    Counts,
    Member,
    Need,
    Page,
)
from model_manager.facts.wire import dumps

Answer = TypeVar("Answer")


class Store:
    """A catalog in SQLite.

    Methods raise CatalogUnavailable while the file is locked, BadSetting when it is damaged, Broken for a fault of ours.
    A reference that the catalog does not have is absent from the answer.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="catalog")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file, or make it, empty. Raises BadSetting when it is no catalog."""
        self._connection = await self._in_thread(lambda: connect(self._path))

    async def close(self) -> None:
        if self._connection is not None:
            await self._in_thread(self._connection.close)
        self._thread.shutdown(wait=False)

    async def counts(self) -> Counts:
        return await self._reading(lambda reader: Counts(**dict(reader.rows("counts")[0])))

    async def models(self, references: Collection[str]) -> dict[str, CatalogModel]:
        """Each reference (id or name; an id wins) with its model."""
        return await self._reading(lambda reader: reader.resolved(references))

    async def models_found(self, asked: Asked) -> Page[CatalogModel]:
        return await self._reading(lambda reader: reader.models_found(asked))

    async def gated(self) -> tuple[tuple[str, str], ...]:
        """(variable or "", model name) of every model that needs a token."""
        return await self._reading(
            lambda reader: tuple((row["auth_env_var"] or "", row["name"]) for row in reader.rows("gated_models"))
        )

    async def workflows(self, *, names: Collection[str] = (), ids: Collection[str] = ()) -> tuple[CatalogWorkflow, ...]:
        """By name or by id, once each, in the order of names."""
        return await self._reading(lambda reader: reader.workflows(names=names, ids=ids))

    async def workflows_found(self, asked: Asked) -> Page[CatalogWorkflow]:
        return await self._reading(lambda reader: reader.workflows_found(asked))

    async def collections(self, ids: Collection[str]) -> tuple[CatalogCollection, ...]:
        return await self._reading(lambda reader: reader.collections(ids))

    async def _reading(self, read: Callable[[_Reader], Answer]) -> Answer:
        def work() -> Answer:
            if self._connection is None:
                raise RuntimeError("the store is not open")
            with translated(self._path):
                self._connection.execute("BEGIN")
                try:
                    return read(_Reader(self._connection))
                finally:
                    rolled_back(self._connection)

        return await self._in_thread(work)

    async def _in_thread(self, work: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class _Reader:
    """Rows into records, inside one read transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, name: str, /, **values: Any) -> list[sqlite3.Row]:
        texts = {key: dumps(list(value)).decode() if _many(value) else value for key, value in values.items()}
        return self._connection.execute(query(name), texts).fetchall()

    def resolved(self, references: Collection[str]) -> dict[str, CatalogModel]:
        models = self._models(self.rows("models_by_reference", refs=references))
        known = {model.name: model for model in models} | {model.id: model for model in models}
        return {reference: known[reference] for reference in references if reference in known}

    def models_found(self, asked: Asked) -> Page[CatalogModel]:
        (counted,) = self.rows("models_counted", **asdict(asked))
        return Page(items=self._models(self.rows("models_found", **asdict(asked))), total=counted["total"])

    def workflows(self, *, names: Collection[str], ids: Collection[str]) -> tuple[CatalogWorkflow, ...]:
        return self._workflows(self.rows("workflows_by_reference", names=names, ids=ids))

    def workflows_found(self, asked: Asked) -> Page[CatalogWorkflow]:
        (counted,) = self.rows("workflows_counted", **asdict(asked))
        return Page(items=self._workflows(self.rows("workflows_found", **asdict(asked))), total=counted["total"])

    def collections(self, ids: Collection[str]) -> tuple[CatalogCollection, ...]:
        rows = self.rows("collections_by_id", ids=ids)
        listed = _grouped(self.rows("collection_nodes", ids=[row["id"] for row in rows]), "collection_id")
        references = {node["workflow"] for nodes in listed.values() for node in nodes}
        workflows = self.workflows(names=references, ids=references)
        known = {workflow.name: workflow for workflow in workflows} | {workflow.id: workflow for workflow in workflows}
        return tuple(
            CatalogCollection(
                **dict(row), members=tuple(_member(node["workflow"], known) for node in listed[row["id"]])
            )
            for row in rows
        )

    def _models(self, rows: list[sqlite3.Row]) -> tuple[CatalogModel, ...]:
        needs = _grouped(self.rows("dependencies", ids=[row["id"] for row in rows]), "model_id")
        return tuple(
            replace(_model(row), dependencies=tuple(need["needs"] for need in needs[row["id"]])) for row in rows
        )

    def _workflows(self, rows: list[sqlite3.Row]) -> tuple[CatalogWorkflow, ...]:
        ids = [row["id"] for row in rows]
        needs = _grouped(self.rows("needs", ids=ids), "workflow_id")
        nodes = _grouped(self.rows("custom_nodes", ids=ids), "workflow_id")
        models = self.resolved({need["model"] for group in needs.values() for need in group})
        return tuple(
            CatalogWorkflow(
                **dict(row),
                needs=tuple(_need(need, models) for need in needs[row["id"]]),
                custom_nodes=tuple(node["name"] for node in nodes[row["id"]]),
            )
            for row in rows
        )


def _many(value: object) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str)


def _grouped(rows: Iterable[sqlite3.Row], key: str) -> defaultdict[str, list[sqlite3.Row]]:
    groups: defaultdict[str, list[sqlite3.Row]] = defaultdict(list)
    for row in rows:
        groups[row[key]].append(row)
    return groups


def _model(row: sqlite3.Row) -> CatalogModel:
    return CatalogModel(
        id=row["id"],
        name=row["name"],
        download_url=row["download_url"],
        save_to=row["save_to"],
        size=row["size_text"] if row["size_bytes"] is None else row["size_bytes"],
        hash=row["hash"],
        auth_required=bool(row["auth_required"]),
        auth_env_var=row["auth_env_var"],
        model_type=row["model_type"],
        description=row["description"],
    )


def _need(row: sqlite3.Row, models: dict[str, CatalogModel]) -> Need:
    model = models.get(row["model"])
    return Need(name=model.name if model else row["model"], required=bool(row["is_required"]), model=model)


def _member(reference: str, workflows: dict[str, CatalogWorkflow]) -> Member:
    workflow = workflows.get(reference)
    return Member(name=workflow.name if workflow else reference, workflow=workflow)
