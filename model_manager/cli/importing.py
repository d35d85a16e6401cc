"""What an environment needs of this machine, looked up in its index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from model_manager.agent.assignment.judging import candidates, layout_of
from model_manager.cli.model.opening import opened as opened_index
from model_manager.cli.workflow.judging import settings_of
from model_manager.errors import ModelManagerError, NothingIndexed
from model_manager.facts.analysis import Analysis, Item
from model_manager.facts.known import Known
from model_manager.facts.manifest import Manifest, ManifestModel
from model_manager.facts.model import Model, Size, Source
from model_manager.facts.resolution import Layout
from model_manager.facts.shelf import ShelfPath
from model_manager.index.reading import Shop

MOST: Final = 200
"""Files of which samples are hashed for one environment: each costs some milliseconds."""

THEIRS: Final = "xxh3_128_sample_v1"
"""comfygit's formula, of which our index knows nothing."""

Samples = dict[str, tuple[tuple[str, str], ...]]


def analysed(manifest: Manifest, state_dir: Path | None, comfyui: Path | None, *, optional: bool = True) -> Analysis:
    """Every model of a manifest; on a machine without an index nothing is here. Raises what reading the index raises."""
    from model_manager.decisions.analysing import analysis, wishes

    try:
        shop = opened_index(state_dir)
    except NothingIndexed:
        return analysis(manifest, (), Layout(assumed=True), optional=optional)
    with shop:
        layout = layout_of(settings_of(state_dir), shop, comfyui)
        files = candidates([wish for model in manifest.models for wish in wishes(model)], shop, layout)
        sized, samples = _sampled(manifest.models, shop)
    known = {each.file: each for each in (*files, *sized)}
    return analysis(manifest, known.values(), layout, samples=samples, optional=optional)


def _sampled(models: Iterable[ManifestModel], shop: Shop) -> tuple[tuple[Known, ...], Samples]:
    """Files of the sizes of models that are known by comfygit's samples alone, and those samples of them."""
    sizes = {model.size for model in models if model.size and not model.pin and THEIRS in dict(model.quick)}
    found = shop.of_size(sorted(sizes), limit=MOST) if sizes else ()
    return found, {known.file: ((THEIRS, digits),) for known in found if (digits := sample(known.file))}


def sample(file: str) -> str:
    """comfygit's quick hash of a file, '' when it cannot be read now."""
    from model_manager.library.contents.sampling import quick_hash

    try:
        return quick_hash(file, "xxh3_128_sample_v1")[1]
    except ModelManagerError:
        return ""


def models_of(items: Sequence[Item]) -> list[Model]:
    """What has to be linked, read or fetched, as the fetching engine takes it."""
    return [
        Model(
            name=item.model.name.rpartition("/")[2],
            path=ShelfPath(folder=item.model.folder, name=item.model.name),
            sources=tuple(Source(url=source.url) for source in item.model.sources),
            size=Size(bytes=item.model.size, exact=True) if item.model.size else None,
            pin=item.model.pin,
        )
        for item in items
        if item.outcome in ("linked", "read", "downloaded")
    ]
