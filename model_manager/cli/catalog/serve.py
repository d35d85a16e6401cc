"""`model-manager catalog serve`."""

from __future__ import annotations

import asyncio
from typing import Final

import click

from model_manager import settings as configuration
from model_manager.agent.logs import start_logs
from model_manager.catalog.run import run
from model_manager.catalog.server import Rules
from model_manager.cli.catalog.opening import address_of, database_option
from model_manager.settings import Settings

LOG: Final = "log/catalog.log"


@click.command()
@click.option("--host", help="Default: MODEL_MANAGER_CATALOG_HOST.")
@click.option("--port", type=click.IntRange(0, 65535), help="Default: MODEL_MANAGER_CATALOG_PORT; 0 = any free one.")
@click.option("--read-only", is_flag=True, help="Refuse all writes.")
@database_option
def command(host: str | None, port: int | None, read_only: bool, database: str | None) -> None:
    """Serve the catalog over HTTP until interrupted. An SQLite file of an older version is copied and migrated first."""
    settings = configuration.load()
    where = host or settings.catalog_host, settings.catalog_port if port is None else port
    address = address_of(database, settings)
    start_logs(settings.state / LOG, settings.log_level)
    rules = rules_of(settings, read_only=read_only)
    asyncio.run(run(address, *where, rules=rules, kept=settings.catalog_changes, started=_say))


def rules_of(settings: Settings, *, read_only: bool) -> Rules:
    """What the settings allow."""
    tokens = {"HF_TOKEN": settings.hf_token, "CIVITAI_TOKEN": settings.civitai_token}
    held = {name for name, token in tokens.items() if token is not None}
    return Rules(
        tokens=held | ({"CIVITAI_API_KEY"} if "CIVITAI_TOKEN" in held else set()),
        names=settings.catalog_names,
        origins=settings.catalog_origins,
        writers=settings.catalog_writers,
        per_minute=settings.catalog_requests,
        read_only=read_only,
    )


def _say(url: str) -> None:
    click.echo(f"catalog at {url}", err=True)
