"""Where the ComfyUI of this machine looks, and what it would load for each reference of a workflow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_manager.decisions.resolving import base, keys, resolved, wishes
from model_manager.facts.description import Address
from model_manager.facts.disk import Fingerprint
from model_manager.facts.known import Known, Missing
from model_manager.facts.resolution import Extra, Layout, Resolved, Wish
from model_manager.facts.shelf import CATEGORY_OF
from model_manager.facts.workflow import Workflow
from model_manager.index.reading import Shop
from model_manager.library.folders import FOLDERS, extra_places
from model_manager.library.scanning import fingerprint_of

if TYPE_CHECKING:
    from model_manager.settings import Settings

UNINDEXED: Final = -1
"""The content of a file that ComfyUI sees and the index does not look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """`found`: one list of rulings for each workflow, over `files`. `addresses`: from where a wish came once, that is not here."""

    found: tuple[tuple[Resolved, ...], ...]
    files: tuple[Known, ...]
    addresses: Mapping[Wish, tuple[Address, ...]]


def judgement(
    shop_of: Callable[[], Shop], settings: Settings, workflows: Sequence[Workflow], *, indexed: bool
) -> Judged:
    """What this machine's ComfyUI would load. Blocks. `indexed`: only of what the index holds, on which a gate may rest.

    Raises IndexUnavailable, and BadSetting for an unreadable YAML.
    """
    wanted = [wish for flow in workflows for reference in flow.references for wish in wishes(flow, reference)]
    with shop_of() as shop:
        layout = layout_of(settings, shop, None)
        files = tuple(shop.candidates(*keys(wanted)) if indexed else candidates(wanted, shop, layout))
        gone = shop.missing()
    found = tuple(resolved(flow, files, layout) for flow in workflows)
    lacking = {ruling.wish for flow in found for each in flow for ruling in each.rulings if ruling.loaded is None}
    return Judged(found=found, files=files, addresses=dict(_addresses(lacking, gone)))


def _addresses(lacking: Iterable[Wish], gone: Iterable[Missing]) -> Iterator[tuple[Wish, tuple[Address, ...]]]:
    """What was here once, by its promised hash, else by its name."""
    known = [each for each in gone if each.addresses]
    for wish in lacking:
        pin, name = wish.pin, base(wish.name)
        same = (each for each in known if (pin.agrees(each.digests) if pin else base(each.file) == name))
        if addresses := tuple(address for each in same for address in each.addresses):
            yield wish, addresses


def layout_of(settings: Settings, shop: Shop, comfyui: Path | None) -> Layout:
    """Without any ComfyUI every tracked directory counts as one that it searches. Raises BadSetting for an unreadable YAML."""
    directories = shop.directories()
    roots = [each.path for each in directories]
    base = comfyui.absolute() if comfyui else settings.comfyui_base
    tree = comfyui.absolute() / "models" if comfyui else settings.comfyui_models_dir
    store = next((each.path for each in directories if each.own), None)
    if tree is None:
        trees = tuple(each.path for each in sorted(directories, key=lambda each: not each.own) if not each.folder)
        extras = tuple(Extra(category=each.folder, path=each.path) for each in directories if each.folder)
        return Layout(trees=trees, extras=extras, assumed=True)
    shown = [str(tree)] + ([store] if store and settings.expose == "links" else [])
    extras = tuple(_extras(settings, base, store if settings.expose == "none" else None))
    return Layout(
        trees=tuple(dict.fromkeys(as_indexed(path, roots) for path in shown)),
        extras=tuple(
            Extra(category=each.category, path=as_indexed(each.path, roots), first=each.first) for each in extras
        ),
        outputs=str(base / "output") if base else "",
    )


def _extras(settings: Settings, base: Path | None, store: str | None) -> Iterator[Extra]:
    """In ComfyUI's order: the file in its own directory, those that were named, then the store's, which comes first."""
    own = base / "extra_model_paths.yaml" if base else None
    files = [own] if own and own.is_file() else []
    for file in (*files, *map(Path, settings.extra_model_paths)):
        yield from extra_places(str(file), os.environ)
    for folder in sorted(FOLDERS) if store else ():
        yield Extra(category=CATEGORY_OF.get(folder, folder), path=f"{store}/{folder}", first=True)


def as_indexed(path: str, roots: Sequence[str]) -> str:
    """A directory under the name by which the index knows it, whatever links lead there."""
    real = os.path.realpath(path)
    for root in roots:
        there = os.path.realpath(root)
        if real == there or real.startswith(f"{there}/"):
            return root + real[len(there) :]
    return os.path.abspath(path)


def judged(workflow: Workflow, shop: Shop, layout: Layout) -> tuple[Resolved, ...]:
    """Every reference of a workflow, with the ruling on each of its files."""
    wanted = [wish for reference in workflow.references for wish in wishes(workflow, reference)]
    return resolved(workflow, candidates(wanted, shop, layout), layout)


def candidates(wanted: Sequence[Wish], shop: Shop, layout: Layout) -> list[Known]:
    """The files that the index knows and that could be meant, and those that ComfyUI finds where the index does not look."""
    found = list(shop.candidates(*keys(wanted)))
    roots = [each.path for each in shop.directories()]
    return [*found, *_unindexed(wanted, layout, roots)]


def _unindexed(wanted: Iterable[Wish], layout: Layout, roots: Sequence[str]) -> Iterator[Known]:
    seen: set[str] = set()
    for wish in wanted:
        for folder in wish.folders:
            for directory in layout.directories(folder):
                file = os.path.normpath(f"{directory}/{wish.name}")
                if file in seen or any(file.startswith(f"{root}/") for root in roots):
                    continue
                seen.add(file)
                if os.path.isfile(file) and (mark := fingerprint_of(file)) is not None:
                    yield _seen(file, directory, folder, wish.name, mark)


def _seen(file: str, directory: str, folder: str, name: str, mark: Fingerprint) -> Known:
    return Known(content_id=UNINDEXED, file=file, root=directory, folder=folder, name=name, fingerprint=mark)
