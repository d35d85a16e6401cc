"""The index of a state directory, opened to read. It is read as a file: whether an agent runs does not matter."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from model_manager.cli.channel import state_directory
from model_manager.errors import NothingIndexed
from model_manager.index.reading import Shop

INDEX: Final = "index.sqlite"
"""Beside the agent's socket."""

NOTHING_TRACKED: Final = "no directory is looked at yet: 'model-manager model dir add DIRECTORY' names one"
NOTHING_INDEXED: Final = (
    "nothing is indexed here yet, so no model counts as here: 'model-manager model index sync' looks at the directories of the "
    "settings, 'model-manager model dir add DIRECTORY' at another"
)
NOTHING_FOUND: Final = "no models in the tracked directories: 'model-manager model index sync' looks again"


def opened(state_dir: Path | None) -> Shop:
    """Raises NothingIndexed, and what Shop.open raises."""
    state = state_directory(state_dir, os.environ)
    if not (state / INDEX).exists():
        raise NothingIndexed(state=state)
    return Shop.open(state / INDEX)


def opened_or_empty(state_dir: Path | None) -> Shop:
    """The same; on a machine where nothing is indexed yet an empty one, and on standard error what to do. Raises what Shop.open
    raises."""
    try:
        return opened(state_dir)
    except NothingIndexed:
        click.echo(NOTHING_INDEXED, err=True)
        return Shop.empty()


def say_what_next(shop: Shop) -> None:
    """On standard error, for an index without a file."""
    if not shop.summary().files:
        click.echo(NOTHING_FOUND if shop.directories() else NOTHING_TRACKED, err=True)
