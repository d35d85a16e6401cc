"""Records from elsewhere → records of ours: what can be mended is mended, what no machine could use is left out, and all of it told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from model_manager.catalog.incoming import spelling
from model_manager.catalog.incoming.findings import Finding, Incoming, found
from model_manager.catalog.records import CatalogCollection, CatalogModel, CatalogWorkflow, CustomNode, Kind, Need
from model_manager.errors import BadPath, BadRecord
from model_manager.facts.record import MAX_NAMES, MAX_SOURCES, collection_record, model_record
from model_manager.facts.shelf import ShelfPath

_RELATIONS: Final = ("workflow_model", "workflow_models", "component_definition_model")
_REFERENCE: Final = ("model_name", "name", "filename", "model", "model_id", "id")
_TEXT: Final = 20_000
"""Characters of a description."""


@lru_cache(maxsize=64)
def placed(save_to: str | None, name: str) -> ShelfPath:
    """The same place is asked for several times while one record is read. Raises BadPath."""
    return ShelfPath.parse(save_to, name)


def incoming(kind: Kind, raw: object, where: str) -> Incoming:
    """One record; never raises, whatever it is."""
    if not isinstance(raw, Mapping):
        return _out(where, "it is no object")
    try:
        match kind:
            case "model":
                return model(raw, where)
            case "workflow":
                return workflow(raw, where)
            case _:
                return collection(raw, where)
    except (BadRecord, BadPath) as error:
        return _out(where, str(error.facts["why"]))


def model(raw: Mapping[str, Any], where: str) -> Incoming:
    """Raises BadRecord, BadPath for what no machine could fetch or place."""
    name = _name(raw, where)
    sources, told = _sources(raw, name)
    save_to, moved = _save_to(raw, name)
    gated, token, about_token = spelling.token(raw, name)
    written, about_hash = spelling.digest(raw.get("hash"), name)
    hashes, about_hashes = spelling.digests(raw.get("hashes"), name)
    size, about_size = _size(raw, name)
    told += [*moved, *about_token, *about_hash, *about_hashes, *about_size, *_unknown(raw, name)]
    record = CatalogModel(
        id=_identity(raw),
        name=name,
        version=spelling.text(raw, ("version",)),
        sources=sources,
        save_to=save_to,
        size=size,
        hash=written,
        hashes=hashes,
        auth_required=gated,
        auth_env_var=token,
        model_type=spelling.text(raw, spelling.TYPE) or placed(save_to, name).folder,
        base_model=spelling.text(raw, spelling.BASE),
        licence=spelling.text(raw, spelling.LICENCE),
        vram_gb=spelling.number(spelling.first(raw, spelling.VRAM)),
        description=_description(raw),
        dependencies=_references(raw.get("dependencies"), name),
    )
    slot = placed(save_to, name).slot
    return Incoming(
        record=record, findings=tuple(told), where=where, current=raw.get("current") is not False, slot=slot
    )


def workflow(raw: Mapping[str, Any], where: str) -> Incoming:
    """Raises BadRecord when it is not clear what it needs."""
    name = _name(raw, where)
    items = [*_listed(raw.get("models"), name), *_listed(spelling.first(raw, _RELATIONS), name)]
    spared = [Need(model=each, required=False) for each in _references(raw.get("optional"), name)]
    needs = {need.model: need for need in (*(_need(item, name) for item in items), *spared)}
    nodes = [_node(item, at, name) for at, item in enumerate(_listed(raw.get("custom_nodes"), name))]
    kept = sorted({node.name: node for node in nodes if node}.values(), key=lambda node: node.install_order)
    record = CatalogWorkflow(
        id=_identity(raw),
        name=name,
        description=_description(raw),
        needs=tuple(needs.values()),
        custom_nodes=tuple(kept),
        min_vram_gb=spelling.number(spelling.first(raw, ("minVramGb", "min_vram", "vramGb"))),
        machine_type=spelling.text(raw, ("machineType", "machine_type")),
    )
    lost = [found(name, "a custom node has no name", "dropped") for node in nodes if node is None]
    return Incoming(record=record, findings=tuple(lost), where=where)


def collection(raw: Mapping[str, Any], where: str) -> Incoming:
    """Raises BadRecord when it is not clear what it lists."""
    identity = _identity(raw) or _name(raw, where)
    if isinstance(raw.get("workflows"), list):
        listed = _references(raw["workflows"], identity)
    else:
        listed = collection_record(dict(raw), identity).workflows
    record = CatalogCollection(
        id=identity,
        name=spelling.text(raw, ("name",)) or identity,
        description=_description(raw),
        workflows=_proper(listed, identity),
    )
    return Incoming(record=record, where=where)


def usable(record: CatalogModel) -> None:
    """Raises BadRecord for a model that a machine would refuse, at any of its addresses."""
    for url in record.sources or ("",):
        fields = {"name": record.name, "downloadUrl": url, "saveTo": record.save_to, "fileSize": record.size}
        model_record(fields, record.name)


def _sources(raw: Mapping[str, Any], name: str) -> tuple[tuple[str, ...], list[Finding]]:
    """Addresses in order; those that nobody fetches are dropped, unless none is left. Raises BadRecord then."""
    listed = raw.get("sources") if isinstance(raw.get("sources"), list) else []
    texts = [item.get("url") if isinstance(item, Mapping) else item for item in listed or ()]
    urls = dict.fromkeys([spelling.text(raw, spelling.URL), *(each for each in texts if isinstance(each, str))])
    good: list[str] = []
    told: list[Finding] = []
    why = "it has no download address"
    for url in [each for each in urls if each][:MAX_SOURCES]:
        clean, found_there = spelling.address(url, name)
        try:
            model_record({"name": name, "downloadUrl": clean, "saveTo": "vae/x.pt"}, name)
        except BadRecord as error:
            why = str(error.facts["why"])
            told.append(found(name, f"an address of it is dropped: {why}", "dropped"))
            continue
        told += found_there
        good.append(clean)
    if not good:
        raise BadRecord(name=name, why=why)
    return tuple(dict.fromkeys(good)), told


def _save_to(raw: Mapping[str, Any], name: str) -> tuple[str, list[Finding]]:
    """Where it goes, as written. Raises BadPath for what would leave the shelves (K1) or names no folder."""
    written = spelling.text(raw, spelling.PATH)
    try:
        placed(written, name)
        return written or name, []
    except BadPath:
        folder = spelling.text(raw, spelling.TYPE)
        plain = written in ("", name, f"models/{name}")
        if not folder or not plain:
            raise
    placed(folder, name)
    return folder, [found(name, f"its path named no folder; its type does: '{folder}'", "fixed")]


def _size(raw: Mapping[str, Any], name: str) -> tuple[int | str | None, list[Finding]]:
    """Bytes, or the text that somebody wrote; gigabytes as such a text."""
    value = spelling.first(raw, spelling.SIZE)
    if isinstance(value, str) and spelling.is_text(value) and value.strip() and len(value) < 40:
        return value.strip(), []
    if type(value) is int and 0 < value < 2**53:
        return value, []
    gigabytes = spelling.number(raw.get("file_size_gb"))
    if value is None or value == "":
        return (None if gigabytes is None else f"{gigabytes:.10g}GB"), []
    return None, [found(name, "its size is neither a number of bytes nor text such as '17.2GB'", "dropped")]


def _name(raw: Mapping[str, Any], where: str) -> str:
    value = spelling.first(raw, spelling.NAME)
    name = value.strip() if isinstance(value, str) else ""
    if not name:
        raise BadRecord(name=where, why="it has no name")
    if not spelling.is_name(name):
        raise BadRecord(name=name, why=f"its name has control characters, or more than {spelling.LONGEST} characters")
    return name


def _identity(raw: Mapping[str, Any]) -> str:
    """Text or number; empty for what cannot be an id."""
    value = raw.get("id")
    identity = str(value).strip() if isinstance(value, str) or type(value) is int else ""
    return identity if spelling.is_name(identity) else ""


def _description(raw: Mapping[str, Any]) -> str:
    return spelling.text(raw, ("description",))[:_TEXT]


def _listed(value: object, name: str) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_NAMES:
        raise BadRecord(name=name, why=f"what it needs is no list of at most {MAX_NAMES}")
    return value


def _references(value: object, name: str) -> tuple[str, ...]:
    return _proper((_need(item, name).model for item in _listed(value, name)), name)


def _proper(references: Iterable[str], name: str) -> tuple[str, ...]:
    kept = tuple(dict.fromkeys(references))
    for each in kept:
        if not spelling.is_name(each):
            raise BadRecord(name=name, why="a name in it has control characters or is too long")
    return kept


def _need(item: object, name: str) -> Need:
    """Only a plain `is_required: false` spares a model: what is unclear is required."""
    required = not (isinstance(item, Mapping) and item.get("is_required") is False)
    if isinstance(item, Mapping):
        inner = item.get("model")
        item = _need(inner, name).model if isinstance(inner, Mapping) else spelling.first(item, _REFERENCE)
    reference = str(item).strip() if isinstance(item, str) or type(item) is int else ""
    if not spelling.is_name(reference):
        raise BadRecord(name=name, why="one of the names in it is no name")
    return Need(model=reference, required=required)


def _node(item: object, at: int, name: str) -> CustomNode | None:
    if isinstance(item, str):
        return CustomNode(name=item.strip(), install_order=at) if spelling.is_name(item.strip()) else None
    fields = item if isinstance(item, Mapping) else {}
    url = spelling.text(fields, ("repositoryUrl", "repository_url", "url")).removeprefix("git clone ").strip()
    label = spelling.text(fields, ("name",)) or url.rstrip("/").rpartition("/")[2].removesuffix(".git")
    order = fields.get("install_order", fields.get("installOrder"))
    if not spelling.is_name(label):
        return None
    return CustomNode(
        name=label,
        repository_url=url,
        branch=spelling.text(fields, ("branch",)),
        commit=spelling.text(fields, ("commit",)),
        install_order=order if type(order) is int and abs(order) < 2**31 else at,
    )


def _unknown(raw: Mapping[str, Any], name: str) -> list[Finding]:
    """Fields that nobody asked for are never kept, and said."""
    strange = sorted(str(key) for key in raw if key not in spelling.KNOWN)
    return [found(name, f"unknown fields: {', '.join(strange[:10])}", "dropped")] if strange else []


def _out(where: str, why: str) -> Incoming:
    return Incoming(record=None, findings=(found(where, why, "left out"),), where=where)
