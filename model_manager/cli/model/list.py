"""`model-manager model index list`"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import click

from model_manager.cli.answers import json_option, state_option
from model_manager.cli.model.counting import counted
from model_manager.cli.model.directories import path_of
from model_manager.cli.model.lines import Line, lines
from model_manager.cli.model.opening import opened, say_what_next
from model_manager.cli.model.shapes import line_shape, print_array
from model_manager.facts.known import Known, Order
from model_manager.facts.manifest import FOLDER_OF
from model_manager.index.reading import Shop

PAGE: Final = 500
LARGEST_PAGE: Final = 10_000
"""Files that are asked for at once: at first, and where many are wanted."""


@click.command()
@click.option("--folder", metavar="FOLDER", help="Only this folder: loras, or loras/style.")
@click.option("--type", "kind", metavar="TYPE", help="The same by ComfyDock's word for it: lora, checkpoint …")
@click.option("--dir", "directory", metavar="DIR", help="Only this tracked directory: its path, or its number.")
@click.option("--unverified", is_flag=True, help="Only what is not read yet, or was found to be odd.")
@click.option("--sort", "order", type=click.Choice(["name", "size", "added"]), default="name", show_default=True)
@click.option("--limit", type=click.IntRange(min=0), default=50, show_default=True, help="Models at most; 0 = all.")
@state_option
@json_option
def command(
    folder: str | None,
    kind: str | None,
    directory: str | None,
    unverified: bool,
    order: Order,
    limit: int,
    state_dir: Path | None,
    as_json: bool,
) -> None:
    """The models, by folder and name, large before small, or new before old. A model of several files is one line."""
    folder = folder or (kind and FOLDER_OF.get(kind, kind))
    with opened(state_dir) as shop:
        root = path_of(shop.directories(), directory) if directory else None
        found = islice(lines(shop, _pages(shop, folder, root, unverified, order)), limit or None)
        if as_json:
            print_array(map(line_shape, found))
            return
        shown = tuple(found)
        if not shown:
            _say_none(shop, folder or "", bool(folder or root or unverified))
            return
        _print(shop, shown, shop.count(folder=folder, directory=root, unverified=unverified))


def _pages(shop: Shop, folder: str | None, root: str | None, unverified: bool, order: Order) -> Iterator[Known]:
    offset, size = 0, PAGE
    while page := shop.listing(
        folder=folder, directory=root, unverified=unverified, order=order, limit=size, offset=offset
    ):
        yield from page
        offset, size = offset + size, min(2 * size, LARGEST_PAGE)


def _say_none(shop: Shop, folder: str, narrowed: bool) -> None:
    say_what_next(shop)
    if narrowed and shop.summary().files:
        said = _meant(folder) or "'model-manager model index list' shows all"
        click.echo(f"no such models here; {said}", err=True)


def _meant(folder: str) -> str:
    """The folder of ComfyUI that a mistyped one may be."""
    from model_manager.library.folders import FOLDERS

    first = folder.partition("/")[0]
    near = difflib.get_close_matches(first, FOLDERS, n=1) if first not in FOLDERS else []
    return f"did you mean '--folder {near[0]}'?" if near else ""


def _print(shop: Shop, shown: tuple[Line, ...], files: int) -> None:
    from model_manager.cli.model.tables import print_models

    print_models(shown)
    told = sum(len(line.parts) for line in shown)
    if told < files:
        click.echo(
            f"{counted(len(shown), 'model')}; {counted(files - told, 'file')} more, '--limit 0' shows all", err=True
        )
