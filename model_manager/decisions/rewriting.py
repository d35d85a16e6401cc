"""How is a manifest changed, and every comment and the order of all else kept?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AbstractTable, InlineTable

from model_manager.errors import BadManifest, printable
from model_manager.facts.description import Address
from model_manager.facts.known import Known
from model_manager.facts.manifest import QUICK, TYPE_OF, Importance, ManifestModel, Tracked, Unresolved

HEADER: Final = (
    "# What this environment needs. Written by 'model-manager workflow' and 'model-manager model'; yours to edit.\n"
)

_HUB = re.compile(r"https://huggingface\.co/(?P<repo>[^/?#]+/[^/?#]+)/resolve/")


def model_of(
    known: Known,
    sources: Iterable[Address] = (),
    importance: Importance = "required",
    *,
    folder: str = "",
    name: str = "",
) -> ManifestModel | None:
    """A file of the index as an entry; None while nobody has read it whole. `folder` and `name`: where the environment wants it,
    if not where it lies."""
    if known.digests is None:
        return None
    sha256, blake3 = known.digests.sha256 or "", known.digests.blake3 or ""
    return ManifestModel(
        key=known.quick or (sha256 or blake3)[:16],
        folder=folder or known.folder,
        name=name or known.name,
        importance=importance,
        size=known.size,
        sha256=sha256,
        blake3=blake3,
        quick=((QUICK["comfydock"], known.quick),) if known.quick else (),
        sources=tuple(sources),
    )


def with_model(text: str, model: ManifestModel, what: str) -> str:
    """The text with this model: in its section and no other, what else its entry says kept. Raises BadManifest."""
    document = _parsed(text, what)
    other: Importance = "optional" if model.importance == "required" else "required"
    old = _removed(document, other, model.key)
    section = _section(document, ("tool", "comfydock", "models", model.importance), what)
    entry = section.get(model.key) or old
    if not isinstance(entry, dict):
        entry = tomlkit.inline_table()
    _fill(entry, _entry_of(model))
    if section.get(model.key) is None:
        section[model.key] = entry
    return tomlkit.dumps(document)


def without_model(text: str, key: str, what: str) -> str:
    """The text without this model, in every section and every workflow. Raises BadManifest."""
    document = _parsed(text, what)
    for importance in ("required", "optional"):
        _removed(document, importance, key)
    for flow in _tracked(document).values():
        models = _below(flow, "requires").get("models")
        if isinstance(models, list) and key in models:
            models.remove(key)
    return tomlkit.dumps(document)


def with_workflow(text: str, flow: Tracked, what: str) -> str:
    """The text with this workflow; what else its entry says is kept. Raises BadManifest."""
    document = _parsed(text, what)
    tracked = _section(document, ("tool", "comfydock", "workflows", "tracked"), what, leaf=False)
    entry = tracked.get(flow.name)
    if not isinstance(entry, dict):
        entry = tomlkit.table()
        tracked[flow.name] = entry
        entry = tracked[flow.name]
    _fill(entry, {"file": flow.file})
    requires = entry.get("requires")
    if not isinstance(requires, dict):
        entry["requires"] = tomlkit.inline_table()
        requires = entry["requires"]
    python = requires.get("python", [])
    wanted = {"nodes": list(flow.nodes), "models": list(flow.models), "python": python}
    if flow.unresolved:
        wanted["unresolved"] = [_unresolved_entry(each) for each in flow.unresolved]
    else:
        requires.pop("unresolved", None)
    _fill(requires, wanted)
    return tomlkit.dumps(document)


def _parsed(text: str, what: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text or HEADER)
    except (TOMLKitError, ValueError, RecursionError) as error:
        raise BadManifest(name=what, why=f"it is not TOML ({printable(error, 200)})") from None


def _section(document: tomlkit.TOMLDocument, path: tuple[str, ...], what: str, *, leaf: bool = True) -> Any:
    """The table at a path, made where there is none. `leaf`: it has entries of its own, not only tables."""
    above: Any = document
    for depth, name in enumerate(path):
        if name not in above:
            above[name] = tomlkit.table(is_super_table=not leaf or depth + 1 < len(path))
        above = above[name]
        if not isinstance(above, dict):
            raise BadManifest(name=what, why=f"'{'.'.join(path[: depth + 1])}' is no table")
    return above


def _below(table: Any, *path: str) -> Any:
    """The table at a path; an empty one that belongs to nobody where there is none."""
    for name in path:
        table = table.get(name)
        if not isinstance(table, dict):
            return {}
    return table


def _tracked(document: tomlkit.TOMLDocument) -> Any:
    return _below(document, "tool", "comfydock", "workflows", "tracked")


def _removed(document: tomlkit.TOMLDocument, importance: str, key: str) -> AbstractTable | InlineTable | None:
    found: AbstractTable | InlineTable | None = _below(document, "tool", "comfydock", "models", importance).pop(
        key, None
    )
    return found


def _fill(entry: Any, wanted: Mapping[str, Any]) -> None:
    """Only what differs is written: an array keeps its lines, a value its comment."""
    for name, value in wanted.items():
        present = entry.get(name)
        plain = present.unwrap() if hasattr(present, "unwrap") else present
        if present is None or plain != value:
            entry[name] = value


def _entry_of(model: ManifestModel) -> dict[str, Any]:
    """ComfyDock's names, and `relative_path`, which says the subfolder too."""
    given = {
        "filename": model.name.rpartition("/")[2],
        "type": TYPE_OF.get(model.category, model.category),
        "relative_path": model.label,
        "size": model.size,
        "blake3": model.blake3,
        "sha256": model.sha256,
        "sources": [_source_entry(source) for source in model.sources],
    }
    return {name: value for name, value in given.items() if value}


def _source_entry(source: Address) -> dict[str, Any]:
    entry = {"type": source.kind, "url": source.url, **source.data}
    if (hub := _HUB.match(source.url)) and "repo" not in entry:
        entry["repo"] = hub["repo"]
    return entry


def _unresolved_entry(model: Unresolved) -> dict[str, Any]:
    given = {
        "filename": model.name,
        "type": TYPE_OF.get(model.folder, model.folder),
        "sources": [_source_entry(source) for source in model.sources],
    }
    return {name: value for name, value in given.items() if value}
