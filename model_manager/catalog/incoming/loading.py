"""Files and databases of others → records on their way in, one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from model_manager.catalog.docs import model_of
from model_manager.catalog.incoming import foreign
from model_manager.catalog.incoming.bulk import load as load_all
from model_manager.catalog.incoming.drawn import from_workflow
from model_manager.catalog.incoming.findings import Incoming, Report
from model_manager.catalog.incoming.intake import incoming
from model_manager.catalog.incoming.lines import read
from model_manager.catalog.incoming.spelling import is_text
from model_manager.catalog.records import (
    CatalogCollection,
    CatalogModel,
    CatalogWorkflow,
    CustomNode,
    Kind,
    Need,
    Record,
)
from model_manager.catalog.storage.sqlite import SqliteDatabase
from model_manager.catalog.storage.store import Store
from model_manager.errors import BadPath, BadRecord
from model_manager.facts import wire
from model_manager.facts.shelf import ShelfPath

MAX_JSON: Final = 256 * 1024 * 1024
"""Bytes of one JSON document."""

MAX_LINE: Final = 1024 * 1024
"""Bytes of one line of NDJSON."""

LISTS: Final[dict[str, Kind]] = {
    "models": "model",
    "workflows": "workflow",
    "component_definitions": "workflow",
    "collections": "collection",
}
_SQLITE: Final = b"SQLite format 3\x00"


def records_in(path: Path) -> Iterator[Incoming]:
    """What a file holds: JSON, NDJSON, a workflow, a database of StableQueue or comfygit. Raises BadRecord, BadForeign for none of these."""
    with path.open("rb") as stream:
        head = stream.read(len(_SQLITE))
    if head == _SQLITE:
        yield from foreign.records(str(path))
    elif path.suffix.lower() in (".ndjson", ".jsonl"):
        with path.open("rb") as stream:
            yield from from_lines(iter(lambda: stream.readline(MAX_LINE + 1), b""))
    else:
        if path.stat().st_size > MAX_JSON:
            raise BadRecord(
                name=str(path), why=f"it is larger than {MAX_JSON} bytes; write it as NDJSON, a record a line"
            )
        yield from _from_json(path)


def _from_json(path: Path) -> Iterator[Incoming]:
    """Lists of records, or else a workflow as ComfyUI writes it."""
    data = path.read_bytes()
    try:
        document = wire.loads(data, str(path))
        records = list(from_document(document, str(path)))
    except BadRecord as error:
        try:
            drawn = list(from_workflow(wire.loads_lenient(data, str(path)), str(path)))
        except BadRecord:
            raise error from None
        yield from drawn
        return
    yield from records


def from_document(document: Any, what: str) -> Iterator[Incoming]:
    """JSON: `{"models": […], "workflows": […], "collections": […]}`, a list of models, or either as `data` in an envelope.

    Raises BadRecord for anything else.
    """
    if isinstance(document, dict) and isinstance(document.get("data"), (list, dict)):
        document = document["data"]
    if isinstance(document, list):
        document = {"models": document}
    drawn = isinstance(document, dict) and isinstance(document.get("nodes"), list)  # and may list models beside them
    if drawn or not isinstance(document, dict) or not any(isinstance(document.get(name), list) for name in LISTS):
        raise BadRecord(name=what, why="it has no list of models, workflows or collections")
    for name, kind in LISTS.items():
        for at, raw in enumerate(document.get(name) or ()):
            yield incoming(kind, raw, f"{name}[{at}]")


def from_lines(lines: Iterable[bytes]) -> Iterator[Incoming]:
    """NDJSON: a record a line; `kind` says of what, and without it is a model. Raises BadRecord for a line that is too long."""
    yield from read(_numbered(lines))


def _numbered(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE:
            raise BadRecord(name=f"line {number}", why=f"it is longer than {MAX_LINE} bytes")
        yield number, line


async def load(database: Path, records: Mapping[str, Any], *, replace: bool = False) -> Report:
    """Write plain records into an SQLite catalog as they are, dirt included: nothing is judged, mended or left out.

    Raises BadRecord for what has not even the shape of a record.
    """
    opened = SqliteDatabase(database)
    try:
        await opened.open()
        return await load_all(Store(opened), as_written(records), "load", replace_all=replace)
    finally:
        await opened.close()


def as_written(records: Mapping[str, Any]) -> list[Incoming]:
    """Records as they are. An id that is not given is the name."""
    models = [_plain_model(raw) for raw in _listed(records, "models")]
    workflows = [_plain_workflow(raw) for raw in _listed(records, "workflows")]
    collections = [_plain_collection(raw) for raw in _listed(records, "collections")]
    records_: list[Record] = [*models, *workflows, *collections]
    return [Incoming(record=record) for record in records_]


def _plain_model(raw: Mapping[str, Any]) -> CatalogModel:
    name = _text(raw, "name", "a model")
    doc: dict[str, Any] = {
        "id": raw.get("id") or name, "name": name, "version": "1", "sources": _sources(raw), "saveTo": raw.get("saveTo"),
        "fileSize": raw.get("fileSize"), "hash": raw.get("hash"), "hashes": {}, "isAuthReq": raw.get("isAuthReq", False),
        "authEnvVar": raw.get("authEnvVar"), "modelType": raw.get("modelType") or _folder(raw, name), "baseModel": "", "licence": "",
        "vramGb": None, "description": raw.get("description") or "", "dependencies": _names(raw, "dependencies"),
    }  # fmt: skip
    for key in ("id", "saveTo", "hash", "authEnvVar", "modelType", "description"):
        if doc[key] is not None and not is_text(doc[key]):
            raise BadRecord(name=name, why=f"its {key} is not text")
    if not isinstance(doc["isAuthReq"], bool):
        raise BadRecord(name=name, why="its isAuthReq is neither true nor false")
    size = doc["fileSize"]
    if (
        isinstance(size, bool)
        or not isinstance(size, (int, str, type(None)))
        or (isinstance(size, int) and not 0 <= size < 2**63)
    ):
        raise BadRecord(name=name, why="its fileSize is neither a number of bytes nor text")
    return model_of(doc)


def _folder(raw: Mapping[str, Any], name: str) -> str:
    save_to = raw.get("saveTo")
    with suppress(BadPath):
        return ShelfPath.parse(save_to if isinstance(save_to, str) else None, name).folder
    return ""


def _sources(raw: Mapping[str, Any]) -> list[str]:
    urls = [raw.get("downloadUrl"), *(raw.get("sources") or ())]
    if not all(isinstance(url, (str, type(None))) for url in urls):
        raise BadRecord(name=str(raw.get("name")), why="its downloadUrl is not text")
    return list(dict.fromkeys(url for url in urls if url))


def _plain_workflow(raw: Mapping[str, Any]) -> CatalogWorkflow:
    name = _text(raw, "name", "a workflow")
    needs = dict.fromkeys(_names(raw, "models"), True) | dict.fromkeys(_names(raw, "optional"), False)
    return CatalogWorkflow(
        id=raw.get("id") or name,
        name=name,
        description=raw.get("description") or "",
        needs=tuple(Need(model=each, required=required) for each, required in needs.items()),
        custom_nodes=tuple(
            CustomNode(name=node, install_order=at) for at, node in enumerate(_names(raw, "custom_nodes"))
        ),
    )


def _plain_collection(raw: Mapping[str, Any]) -> CatalogCollection:
    identity = _text(raw, "id", "a collection")
    return CatalogCollection(
        id=identity,
        name=raw.get("name") or identity,
        description=raw.get("description") or "",
        workflows=tuple(_names(raw, "workflows")),
    )


def _listed(records: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    items = records.get(kind, [])
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise BadRecord(name=kind, why="it is not a list of objects")
    return items


def _text(raw: Mapping[str, Any], key: str, what: str) -> str:
    value = raw.get(key)
    if not value or not is_text(value):
        raise BadRecord(name=what, why=f"it has no {key}")
    return str(value)


def _names(raw: Mapping[str, Any], key: str) -> list[str]:
    values = raw.get(key, [])
    if not isinstance(values, list | tuple) or not all(value and is_text(value) for value in values):
        raise BadRecord(name=str(raw.get("name")), why=f"its {key} is not a list of names")
    return list(dict.fromkeys(values))
