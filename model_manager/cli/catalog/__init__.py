"""`model-manager catalog`: models, workflows and collections as a service."""

from __future__ import annotations

from typing import Final

import click

from model_manager.cli.model.lazily import Lazily

COMMANDS: Final = {
    "serve": ("serve", "Serve it over HTTP."),
    "import": ("importing", "Take in records, and say what was wrong with them."),
    "export": ("export", "Write everything out; an import makes the same catalog of it."),
    "doctor": ("doctor", "Visit every address, and say and mend what is wrong."),
    "migrate": ("migrate", "Bring the database to another revision, with a copy before."),
}


@click.group(cls=Lazily, places=COMMANDS, room="model_manager.cli.catalog")
def command() -> None:
    """The catalog: models, workflows and collections, in one SQLite file or in PostgreSQL."""
