"""A catalog's dirty JSON → records. Every spelling that the EmProps APIs use is read; nothing is guessed beyond that."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from model_manager.errors import BadAssignment, BadPath, BadRecord, printable
from model_manager.facts import wire
from model_manager.facts.identity import TOKEN_NAMES, Pin, TokenName
from model_manager.facts.model import Assignment, CollectionRecord, Model, Size, Source, WorkflowRecord
from model_manager.facts.shelf import ShelfPath

MAX_NAMES: Final = 10_000
"""Models of one workflow, workflows of one collection, dependencies of one model, names of one part of an assignment."""

MAX_SOURCES: Final = 32
"""Addresses of one model."""

_NAME: Final = ("name", "filename")
_URL: Final = ("downloadUrl", "url", "download_url")
_PATH: Final = ("saveTo", "save_path", "save_to")
_GATED: Final = ("isAuthReq", "is_auth_req", "auth_required")
_TOKEN: Final = ("authEnvVar", "auth_env_var", "auth_provider")
_SIZE: Final = ("fileSize", "size", "file_size")
_RELATIONS: Final = ("workflow_model", "workflow_models", "component_definition_model", "component_definition_models")
_NODES: Final = ("collection_node", "collection_nodes", "components")
_WORKFLOW: Final = ("workflow_name", "component_name", "component_definition_name", "name")
_WORKFLOW_ID: Final = ("workflow_id", "component_definition_id", "component_id", "id")

_SIZED = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(?:([KMGT])(I?)B?|B(?:YTES)?)?", re.IGNORECASE)
_POWER: Final = {"K": 1, "M": 2, "G": 3, "T": 4}
_TOKEN_QUERY = re.compile(r"token=", re.IGNORECASE)
_LARGEST: Final = 2**53

ASSIGNED: Final = ("workflows", "collections", "components", "models")

MAX_NAME: Final = 512
"""Characters of a name in an assignment."""


def model_record(record: object, asked: str) -> Model:
    """The model in one record. Raises BadRecord when it cannot be fetched, placed or told apart as described."""
    fields = _object(record, asked)
    name = _text(fields, _NAME, asked, "name")
    if not name:
        raise BadRecord(name=asked, why="it has no name")
    token, gated = _authorization(fields)
    return Model(
        name=name,
        path=_path(_text(fields, _PATH, name, "saveTo"), name),
        sources=tuple(Source(url=url, token=token) for url in _addresses(fields, name)),
        size=_size(fields),
        pin=Pin.parse(fields.get("hash")),
        gated=gated,
        depends=_names(fields.get("dependencies"), name, "dependencies"),
        id=_identity(fields.get("id")),
    )


def workflow_record(record: object, asked: str) -> WorkflowRecord:
    """The workflow in one record. Raises BadRecord when it does not say which models it needs."""
    fields = _object(record, asked)
    entries = _first(fields, ("models",))
    relations = _first(fields, _RELATIONS)
    if entries is None and relations is None:
        raise BadRecord(name=asked, why="it lists no models, not even an empty list")
    items = [*_list(entries, asked, "models"), *_list(relations, asked, "workflow_model")]
    needs = [(_reference(item, asked), _needed(item), _inline(item)) for item in items]
    spared = {name for name, required, _ in needs if not required}
    return WorkflowRecord(
        name=_text(fields, _WORKFLOW, asked, "name") or asked,
        id=_identity(_first(fields, _WORKFLOW_ID)),
        models=_once(name for name, _, _ in needs if name not in spared),
        optional=_once(name for name, _, _ in needs if name in spared),
        custom_nodes=_labels(fields.get("custom_nodes")),
        inline=tuple({model.name: model for _, _, model in needs if model}.values()),
    )


def tells_optional(record: object) -> bool:
    """Whether a workflow's record says of each model if it is required (a bare list of names does not)."""
    fields = record if isinstance(record, dict) else {}
    if isinstance(_first(fields, _RELATIONS), list):
        return True
    models = fields.get("models")
    return isinstance(models, list) and all(isinstance(item, dict) and "is_required" in item for item in models)


