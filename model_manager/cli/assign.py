"""`model-manager assign`: push an assignment to a running machine."""

from __future__ import annotations

import asyncio

import click

from model_manager import settings as configuration
from model_manager.bus.assignments import push
from model_manager.bus.connection import connect
from model_manager.bus.keys import Keys
from model_manager.errors import BadSetting
from model_manager.facts.identity import MachineId
from model_manager.facts.model import Assignment


@click.command()
@click.argument("machine_id")
@click.option("--workflow", "workflows", multiple=True, metavar="NAME")
@click.option("--collection", "collections", multiple=True, metavar="ID")
@click.option("--model", "models", multiple=True, metavar="NAME")
@click.option("--replace", is_flag=True, help="Serve only this, whatever the machine's own configuration says.")
def command(
    machine_id: str, workflows: tuple[str, ...], collections: tuple[str, ...], models: tuple[str, ...], replace: bool
) -> None:
    """Push an assignment to MACHINE_ID through the Redis of REDIS_URL; it is added to what the machine serves."""
    assignment = Assignment(workflows=workflows, collections=collections, models=models)
    asyncio.run(_assign(MachineId.parse(machine_id), assignment, replace))
    click.echo(f"assigned to {machine_id}")


async def _assign(machine: MachineId, assignment: Assignment, replace: bool) -> None:
    settings = configuration.load()
    if settings.redis_url is None:
        raise BadSetting(name="REDIS_URL", why="it is not set", fix="Name the Redis that the machine uses.")
    redis = connect(settings.redis_url.get_secret_value(), prefix=settings.redis_prefix, trust=settings.redis_trust)
    try:
        await push(redis, Keys(settings.redis_prefix), machine, assignment, "replace" if replace else "add")
    finally:
        await redis.aclose()
