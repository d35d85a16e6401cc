"""What does a running ComfyUI say of the inputs of its nodes?

`GET /object_info` lists the choices of every input, `GET /models/{folder}` the files of every folder. An input whose
choices are the files of a folder takes models from it: that covers every custom node that is installed there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from model_manager.decisions.workflows.recognising import NOTHING
from model_manager.facts.input_names import folder_of
from model_manager.facts.loaders import Live, Loader, Widget
from model_manager.facts.loaders_builtin import IMAGE_TAES, NO_VAE
from model_manager.facts.shelf import CATEGORY_OF

_ALIASES: Final = {**CATEGORY_OF, "unet_gguf": "diffusion_models", "clip_gguf": "text_encoders"}
_WIDGETS: Final = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
_NO_MODELS: Final = frozenset({"configs", "custom_nodes", "datasets", "fonts"})
MOST_EXTRA: Final = 16
"""Choices beside the files of a folder that an input may have: 'None', presets, files of a second folder."""

_Folders = Mapping[frozenset[str], tuple[str, ...]]


def surveyed(object_info: Mapping[str, Any], models: Mapping[str, Sequence[str]]) -> Live:
    """What both answers say together. Nodes whose description cannot be read are known by name only."""
    folders: dict[frozenset[str], tuple[str, ...]] = {}
    for folder, names in models.items():
        listing = frozenset(name for name in names if isinstance(name, str))
        if listing and folder not in _NO_MODELS:
            category = _ALIASES.get(folder, folder)
            folders[listing] = tuple(dict.fromkeys((*folders.get(listing, ()), category)))
    return Live(loaders={name: _loader(info, folders) for name, info in object_info.items() if isinstance(name, str)})


def _loader(info: Any, folders: _Folders) -> Loader:
    widgets: list[Widget] = []
    for name, kind, options in _inputs(info):
        choices = kind if isinstance(kind, list) else options.get("options")
        if not isinstance(kind, list) and (str(kind) not in _WIDGETS or options.get("forceInput")):
            continue
        found = _folders(name, choices, folders) if isinstance(choices, list) else ()
        widgets.append(Widget(name=name, role="file" if found else "", folders=found))
        if options.get("control_after_generate") or (kind == "INT" and name in ("seed", "noise_seed")):
            widgets.append(Widget(name="control_after_generate"))
    return Loader(head=tuple(widgets), live=True)


def _inputs(info: Any) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Name, kind and options of each input, in the order of the editor."""
    described = info.get("input") if isinstance(info, dict) else None
    for part in ("required", "optional"):
        inputs = described.get(part) if isinstance(described, dict) else None
        for name, spec in inputs.items() if isinstance(inputs, dict) else ():
            if isinstance(spec, (list, tuple)) and spec and isinstance(name, str):
                options = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
                yield name, spec[0], options


def _folders(name: str, choices: list[Any], folders: _Folders) -> tuple[str, ...]:
    """The folders whose files are the choices; of several with the same files the one that the input is named after."""
    texts = frozenset(choice for choice in choices if isinstance(choice, str))
    texts -= {choice for choice in texts if choice.casefold() in NOTHING or choice in (*IMAGE_TAES, NO_VAE)}
    if not texts:
        return ()
    if texts in folders:
        return _preferred(name, folders[texts])
    inside = [(listing, found) for listing, found in folders.items() if listing < texts]
    inside.sort(key=lambda pair: -len(pair[0]))
    if not inside:
        return ()
    covered = frozenset().union(*(listing for listing, _ in inside))
    if len(texts - covered) > min(MOST_EXTRA, len(covered)):
        return ()
    chosen = dict.fromkeys(folder for _, found in inside for folder in found)
    return _preferred(name, tuple(chosen))


def _preferred(name: str, folders: tuple[str, ...]) -> tuple[str, ...]:
    meant = folder_of(name)
    return (meant, *(folder for folder in folders if folder != meant)) if meant in folders else folders
