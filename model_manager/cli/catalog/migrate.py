"""`model-manager catalog migrate`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from model_manager.catalog.run import database_at
from model_manager.cli.catalog.opening import address_of, database_option


@click.command()
@click.option("--to", "target", default="head", show_default=True, metavar="REVISION", help="A revision, +1 or -1.")
@database_option
def command(target: str, database: str | None) -> None:
    """Bring the tables to the revision of this version, or with --to to another one.

    An SQLite file is copied first. Going down, what older tables cannot hold is lost: export before.
    """
    click.echo(asyncio.run(_migrate(address_of(database), target)))


async def _migrate(address: Path | str, target: str) -> str:
    database = database_at(address)
    try:
        return await database.migrate(target)
    finally:
        await database.close()
