"""`model-manager jobs cancel`"""

from __future__ import annotations

import click

from model_manager.bus.claims import Claims
from model_manager.cli.jobs.desk import asked
from model_manager.errors import printable


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
def command(ids: tuple[str, ...]) -> None:
    """Take jobs back. A worker that has one hears it at its next heartbeat, and stops."""
    asked(lambda claims: _cancelled(claims, ids))
    click.echo(f"cancelled {', '.join(map(printable, ids))}")


async def _cancelled(claims: Claims, ids: tuple[str, ...]) -> None:
    for id in ids:
        await claims.cancel(id)
