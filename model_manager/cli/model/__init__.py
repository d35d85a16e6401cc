"""`model-manager model`: the models of this machine, for a person."""

from __future__ import annotations

from typing import Final

import click

from model_manager.cli.model.lazily import Lazily

COMMANDS: Final = {
    "dir": ("dir", "Which directories are looked at."),
    "index": ("index", "What lies in them: list, find, duplicates, verify."),
}


@click.group(cls=Lazily, places=COMMANDS)
def command() -> None:
    """The models of this machine: which directories are looked at, and what lies in them."""
