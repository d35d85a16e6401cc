"""Is this value a model, of which folder, and how sure is that?

Evidence comes in layers, the surest first: what a running ComfyUI or the table says of the input, what the workflow lists,
the name of the input, what the value is passed on to, the ending of the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from model_manager.facts.graph import Listed
from model_manager.facts.input_names import folder_of
from model_manager.facts.loaders import Widget, known_folders
from model_manager.facts.loaders_builtin import BUILTIN_LOADERS, IMAGE_TAES, NO_VAE, VIDEO_TAES
from model_manager.facts.shelf import CATEGORY_OF, WEIGHTS
from model_manager.facts.workflow import Confidence, Evidence, Kind

LONGEST: Final = 260
"""Characters of what looks like a name; what is longer is prose."""

LONGEST_PATH: Final = 4_096
"""Characters of what a loader takes for a name: as many as Linux takes for a path."""

NOTHING: Final = frozenset(
    {
        "", "none", "[none]", "(none)", "null", "undefined", "auto", "automatic", "default", "disabled", "disable", "off",
        "baked vae", "baked-in", "use same", "no model", "-", "nan", "true", "false", "esam", "same as model", "model name",
    }
)  # fmt: skip
"""What loaders offer in place of a file."""

_SHARD = re.compile(r"^(?P<stem>.*-)(?P<number>\d{5})-of-(?P<total>\d{5})(?P<ending>\.\w+)?$")
_BELOW_MODELS = re.compile(r"(?:^|/)models/(?P<folder>[\w.\-]+)/(?P<name>.+)$")
_ABSOLUTE = re.compile(r"^(?:/|[A-Za-z]:/|~/|\./|\.\./)")
MOST_SHARDS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a value was found to be; the parts of a Reference that do not depend on where it stands."""

    names: tuple[str, ...]
    folders: tuple[str, ...]
    kind: Kind
    evidence: Evidence
    confidence: Confidence
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """What a node's output is used for. `sure`: the table or a running ComfyUI says that the input takes a model."""

    folders: tuple[str, ...]
    use: str
    sure: bool


def has_ending(text: str) -> bool:
    """Whether the last part ends as model files do, in any case."""
    dot = text.rfind(".")
    return dot > 0 and text[dot:].lower() in WEIGHTS


def looks_like_model(text: str) -> bool:
    """Whether a value is, by itself, the name of a model file: one line, no address, a known ending or a shard's number."""
    if not 0 < len(text) <= LONGEST or "\n" in text or "://" in text:
        return False
    return has_ending(text) or bool(_SHARD.match(text))


def by_loader(text: str, widget: Widget, node_type: str, live: bool, taes: bool) -> Finding | None:
    """The model that a known loader takes from this widget; None for what stands for no file. `taes`: it is a VAELoader."""
    name = _clean(text)
    if name.casefold() in NOTHING or _is_prose(name):
        return None
    if taes and (special := _tae(name, node_type)):
        return special
    if taes and name == NO_VAE:
        return None
    if widget.role == "fetched" and not has_ending(name):
        return None
    if widget.role == "file" and not live and node_type not in BUILTIN_LOADERS and not looks_like_model(name):
        return None  # versions of custom nodes differ in the order of their widgets: this is another one's choice
    folder, below = _below(name, widget.folders)
    source = "a running ComfyUI says that" if live else "the table says that"
    return Finding(
        names=_names(below), folders=folder, kind=_kind(below, widget),
        evidence="live" if live else "loader",
        confidence="certain" if has_ending(below) or widget.role in ("directory", "stem") else "likely",
        reason=f"{source} {node_type} takes {widget.name} from {' or '.join(folder)}"
        + ("; it fetches the file by itself when it is missing" if widget.role == "fetched" else ""),
    )  # fmt: skip


def _is_prose(name: str) -> bool:
    return len(name) > (LONGEST_PATH if has_ending(name) else LONGEST) or "\n" in name


