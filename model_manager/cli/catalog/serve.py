"""`model-manager catalog serve`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import click

from model_manager import settings as configuration
from model_manager.agent.logs import start_logs
from model_manager.catalog.beside import leading, led
from model_manager.catalog.run import run
from model_manager.catalog.server import Rules
from model_manager.catalog.tracing import tracer_at
from model_manager.cli.catalog.opening import address_of, database_option
from model_manager.cli.catalog.visiting import visitor
from model_manager.settings import Settings

LOG: Final = "log/catalog{}.log"
PROGRAM: Final = (sys.executable, "-P", "-c", "from model_manager.cli.main import main; main()")


@click.command()
@click.option("--host", help="Default: MODEL_MANAGER_CATALOG_HOST.")
@click.option("--port", type=click.IntRange(0, 65535), help="Default: MODEL_MANAGER_CATALOG_PORT; 0 = any free one.")
@click.option("--read-only", is_flag=True, help="Refuse all writes.")
@database_option
@click.option("--beside", type=click.IntRange(2), hidden=True, help="We are this one of several processes.")
def command(host: str | None, port: int | None, read_only: bool, database: str | None, beside: int | None) -> None:
    """Serve the catalog over HTTP until interrupted. An SQLite file of an older version is copied and migrated first."""
    settings = configuration.load()
    where = host or settings.catalog_host, settings.catalog_port if port is None else port
    address = address_of(database, settings)
    start_logs(settings.state / (LOG.format("" if beside is None else f"-{beside}")), settings.log_level)
    rules = rules_of(settings, read_only=read_only)
    others = led if beside else leading(*_others(settings, address, read_only))
    told = _quiet if beside else _say
    tracer = tracer_at(settings.otlp_endpoint)
    asyncio.run(
        run(address, *where, rules=rules, kept=settings.catalog_changes, beside=others, started=told, tracer=tracer)
    )


def _others(settings: Settings, address: Path | str, read_only: bool) -> tuple[list[Sequence[str]], Mapping[str, str]]:
    """The commands of the processes beside this one, and their environment: what may hold a password goes that way."""
    given = ("--database", str(address)) if isinstance(address, Path) else ()
    more = (*given, *(("--read-only",) if read_only else ()))
    environ = {**os.environ, **({} if given else {"DATABASE_URL": str(address)})}
    numbers = range(2, settings.catalog_processes + 1)
    return [(*PROGRAM, "catalog", "serve", "--beside", str(number), *more) for number in numbers], environ


def rules_of(settings: Settings, *, read_only: bool) -> Rules:
    """What the settings allow."""
    tokens = {"HF_TOKEN": settings.hf_token, "CIVITAI_TOKEN": settings.civitai_token}
    held = {name for name, token in tokens.items() if token is not None}
    return Rules(
        tokens=held | ({"CIVITAI_API_KEY"} if "CIVITAI_TOKEN" in held else set()),
        names=settings.catalog_names,
        origins=settings.catalog_origins,
        writers=settings.catalog_writers,
        per_minute=-(-settings.catalog_requests // settings.catalog_processes),
        read_only=read_only,
        visiting=partial(visitor, settings),
    )


def _say(url: str) -> None:
    click.echo(f"catalog at {url}", err=True)


def _quiet(_url: str) -> None:
    """Who began us has said it."""
