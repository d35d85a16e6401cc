"""Which catalog a command means."""

from __future__ import annotations

from pathlib import Path

import click

from model_manager import settings as configuration
from model_manager.settings import Settings

database_option = click.option(
    "--database",
    metavar="FILE|URL",
    help="A file, or postgresql://…; default: DATABASE_URL, else <state>/catalog.sqlite.",
)


def address_of(given: str | None, settings: Settings | None = None) -> Path | str:
    """What was given, else what the settings say; the directory of a file is made. Raises BadSettings."""
    if given is None:
        settings = settings or configuration.load()
        if settings.database_url is not None:
            return settings.database_url.get_secret_value()
        given = str(settings.state / "catalog.sqlite")
    if "://" in given:
        return given
    path = Path(given).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