def _kind(name: str, widget: Widget) -> Kind:
    if widget.role == "directory" and not has_ending(name):
        return "directory"
    return "stem" if widget.role == "stem" and not has_ending(name) else "file"


def _tae(name: str, node_type: str) -> Finding | None:
    """The files of a tiny VAE, which are no files of the folder vae (ComfyUI nodes.py, VAELoader)."""
    if name in IMAGE_TAES:
        pair = (f"{name}_encoder", f"{name}_decoder")
        why = f"{node_type} loads '{name}' from two files of vae_approx"
        kind: Kind = "stem"
    elif name.casefold().startswith(VIDEO_TAES):
        pair, why, kind = (name,), f"{node_type} loads '{name}' from vae_approx", "file"  # type: ignore[assignment]
    else:
        return None
    return Finding(names=pair, folders=("vae_approx",), kind=kind, evidence="loader", confidence="certain", reason=why)


def by_looks(
    text: str, input_name: str, node_type: str, hint: Hint | None, entries: Mapping[str, Listed]
) -> Finding | None:
    """A model that no table knows of, by everything else that speaks for it."""
    name = _clean(text)
    model = looks_like_model(name)
    if not model and not (hint and hint.sure and name.casefold() not in NOTHING and not _is_prose(name)):
        return None
    if entry := selected(name, entries):
        told = (entry.folder,) if entry.folder else ()
        return _looked(name, told, "listed", "certain", "the node lists it among its models")
    if hint and (hint.sure or not folder_of(input_name)):
        return _looked(name, hint.folders, "widget", "certain" if hint.sure and model else "likely", hint.use)
    if folder := folder_of(input_name):
        return _looked(name, (folder,), "widget", "likely", f"inputs named {input_name} take files of {folder}")
    told = (folder,) if (folder := folder_of(node_type)) else ()
    return _looked(name, told, "pattern", "guess", f"it ends like a model; nobody knows what {node_type} does with it")


def _looked(name: str, folders: tuple[str, ...], evidence: Evidence, confidence: Confidence, reason: str) -> Finding:
    folders, name = _below(name, folders)
    return Finding(
        names=_names(name), folders=folders, kind="file", evidence=evidence, confidence=confidence, reason=reason
    )


def by_name(entries: Iterable[Listed]) -> dict[str, Listed]:
    """Listed files by their names, and by the last part of their names where that is no other's name."""
    known = {_clean(entry.name): entry for entry in reversed(tuple(entries))}
    return {name.rpartition("/")[2]: entry for name, entry in known.items()} | known


def selected(name: str, entries: Mapping[str, Listed]) -> Listed | None:
    """The listed file that a value means: the same name, or the same last part. `entries` are `by_name`."""
    return entries.get(name) or entries.get(name.rpartition("/")[2])


def placed(path: str) -> tuple[str, str]:
    """The folder and the name within it of a path below a models directory; the folder is '' when the path names none."""
    if hit := _BELOW_MODELS.search(path):
        return CATEGORY_OF.get(hit["folder"], hit["folder"]), hit["name"]
    head, slash, rest = path.partition("/")
    if slash and head in known_folders():
        return CATEGORY_OF.get(head, head), rest
    return "", path.rpartition("/")[2] if _ABSOLUTE.match(path) else path


def _below(name: str, folders: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """An absolute path tells its folder itself; any other is below the folder of the loader."""
    if not _ABSOLUTE.match(name) and not name.startswith("models/"):
        return folders, name
    folder, rest = placed(name)
    return (folder,) if folder and folder not in folders else folders, rest


def _clean(text: str) -> str:
    return text.strip().replace("\\", "/")


def _names(name: str) -> tuple[str, ...]:
    """The name, or the names of all shards of which it is one."""
    hit = _SHARD.match(name)
    if not hit or not 1 <= int(hit["total"]) <= MOST_SHARDS:
        return (name,)
    total = int(hit["total"])
    return tuple(f"{hit['stem']}{number:05d}-of-{total:05d}{hit['ending'] or ''}" for number in range(1, total + 1))