def collection_record(record: object, asked: str) -> CollectionRecord:
    """The collection in one record. Raises BadRecord when an entry names no workflow."""
    fields = _object(record, asked)
    nodes = _first(fields, _NODES)
    if nodes is None:
        raise BadRecord(name=asked, why="it lists no workflows, not even an empty list")
    return CollectionRecord(id=asked, workflows=_once(_member(node, asked) for node in _list(nodes, asked, "nodes")))


def assignment_record(content: object, name: str) -> Assignment:
    """An assignment from `{"workflows": …, "collections": …, "components": …, "models": …}`, each a list of names, a comma
    list, or a JSON list as text. Blanks and repetition are tolerated. `name` is where it stands, for messages.

    Raises BadAssignment for anything else: a field that is misspelt would silently assign nothing.
    """
    if not isinstance(content, dict):
        raise BadAssignment(name=name, why=f"it is not an object with {', '.join(ASSIGNED)}")
    if unknown := sorted(str(key) for key in content.keys() - set(ASSIGNED)):
        raise BadAssignment(name=name, why=f"it has unknown fields: {', '.join(unknown)}")
    return Assignment(**{part: _assigned(f"{name} {part}", value) for part, value in content.items()})


def _assigned(what: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = _json_list(what, value) if value.lstrip().startswith("[") else value.split(",")
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise BadAssignment(name=what, why="it is neither a comma list nor a list of names")
    names = _once(name.strip() for name in value if name.strip())
    if len(names) > MAX_NAMES:
        raise BadAssignment(name=what, why=f"it has more than {MAX_NAMES} names")
    for name in names:
        if len(name) > MAX_NAME or not name.isprintable():
            raise BadAssignment(name=what, why=f"a name is too long, or has control characters: '{name}'")
    return names


def _json_list(what: str, text: str) -> Any:
    try:
        return wire.loads(text, what)
    except BadRecord as error:
        raise BadAssignment(name=what, why=str(error.facts["why"])) from None


def without_token(url: str) -> str:
    """The address without a `token=` in its query; all else stays as it is, byte for byte."""
    head, mark, query = url.partition("?")
    kept = [part for part in query.split("&") if not _TOKEN_QUERY.match(part)]
    return head + mark + "&".join(kept) if mark and any(kept) else head


def _object(record: object, asked: str) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise BadRecord(name=asked, why="it is not an object")
    return record


def _first(fields: Mapping[str, Any], spellings: Iterable[str]) -> Any:
    """The first spelling that has a value."""
    return next((fields[key] for key in spellings if fields.get(key) is not None), None)


def _text(fields: Mapping[str, Any], spellings: Iterable[str], asked: str, what: str) -> str | None:
    value = next((fields[key] for key in spellings if fields.get(key) not in (None, "")), None)
    if value is not None and not isinstance(value, str):
        raise BadRecord(name=asked, why=f"its {what} is not text")
    return value.strip() if value else None


def _list(value: object, asked: str, what: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadRecord(name=asked, why=f"its {what} are not a list")
    if len(value) > MAX_NAMES:
        raise BadRecord(name=asked, why=f"its {what} are more than {MAX_NAMES}")
    return value


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _identity(value: object) -> str:
    return str(value) if isinstance(value, str) or type(value) is int else ""


def _names(value: object, asked: str, what: str) -> tuple[str, ...]:
    return _once(_reference(item, asked) for item in _list(value, asked, what))


def _labels(value: object) -> tuple[str, ...]:
    """Names that are only shown: what cannot be read is left out."""
    items = value if isinstance(value, list) else []
    found = (_first(item, ("name", "repositoryUrl")) if isinstance(item, dict) else item for item in items[:MAX_NAMES])
    return _once(label for label in found if isinstance(label, str) and label)


def _reference(item: object, asked: str) -> str:
    """The name of a model in a list: text, a record with a name, or a relation to one."""
    if isinstance(item, dict):
        inner = item.get("model")
        if isinstance(inner, dict):
            return _reference(inner, asked)
        item = _first(item, ("model_name", *_NAME, "model", "model_id", "id"))
    name = _identity(item).strip()
    if not name:
        raise BadRecord(name=asked, why="one of its models has no name")
    return name


def _needed(item: object) -> bool:
    """Only a plain `is_required: false` spares a model: what is unclear is required."""
    return not (isinstance(item, dict) and item.get("is_required") is False)


def _inline(item: object) -> Model | None:
    """A whole model record within a workflow's; None when it is a reference, or cannot stand on its own."""
    fields = item.get("model", item) if isinstance(item, dict) else None
    if not isinstance(fields, dict) or _first(fields, _URL) is None:
        return None
    try:
        return model_record(fields, _identity(fields.get("name")))
    except BadRecord:
        return None


def _member(node: object, asked: str) -> str:
    """The workflow that a node of a collection names: by name, or else by id."""
    if isinstance(node, dict):
        inner = next((node[key] for key in ("workflow", "component", "component_definition") if node.get(key)), None)
        if inner is not None:
            return _member(inner, asked)
        node = _first(node, (*_WORKFLOW, *_WORKFLOW_ID))
    name = _identity(node).strip()
    if not name:
        raise BadRecord(name=asked, why="one of its nodes names no workflow")
    return name


def _path(save_to: str | None, name: str) -> ShelfPath:
    try:
        return ShelfPath.parse(save_to, name)
    except BadPath as error:
        where, why = printable(error.facts["path"], 100), error.facts["why"]
        raise BadRecord(name=name, why=f"its path '{where}' is refused: {why}") from None


def _url(text: str | None, name: str) -> str:
    """A fetchable address: http(s), a host, no userinfo. A `token=` is dropped, plain blanks are written `%20`."""
    if not text:
        raise BadRecord(name=name, why="it has no download address")
    url = without_token(text.replace(" ", "%20"))
    why = None
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise BadRecord(name=name, why="its download address is not an address") from None
    if parts.scheme not in ("http", "https"):
        why = "is neither http nor https"
    elif "@" in parts.netloc:
        why = "contains a user name"
    elif not host:
        why = "names no host"
    elif len(url) > 4096 or "\\" in url or " " in url or not url.isprintable():
        why = "contains characters that no address has, or more than 4096 of them"
    if why:
        raise BadRecord(name=name, why=f"its download address {why}")
    return url


def _addresses(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The download address, which must be one, and those `sources` in their order that are."""
    listed = fields.get("sources")
    more = [each for each in listed[:MAX_SOURCES] if isinstance(each, str)] if isinstance(listed, list) else []
    first = _text(fields, _URL, name, "downloadUrl") or next(iter(more), None)
    found = [_url(first, name)]
    for each in more:
        if each != first:
            with suppress(BadRecord):
                found.append(_url(each, name))
    return _once(found)


def _authorization(fields: Mapping[str, Any]) -> tuple[TokenName | None, bool]:
    """The token that the record means, if it is one of ours, and whether it says that one is needed."""
    label = _first(fields, _TOKEN)
    label = label.strip().lower() if isinstance(label, str) else ""
    said = _first(fields, _GATED)
    gated = said if isinstance(said, bool) else bool(label)
    return (TOKEN_NAMES.get(label) if gated else None), gated


def _size(fields: Mapping[str, Any]) -> Size | None:
    """Bytes as a number are meant exactly; "17.2GB" and file_size_gb are not. Nonsense is no size."""
    value = _first(fields, _SIZE)
    size = _size_of(value)
    if size is None and (gigabytes := _real(fields.get("file_size_gb"))) is not None:
        size = _bounded(gigabytes * 1e9, exact=False)
    return size


def _size_of(value: object) -> Size | None:
    if type(value) is int:
        return _bounded(value, exact=True)
    if (number := _real(value)) is not None:
        return _bounded(number, exact=number.is_integer())
    match = _SIZED.fullmatch(value.strip()) if isinstance(value, str) and len(value) < 40 else None
    if match is None:
        return None
    if match[2] is None:
        return _bounded(float(match[1]), exact="." not in match[1])
    base = 1024 if match[3] else 1000
    return _bounded(float(match[1]) * base ** _POWER[match[2].upper()], exact=False)


def _real(value: object) -> float | None:
    return float(value) if isinstance(value, float) or (type(value) is int and abs(value) < _LARGEST) else None


def _bounded(number: float, *, exact: bool) -> Size | None:
    return Size(bytes=int(number), exact=exact) if math.isfinite(number) and 0 < number < _LARGEST else None
