"""Which files beside a model belong to it, by their names alone: its JSON files and its previews."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from model_manager.facts.shelf import WEIGHTS

PREVIEWS: Final = (
    ".preview.jpeg", ".preview.png", ".preview.jpg", ".preview.webp",
    ".png", ".jpg", ".jpeg", ".webp", ".civitai.preview.jpg", ".civitai.preview.png",
    ".preview.gif", ".gif", ".preview.mp4", ".mp4", ".preview.webm", ".webm",
)  # fmt: skip
"""Endings of a preview, best first: StableQueue's, then those of A1111, Forge, StabilityMatrix and the LoRA managers."""

_JSON: Final = (
    ".civitai.info", ".civitai.json", ".metadata.json", ".cm-info.json", ".rgthree-info.json", ".json", ".info",
)  # fmt: skip
"""Endings of a JSON, those that say most first; any other `.<text>.json` comes after them. What is in it is seen inside."""

MAX_JSON: Final = 12
"""JSON files of one model that are looked into."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """Names, without their directory. `preview` is "" when there is none."""

    json: tuple[str, ...] = ()
    preview: str = ""


def stem(name: str) -> str:
    """A model's name without its ending."""
    return name.rpartition(".")[0] or name


def is_model(name: str) -> bool:
    ending = name.rpartition(".")
    return bool(ending[0]) and f".{ending[2].lower()}" in WEIGHTS


def belongings(names: Iterable[str]) -> dict[str, Belongings]:
    """Model → what belongs to it, from the listing of one directory.

    `a.b.json` belongs to `a.b.safetensors` when that is there, else to `a.safetensors`; two models with the same stem share.
    """
    listing = tuple(names)
    models = [name for name in listing if is_model(name)]
    bases = {base for name in models for base in (stem(name), name)}
    owned: dict[str, list[str]] = defaultdict(list)
    for name in listing:
        if not is_model(name) and (base := next((cut for cut in _cuts(name) if cut in bases), None)):
            owned[base].append(name)
    return {name: _sorted(name, [*owned[stem(name)], *owned[name]]) for name in models}


def _cuts(name: str) -> Iterator[str]:
    """What is left of a name as one ending after the other is taken away."""
    while "." in name[1:]:
        name = name[: name.rindex(".")]
        yield name


def _sorted(model: str, names: list[str]) -> Belongings:
    ending = {name: _ending(model, name) for name in names}
    json = sorted(
        (name for name in names if ending[name].endswith((".json", ".info"))),
        key=lambda name: (_JSON.index(ending[name]) if ending[name] in _JSON else len(_JSON), name),
    )
    shown = sorted((PREVIEWS.index(ending[name]), name) for name in names if ending[name] in PREVIEWS)
    return Belongings(json=tuple(json[:MAX_JSON]), preview=shown[0][1] if shown else "")


def _ending(model: str, name: str) -> str:
    """What follows the model's stem, or its whole name (`x.safetensors.rgthree-info.json`), lower-case."""
    return name.removeprefix(model if name.startswith(f"{model}.") else stem(model)).lower()
