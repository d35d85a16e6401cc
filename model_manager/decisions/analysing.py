"""What of an environment is here, what must be downloaded, and what is unknown?"""

from __future__ import annotations

from collections.abc import Iterable

from model_manager.decisions.resolving import Samples, resolve
from model_manager.facts.analysis import Analysis, Item
from model_manager.facts.identity import Pin
from model_manager.facts.known import Known
from model_manager.facts.manifest import Manifest, ManifestModel
from model_manager.facts.resolution import Layout, Ruling, Wish


def wishes(model: ManifestModel) -> tuple[Wish, ...]:
    """The file that a model is, once for each full hash: an index may know a file by one of them only."""
    plain = Wish(name=model.name, text=model.name, folders=(model.category,), quick=model.quick, size=model.size)
    pins = [Pin(algorithms=("sha256",), hex=model.sha256)] if model.sha256 else []
    pins += [Pin(algorithms=("blake3",), hex=model.blake3)] if model.blake3 else []
    return tuple(
        Wish(name=plain.name, text=plain.text, folders=plain.folders, pin=pin, quick=plain.quick, size=plain.size)
        for pin in pins
    ) or (plain,)


def analysis(
    manifest: Manifest, files: Iterable[Known], layout: Layout, *, samples: Samples | None = None, optional: bool = True
) -> Analysis:
    """Every model of a manifest, with `optional` also those that are not required. `files`: as for resolving."""
    models = [model for model in manifest.models if optional or model.importance == "required"]
    asked = [(model, wish) for model in models for wish in wishes(model)]
    rulings = resolve([wish for _, wish in asked], tuple(files), layout, samples=samples or {})
    best: dict[str, Item] = {}
    for (model, _), ruling in zip(asked, rulings, strict=True):
        item = _item(model, ruling, samples or {})
        best[model.key] = min(best.get(model.key, item), item, key=lambda each: _GOOD[each.outcome])
    loose = (each.label for flow in manifest.workflows for each in flow.unresolved)
    return Analysis(items=tuple(best[model.key] for model in models), unresolved=tuple(dict.fromkeys(loose)))


_GOOD = {"here": 0, "linked": 1, "read": 2, "likely": 3, "downloaded": 4, "unknown": 5}


def _item(model: ManifestModel, ruling: Ruling, samples: Samples) -> Item:
    proven = next((each.known for each in ruling.candidates if each.by == "digest"), None)
    if ruling.state == "loads" and model.pin:
        return Item(
            model=model,
            outcome="here",
            why="it is read, and its hash is the promised one",
            known=ruling.loaded,
            ruling=ruling,
        )
    if proven:
        return Item(model=model, outcome="linked", why=f"its bytes are {proven.file}", known=proven, ruling=ruling)
    if ruling.loaded and ruling.state in ("unproven", "loads"):
        return _unproven(model, ruling, ruling.loaded, samples)
    for each in ruling.candidates:
        if each.by == "quick hash":
            return _unproven(model, ruling, each.known, samples)
    return _absent(model, ruling)


def _unproven(model: ManifestModel, ruling: Ruling, known: Known, samples: Samples) -> Item:
    """A file that may be it. Where the manifest has a full hash, reading it decides; where it has none, its samples speak."""
    if model.pin and known.digests is None:
        return Item(
            model=model, outcome="read", why=f"{known.file} may be it, and is read first", known=known, ruling=ruling
        )
    mine = dict(samples.get(known.file, ())) | ({"blake3_sample_v1": known.quick} if known.quick else {})
    fits = any(mine.get(formula) == digits for formula, digits in model.quick)
    if not model.pin and (fits or not model.quick) and model.size in (None, known.size):
        why = "its samples and its size fit" if fits else "it has this name, and no hash is promised"
        return Item(model=model, outcome="likely", why=f"{known.file}: {why}", known=known, ruling=ruling)
    return _absent(model, ruling)


def _absent(model: ManifestModel, ruling: Ruling) -> Item:
    taken = f"{ruling.loaded.file} has its name and other bytes; " if ruling.state == "other" and ruling.loaded else ""
    if model.sources:
        held = "checked against its hash" if model.pin else "and no hash is known that it could be checked against"
        return Item(
            model=model,
            outcome="downloaded",
            why=f"{taken}it is fetched from {model.sources[0].url}, {held}",
            ruling=ruling,
        )
    return Item(
        model=model, outcome="unknown", why=f"{taken}it is not here, and no source of it is known", ruling=ruling
    )
