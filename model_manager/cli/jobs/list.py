"""`model-manager jobs list`"""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from model_manager.bus.claims import Claims
from model_manager.bus.job_answers import named
from model_manager.bus.jobs import PAGE
from model_manager.cli.answers import json_option
from model_manager.cli.jobs.asking import print_json
from model_manager.cli.jobs.desk import asked
from model_manager.errors import printable
from model_manager.facts.job import Filed, State

STATES = ("pending", "running", "delayed", "dead", "done")


@click.command()
@click.argument("id", required=False)
@click.option("--state", type=click.Choice(STATES), default="pending", show_default=True)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Jobs at most.")
@json_option
def command(id: str | None, state: State, limit: int, as_json: bool) -> None:
    """Show jobs in a state, the first 100 that are pending in the order of claiming; or the one job ID."""
    found = asked(lambda claims: _found(claims, id, state, limit))
    if as_json:
        print_json(found)
    elif not found:
        click.echo(f"no job is {state}", err=True)
    else:
        _show(found)


async def _found(claims: Claims, id: str | None, state: State, limit: int) -> tuple[Filed, ...]:
    if id is not None:
        return (await claims.job(id),)
    first = await claims.next_up(min(limit, PAGE)) if state == "pending" else ()
    if len(first) == limit or (state == "pending" and len(first) < PAGE):
        return first
    shown = {each.id for each in first}
    more = [each async for each in claims.jobs(state, at_most=limit) if each.id not in shown]
    return (*first, *more)[:limit]


def _show(found: tuple[Filed, ...]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("job", "state", "priority", "attempts", "who has it", "asks for", "why"):
        table.add_column(name, overflow="fold", justify="right" if name == "priority" else "left")
    for job in found:
        table.add_row(
            Text(printable(job.id)), job.state, str(job.priority), f"{job.attempts} of {job.max_attempts}",
            Text(printable(f"{job.machine} {job.worker}".strip())), Text(_asked(job)), Text(printable(job.why, 120)),
        )  # fmt: skip
    Console(highlight=False).print(table)


def _asked(job: Filed) -> str:
    """The service and the models; where they are, when that is known."""
    services = [name for key in ("service", "service_type", "service_required") for name in _all(job.asks.get(key))]
    where = {each.model: each.machines for each in job.models}
    models = [f"{name} (on {where[name]})" if name in where else name for name in _all(job.asks.get("models"))]
    return printable(" ".join([*dict.fromkeys(services), *models]), 120)


def _all(said: Any) -> list[str]:
    """One or many, by their words."""
    return [named(each) for each in (said if isinstance(said, list) else [said] if said else [])]
