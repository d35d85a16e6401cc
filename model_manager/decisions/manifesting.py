"""What does a manifest say? Read from the text of a pyproject.toml: ours, ComfyDock's, or comfygit's.

Ours and ComfyDock's: `[tool.comfydock.models.required|optional]` by hash, `[tool.comfydock.workflows.tracked.NAME]`. comfygit's:
`[tool.comfygit.models]` by a hash over samples, `[tool.comfygit.workflows.NAME]` with how much each model matters
(comfygit_core, models/manifest.py). An entry that cannot be read is left out and said; the others count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import tomlkit
from tomlkit.exceptions import TOMLKitError

from model_manager.errors import BadManifest, BadPath, printable
from model_manager.facts.description import Address
from model_manager.facts.manifest import (
    FOLDER_OF,
    QUICK,
    Importance,
    Manifest,
    ManifestModel,
    Tool,
    Tracked,
    Unresolved,
)
from model_manager.facts.shelf import ShelfPath

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_MODELS: Final = 10_000

_FULL: Final = re.compile(r"[0-9a-f]{64}")
_QUICK: Final = re.compile(r"[0-9a-f]{16}")


def read(text: str, what: str) -> Manifest:
    """Raises BadManifest(what) when the text is no TOML, or too much of it. A text without our tables is an empty manifest."""
    tools = _table(_document(text, what), "tool")
    if "comfydock" not in tools and "comfygit" in tools:
        return _comfygit(_table(tools, "comfygit"))
    return _comfydock(_table(tools, "comfydock"))


def _document(text: str, what: str) -> Mapping[str, Any]:
    if len(text) > MAX_BYTES:
        raise BadManifest(name=what, why=f"it has more than {MAX_BYTES} characters")
    try:
        return tomlkit.parse(text).unwrap()
    except (TOMLKitError, ValueError, RecursionError) as error:
        raise BadManifest(name=what, why=f"it is not TOML ({printable(error, 200)})") from None


def _table(above: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = above.get(name)
    return found if isinstance(found, dict) else {}


def _comfydock(ours: Mapping[str, Any]) -> Manifest:
    odd: list[str] = []
    sections: tuple[Importance, Importance] = ("required", "optional")
    models = [
        model
        for importance in sections
        for key, entry in _entries(_table(_table(ours, "models"), importance))
        if (model := _model(key, entry, importance, "comfydock", odd))
    ]
    tracked = _table(_table(ours, "workflows"), "tracked")
    workflows = [flow for name, entry in _entries(tracked) if (flow := _tracked(name, entry, odd))]
    return Manifest(models=_once(models, odd), workflows=tuple(workflows), oddities=tuple(odd))


def _comfygit(theirs: Mapping[str, Any]) -> Manifest:
    """A model is optional when every workflow that names it says so."""
    odd: list[str] = []
    flows = list(_entries(_table(theirs, "workflows")))
    said: dict[str, set[str]] = {}
    for _, entry in flows:
        for item in _items(entry, "models"):
            said.setdefault(str(item.get("hash", "")), set()).add(str(item.get("criticality", "flexible")))
    models = [
        model
        for key, entry in _entries(_table(theirs, "models"))
        if (model := _model(key, entry, _importance(said.get(key) or {str(entry.get("criticality"))}), "comfygit", odd))
    ]
    workflows = tuple(_comfygit_flow(name, entry) for name, entry in flows)
    return Manifest(tool="comfygit", models=_once(models, odd), workflows=workflows, oddities=tuple(odd))


def _importance(said: set[str]) -> Importance:
    return "optional" if said == {"optional"} else "required"


def _comfygit_flow(name: str, entry: Mapping[str, Any]) -> Tracked:
    items = _items(entry, "models")
    return Tracked(
        name=name,
        file=_text(entry, "path") or f"workflows/{name}.json",
        models=tuple(dict.fromkeys(found for item in items if (found := _text(item, "hash")))),
        nodes=_texts(entry, "nodes"),
        unresolved=tuple(_unresolved(item) for item in items if not _text(item, "hash") and _text(item, "filename")),
    )


def _entries(table: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, (key, entry) in enumerate(table.items()):
        if number < MAX_MODELS and isinstance(entry, dict):
            yield str(key), entry


def _items(entry: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = entry.get(name)
    return [item for item in found[:MAX_MODELS] if isinstance(item, dict)] if isinstance(found, list) else []


def _text(entry: Mapping[str, Any], name: str) -> str:
    found = entry.get(name)
    return found.strip() if isinstance(found, str) else ""


def _texts(entry: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = entry.get(name)
    items = found[:MAX_MODELS] if isinstance(found, list) else []
    return tuple(dict.fromkeys(item for item in items if isinstance(item, str) and item))


def _model(
    key: str, entry: Mapping[str, Any], importance: Importance, tool: Tool, odd: list[str]
) -> ManifestModel | None:
    size = entry.get("size")
    sha256, blake3 = _hash(entry, "sha256", _FULL), _hash(entry, "blake3", _FULL)
    quick = key.lower() if _QUICK.fullmatch(key.lower()) else ""
    if quick in (sha256[:16], blake3[:16]):
        quick = ""
    try:
        place = _place(entry)
    except BadPath as error:
        odd.append(f"model {printable(key, 80)}: {error}")
        return None
    return ManifestModel(
        key=key,
        folder=place.folder,
        name=place.name,
        importance=importance,
        size=size if type(size) is int and 0 < size < 2**53 else None,
        sha256=sha256,
        blake3=blake3,
        quick=((QUICK[tool], quick),) if quick else (),
        sources=_sources(entry, place.name),
    )


def _hash(entry: Mapping[str, Any], name: str, form: re.Pattern[str]) -> str:
    found = _text(entry, name).lower()
    return found if form.fullmatch(found) else ""


def _place(entry: Mapping[str, Any]) -> ShelfPath:
    """Where the model belongs: `relative_path` below models, or `filename` in the folder of its `type` or `category`."""
    relative, filename = _text(entry, "relative_path").replace("\\", "/"), _text(entry, "filename").replace("\\", "/")
    kind = _text(entry, "type") or _text(entry, "category")
    if "/" in relative:
        return ShelfPath.parse(relative, relative.rpartition("/")[2])
    return ShelfPath.parse(FOLDER_OF.get(kind, kind), filename)


def _unresolved(entry: Mapping[str, Any]) -> Unresolved:
    kind = _text(entry, "type") or _text(entry, "category")
    name = _text(entry, "filename")
    return Unresolved(folder=FOLDER_OF.get(kind, kind), name=name, sources=_sources(entry, name))


def _sources(entry: Mapping[str, Any], name: str) -> tuple[Address, ...]:
    """Addresses, in their order: texts, or tables with `url`, or with the repository of a file."""
    found = entry.get("sources")
    items = found[:100] if isinstance(found, list) else []
    return tuple({each.url: each for item in items if (each := _source(item, name))}.values())


def _source(item: object, name: str) -> Address | None:
    if not isinstance(item, dict):
        return Address.parse(item)
    data = {str(key): str(value) for key, value in item.items() if key not in ("type", "url") and _is_plain(value)}
    if url := _text(item, "url"):
        return Address.parse(url, data)
    if (repo := _text(item, "repo")) and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repo):
        file = _text(item, "file") or name.rpartition("/")[2]
        revision = _text(item, "revision") or "main"
        return Address.parse(f"https://huggingface.co/{repo}/resolve/{quote(revision)}/{quote(file)}", data)
    return None


def _is_plain(value: object) -> bool:
    return isinstance(value, str) or type(value) is int


def _tracked(name: str, entry: Mapping[str, Any], odd: list[str]) -> Tracked | None:
    file = _text(entry, "file")
    if not file:
        odd.append(f"workflow {printable(name, 80)}: it names no file")
        return None
    requires = _table(entry, "requires")
    return Tracked(
        name=name,
        file=file,
        models=_texts(requires, "models"),
        nodes=_texts(requires, "nodes"),
        unresolved=tuple(_unresolved(item) for item in _items(requires, "unresolved") if _text(item, "filename")),
    )


def _once(models: Iterable[ManifestModel], odd: list[str]) -> tuple[ManifestModel, ...]:
    """A key that is required and optional is required."""
    found: dict[str, ManifestModel] = {}
    for model in models:
        if model.key in found:
            odd.append(f"model {printable(model.key, 80)}: it stands there twice; the required one counts")
        found.setdefault(model.key, model)
    return tuple(found.values())
