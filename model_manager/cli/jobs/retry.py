"""`model-manager jobs retry`"""

from __future__ import annotations

import click

from model_manager.bus.claims import Claims
from model_manager.cli.jobs.desk import asked
from model_manager.errors import printable
from model_manager.facts.job import State


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--dead", is_flag=True, help="All jobs of the dead letter.")
def command(ids: tuple[str, ...], dead: bool) -> None:
    """Put jobs back into the queue, with all their attempts: dead, cancelled, or waiting for their next attempt."""
    if bool(ids) == dead:
        raise click.UsageError("Name jobs, or say --dead.")
    click.echo(f"{asked(lambda claims: _retried(claims, ids))} in the queue again")


async def _retried(claims: Claims, ids: tuple[str, ...], state: State = "dead") -> str:
    chosen = ids or tuple([each.id async for each in claims.jobs(state)])
    for id in chosen:
        await claims.retry(id)
    return printable(chosen[0]) if len(chosen) == 1 else f"{len(chosen)} jobs"
