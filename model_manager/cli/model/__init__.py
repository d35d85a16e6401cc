"""`model-manager model`: the models of this machine, for a person."""

from __future__ import annotations

from typing import Final

import click

from model_manager.cli.model.index import COMMANDS as INDEXED
from model_manager.cli.model.lazily import Lazily

COMMANDS: Final = {
    "dir": ("dir", "Which directories are looked at."),
    "add": ("adding", "Make a model part of this environment."),
    "remove": ("removing", "Take a model out of this environment; no file is removed."),
    "list": ("needing", "The models of this environment, and which of them are here."),
    "index": ("index", "What lies in them: list, find, duplicates, verify."),
}


ELSEWHERE: Final = {name: f"model-manager model index {name}" for name in INDEXED if name not in COMMANDS}
"""What people look for here: the index has it."""


@click.group(cls=Lazily, places=COMMANDS, elsewhere=ELSEWHERE)
def command() -> None:
    """The models of this machine: which directories are looked at, and what lies in them."""
