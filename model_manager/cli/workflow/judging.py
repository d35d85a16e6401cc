"""Where the ComfyUI of this machine looks, and what it would load for each reference."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from model_manager.cli.channel import state_directory
from model_manager.facts.disk import Fingerprint
from model_manager.facts.known import Known
from model_manager.facts.resolution import Extra, Layout, Resolved, Wish
from model_manager.facts.workflow import Workflow
from model_manager.index.reading import Shop

if TYPE_CHECKING:
    from model_manager.settings import Settings

comfyui_option = click.option(
    "--comfyui", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="DIR",
    help="The ComfyUI that is meant (the directory with 'models'); default: the one of the settings.",
)  # fmt: skip

UNINDEXED: Final = -1
"""The content of a file that ComfyUI sees and the index does not look at."""


def settings_of(state_dir: Path | None) -> Settings:
    """Those of this shell, for this state directory."""
    from model_manager import settings as configuration

    state = state_directory(state_dir, os.environ)
    return configuration.load({**os.environ, "MODEL_MANAGER_STATE_DIR": str(state)})


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
    from model_manager.library.folders import FOLDERS, extra_places

    own = base / "extra_model_paths.yaml" if base else None
    files = [own] if own and own.is_file() else []
    for file in (*files, *map(Path, settings.extra_model_paths)):
        yield from extra_places(str(file), os.environ)
    for folder in sorted(FOLDERS) if store else ():
        from model_manager.facts.shelf import CATEGORY_OF

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
    from model_manager.decisions.resolving import resolved, wishes

    wanted = [wish for reference in workflow.references for wish in wishes(workflow, reference)]
    return resolved(workflow, candidates(wanted, shop, layout), layout)


def candidates(wanted: Sequence[Wish], shop: Shop, layout: Layout) -> list[Known]:
    """The files that the index knows and that could be meant, and those that ComfyUI finds where the index does not look."""
    from model_manager.decisions.resolving import keys

    found = list(shop.candidates(*keys(wanted)))
    roots = [each.path for each in shop.directories()]
    return [*found, *_unindexed(wanted, layout, roots)]


def _unindexed(wanted: Iterable[Wish], layout: Layout, roots: Sequence[str]) -> Iterator[Known]:
    from model_manager.library.scanning import fingerprint_of

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
