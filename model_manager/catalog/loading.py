"""Plain JSON into a catalog: `{"models": […], "workflows": […], "collections": […]}`.

    model       {"name", "id"?, "downloadUrl"?, "saveTo"?, "fileSize"?, "hash"?, "isAuthReq"?, "authEnvVar"?,
                 "modelType"?, "description"?, "dependencies"?: [id or name]}
    workflow    {"name", "id"?, "description"?, "models"?: [id or name], "optional"?: [id or name], "custom_nodes"?: [name]}
    collection  {"id", "name"?, "description"?, "workflows"?: [id or name]}

An id that is not given is the name.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeGuard

from model_manager.catalog.database import opened, query, transaction
from model_manager.catalog.records import CatalogCollection, CatalogModel, CatalogWorkflow, Member, Need
from model_manager.errors import BadPath, BadRecord
from model_manager.facts.shelf import ShelfPath


def load(database: Path, records: Mapping[str, Any], *, replace: bool = False) -> None:
    """Write these records into the catalog, all or none; a record that is there under the same id or name is replaced.

    With `replace` the catalog then holds nothing else. Raises BadRecord for a record of the wrong shape, and what
    `connect` raises. Blocks: call it in a thread.
    """
    models = tuple(_model(record) for record in _listed(records, "models"))
    workflows = tuple(_workflow(record) for record in _listed(records, "workflows"))
    collections = tuple(_collection(record) for record in _listed(records, "collections"))
    with opened(database) as connection, transaction(connection):
        writer = _Writer(connection)
        if replace:
            writer.clear()
        writer.models(models)
        writer.workflows(workflows)
        writer.collections(collections)


class _Writer:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def clear(self) -> None:
        for table in ("models", "workflows", "collections"):
            self._do(f"delete_all_{table}")

    def models(self, models: Iterable[CatalogModel]) -> None:
        for model in models:
            self._do("delete_model", id=model.id, name=model.name)
            self._do("insert_model", **_columns(model))
            self._each("insert_dependency", model.id, ({"reference": needs} for needs in model.dependencies))

    def workflows(self, workflows: Iterable[CatalogWorkflow]) -> None:
        for workflow in workflows:
            self._do("delete_workflow", id=workflow.id, name=workflow.name)
            self._do("insert_workflow", id=workflow.id, name=workflow.name, description=workflow.description)
            needs = ({"reference": need.name, "required": need.required} for need in workflow.needs)
            self._each("insert_need", workflow.id, needs)
            self._each("insert_custom_node", workflow.id, ({"reference": name} for name in workflow.custom_nodes))

    def collections(self, collections: Iterable[CatalogCollection]) -> None:
        for collection in collections:
            self._do("delete_collection", id=collection.id)
            self._do("insert_collection", id=collection.id, name=collection.name, description=collection.description)
            members = ({"reference": member.name} for member in collection.members)
            self._each("insert_collection_node", collection.id, members)

    def _do(self, name: str, /, **values: Any) -> None:
        self._connection.execute(query(name), values)

    def _each(self, name: str, owner: str, items: Iterable[dict[str, Any]]) -> None:
        for position, item in enumerate(items):
            self._do(name, owner=owner, position=position, **item)


def _columns(model: CatalogModel) -> dict[str, Any]:
    return {
        "id": model.id,
        "name": model.name,
        "download_url": model.download_url,
        "save_to": model.save_to,
        "size_bytes": model.size if isinstance(model.size, int) else None,
        "size_text": model.size if isinstance(model.size, str) else None,
        "hash": model.hash,
        "auth_required": model.auth_required,
        "auth_env_var": model.auth_env_var,
        "model_type": model.model_type,
        "description": model.description,
    }


def _model(record: Mapping[str, Any]) -> CatalogModel:
    name = _text(record, "name", "a model")
    return CatalogModel(
        id=_optional(record, "id", name) or name,
        name=name,
        download_url=_optional(record, "downloadUrl", name),
        save_to=_optional(record, "saveTo", name),
        size=_size(record, name),
        hash=_optional(record, "hash", name),
        auth_required=_flag(record, "isAuthReq", name),
        auth_env_var=_optional(record, "authEnvVar", name),
        model_type=_optional(record, "modelType", name) or _folder(record, name),
        description=_optional(record, "description", name) or "",
        dependencies=_names(record, "dependencies", name),
    )


def _workflow(record: Mapping[str, Any]) -> CatalogWorkflow:
    name = _text(record, "name", "a workflow")
    required = (Need(name=model, required=True) for model in _names(record, "models", name))
    optional = (Need(name=model, required=False) for model in _names(record, "optional", name))
    return CatalogWorkflow(
        id=_optional(record, "id", name) or name,
        name=name,
        description=_optional(record, "description", name) or "",
        needs=(*required, *optional),
        custom_nodes=_names(record, "custom_nodes", name),
    )


def _collection(record: Mapping[str, Any]) -> CatalogCollection:
    identity = _text(record, "id", "a collection")
    return CatalogCollection(
        id=identity,
        name=_optional(record, "name", identity) or identity,
        description=_optional(record, "description", identity) or "",
        members=tuple(Member(name=workflow) for workflow in _names(record, "workflows", identity)),
    )


def _listed(records: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    items = records.get(kind, [])
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise BadRecord(name=kind, why="it is not a list of objects")
    return items


def _text(record: Mapping[str, Any], key: str, what: str) -> str:
    value = _optional(record, key, what)
    if not value:
        raise BadRecord(name=what, why=f"it has no {key}")
    return value


def _optional(record: Mapping[str, Any], key: str, name: str) -> str | None:
    value = record.get(key)
    if value is None or _is_text(value):
        return value
    raise BadRecord(name=name, why=f"its {key} is not text")


def _is_text(value: object) -> TypeGuard[str]:
    """Whether it is text that UTF-8 can carry (JSON escapes can smuggle in half of a surrogate pair)."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _flag(record: Mapping[str, Any], key: str, name: str) -> bool:
    value = record.get(key, False)
    if not isinstance(value, bool):
        raise BadRecord(name=name, why=f"its {key} is neither true nor false")
    return value


def _size(record: Mapping[str, Any], name: str) -> int | str | None:
    value = record.get("fileSize")
    if value is None or _is_text(value):
        return value
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise BadRecord(name=name, why="its fileSize is neither a number of bytes nor text")
    return value


def _names(record: Mapping[str, Any], key: str, name: str) -> tuple[str, ...]:
    values = record.get(key, [])
    if not isinstance(values, list | tuple) or not all(value and _is_text(value) for value in values):
        raise BadRecord(name=name, why=f"its {key} is not a list of names")
    return tuple(dict.fromkeys(values))


def _folder(record: Mapping[str, Any], name: str) -> str:
    with suppress(BadPath):
        return ShelfPath.parse(record.get("saveTo"), name).folder
    return ""
