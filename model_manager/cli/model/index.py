"""`model-manager model index`: what lies in the tracked directories."""

from __future__ import annotations

from typing import Final

import click

from model_manager.cli.model.lazily import Lazily

COMMANDS: Final = {
    "sync": ("sync", "Look through the directories, and read what nobody has read."),
    "status": ("status", "The index in figures, directory by directory."),
    "list": ("list", "The models, a page at a time."),
    "find": ("find", "Models by a part of their name, their path, hash or address."),
    "show": ("show", "Everything that is known of one model."),
    "duplicates": ("duplicates", "Bytes that lie on the disk more than once; replace them, undo it."),
    "verify": ("verify", "Read models whole once more and compare."),
    "import": ("importing", "Take in what another program knows of these files."),
    "missing": ("missing", "Models that were here, and where they could come from."),
}


@click.group(cls=Lazily, places=COMMANDS)
def command() -> None:
    """What lies in the tracked directories. Listing and finding work while an agent runs and while none does."""
