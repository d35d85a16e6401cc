"""`model-manager model dir`: the directories that are looked at."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from model_manager.cli.answers import json_option, state_option
from model_manager.cli.model.counting import counted
from model_manager.cli.model.directories import absolute, path_of
from model_manager.cli.model.doing import Agent, done
from model_manager.cli.model.following import scanned
from model_manager.cli.model.opening import NOTHING_TRACKED, opened
from model_manager.errors import BadRequest, printable

if TYPE_CHECKING:
    from model_manager.workbench.bench import Workbench

WHOLE: Final = "models"
"""What `--as` says of a directory with folders in it, which no folder of ComfyUI is called."""

LOOKED_AT: Final = 10_000
"""Names of a directory that are looked at for models that lie directly in it."""


@click.group()
def command() -> None:
    """Which directories are looked at. They are only read; nothing is ever written to them."""


@command.command("add")
@click.argument("path")
@click.option(
    "--as", "folder", metavar="FOLDER",
    help=f"The folder that the whole directory is: loras, checkpoints …; '{WHOLE}' for one with such folders in it.",
)  # fmt: skip
@state_option
@json_option
def add(path: str, folder: str | None, state_dir: Path | None, as_json: bool) -> None:
    """Track PATH and look through it once; names are known at once, files are read later."""
    path = absolute(path)
    folder = _folder(path, folder)
    next_ = done(
        state_dir,
        agent=lambda agent: _added_by(agent, path, folder),
        bench=lambda bench: _added(bench, path, folder),
    )
    if as_json:
        _print_added(state_dir, path)
        return
    _say_added(state_dir, path, next_)


@command.command("remove")
@click.argument("path")
@state_option
@json_option
def remove(path: str, state_dir: Path | None, as_json: bool) -> None:
    """Forget PATH, which may be its number in 'dir list'. The files stay as they are."""
    with opened(state_dir) as shop:
        path = path_of(shop.directories(), path)
    done(
        state_dir,
        agent=lambda agent: _removed_by(agent, path),
        bench=lambda bench: _removed(bench, path),
    )
    if as_json:
        from model_manager.cli.model.shapes import print_json

        print_json({"path": path, "state": "not tracked"})
        return
    click.echo(f"{printable(path)} is not tracked any more; its files were not touched")


@command.command("list")
@state_option
@json_option
def list_(state_dir: Path | None, as_json: bool) -> None:
    """The directories with their state, what the last look found, and who tracks them."""
    with opened(state_dir) as shop:
        directories = shop.directories()
    if as_json:
        from model_manager.cli.model.shapes import directory_shape, print_array

        print_array(directory_shape(number, each) for number, each in enumerate(directories, 1))
        return
    if not directories:
        click.echo(NOTHING_TRACKED, err=True)
        return
    from model_manager.cli.model.tables import print_directories, print_whys

    print_directories(directories)
    print_whys(directories)


def _added_by(agent: Agent, path: str, folder: str | None) -> str:
    scanned(agent, lambda: agent.post("/directories", {"add": path, "folder": folder}))
    return "the agent reads them"


async def _added(bench: Workbench, path: str, folder: str | None) -> str:
    await bench.tracking.add(path, folder)
    await bench.noticing.reconcile()
    await bench.grouping.look()
    return "'model-manager model index sync' reads them"


async def _removed(bench: Workbench, path: str) -> None:
    await bench.tracking.remove(path)
    await bench.noticing.reconcile()


def _removed_by(agent: Agent, path: str) -> None:
    scanned(agent, lambda: agent.post("/directories", {"remove": path}))


def _print_added(state_dir: Path | None, path: str) -> None:
    from model_manager.cli.model.shapes import directory_shape, print_json

    with opened(state_dir) as shop:
        numbered = enumerate(shop.directories(), 1)
        print_json(next((directory_shape(number, each) for number, each in numbered if each.path == path), None))


def _say_added(state_dir: Path | None, path: str, next_: str) -> None:
    with opened(state_dir) as shop:
        files = shop.count(directory=path)
        away = next((each.why for each in shop.directories() if each.path == path), "")
    click.echo(f"{printable(path)} is tracked: {counted(files, 'model file')}")
    if away:
        click.echo(f"it is away: {printable(away)}", err=True)
    click.echo(f"'model-manager model index list' shows them, {next_}", err=True)


def _folder(path: str, given: str | None) -> str | None:
    """What the whole directory is, None for one with folders in it. Nothing is guessed: a person is asked.

    Raises BadRequest when nobody can be asked.
    """
    from model_manager.library.folders import FOLDERS

    if given is not None:
        _doubt(given, FOLDERS)
        return None if given == WHOLE else given
    name = os.path.basename(path)
    if name not in FOLDERS or not _holds_models(path):
        return None
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        why = f"models lie directly in {path}, so that it may be the folder '{name}' itself or a models directory"
        raise BadRequest(why=why, fix=f"Say which: '--as {name}', or '--as {WHOLE}' for one with folders in it.")
    asked = f"Models lie directly in {printable(path)}. Is the whole directory the folder '{name}' (--as {name})?"
    return name if click.confirm(asked, default=True, err=True) else None


def _doubt(given: str, folders: tuple[str, ...]) -> None:
    near = difflib.get_close_matches(given, folders, n=1)
    if given not in folders and given != WHOLE and near:
        click.echo(f"note: ComfyUI itself knows '{near[0]}', not '{printable(given)}'", err=True)


def _holds_models(path: str) -> bool:
    from itertools import islice

    from model_manager.facts.companions import is_model

    try:
        with os.scandir(path) as entries:
            return any(is_model(entry.name) and entry.is_file() for entry in islice(entries, LOOKED_AT))
    except OSError:
        return False  # whoever tracks it says why
