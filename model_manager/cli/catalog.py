"""`model-manager catalog`: serve or fill the built-in catalog."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from model_manager.catalog.loading import load
from model_manager.catalog.run import run
from model_manager.cli.channel import state_directory
from model_manager.errors import BadRecord
from model_manager.facts import wire

database_option = click.option(
    "--database", type=click.Path(path_type=Path), metavar="FILE", help="Default: <state>/catalog.sqlite."
)


@click.group()
def command() -> None:
    """The built-in catalog: models, workflows and collections in one SQLite file."""


def _database(given: Path | None) -> Path:
    return given or state_directory(None, os.environ) / "catalog.sqlite"


@command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Forget what the catalog has first.")
@database_option
def import_(file: Path, replace: bool, database: Path | None) -> None:
    """Load FILE: JSON with `models`, `workflows` and `collections`."""
    records = wire.loads(file.read_bytes(), str(file))
    if not isinstance(records, dict):
        raise BadRecord(name=str(file), why="it is not an object with models, workflows and collections")
    target = _database(database)
    target.parent.mkdir(parents=True, exist_ok=True)
    load(target, records, replace=replace)
    counts = ", ".join(f"{len(records.get(kind) or ())} {kind}" for kind in ("models", "workflows", "collections"))
    click.echo(f"{counts} loaded into {target}")


@command.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8484, show_default=True, type=click.IntRange(0, 65535))
@database_option
def serve(host: str, port: int, database: Path | None) -> None:
    """Serve the catalog over HTTP until interrupted."""
    target = _database(database)
    target.parent.mkdir(parents=True, exist_ok=True)
    asyncio.run(run(target, host, port, started=lambda url: click.echo(f"catalog at {url}", err=True)))
