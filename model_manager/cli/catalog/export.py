"""`model-manager catalog export`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import IO

import click

from model_manager.catalog.operating import exported
from model_manager.catalog.run import opened
from model_manager.cli.catalog.opening import address_of, database_option


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@database_option
def command(file: Path | None, database: str | None) -> None:
    """Write everything to FILE (else to standard output) as NDJSON, a record a line."""
    address = address_of(database)
    if file is None:
        asyncio.run(_export(address, sys.stdout.buffer))
        return
    aside = file.with_name(f"{file.name}.part")
    with aside.open("wb") as stream:
        count = asyncio.run(_export(address, stream))
        stream.flush()
        os.fsync(stream.fileno())
    aside.replace(file)
    click.echo(f"{count} records in {file}", err=True)


async def _export(address: Path | str, stream: IO[bytes]) -> int:
    count = 0
    async with opened(address) as store:
        async for line in exported(store):
            stream.write(line)
            count += 1
    return count
