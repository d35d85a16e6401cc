"""`model-manager run`: the agent with what surrounds it on this machine."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import click

from model_manager import settings as configuration
from model_manager.agent.assignment.wanting import assignment_text
from model_manager.agent.logs import start_logs
from model_manager.agent.run import Surroundings, run
from model_manager.cli.onlooking import Onlooker
from model_manager.facts.model import Assignment
from model_manager.sample.run import sample
from model_manager.settings import Settings

LOG: Final = "log/model_manager.log"
SAMPLE_RATE: Final = 1_500_000
"""Bytes/s of each sample download: slow enough that a first run shows what it does."""

SAMPLE_STATE: Final = ".model_manager"


@click.command()
def command() -> None:
    """Run the machine agent until SIGINT or SIGTERM.

    Without any configuration it runs a small sample in ./.model_manager: an embedded server, a built-in catalog, an
    origin on this machine, and a few models of some MB.
    """
    asyncio.run(_run(dict(os.environ)))


async def _run(environ: dict[str, str]) -> None:
    demo = is_unconfigured(environ)
    if demo:
        environ |= sample_environment(Path.cwd())
    settings = configuration.load(environ)
    terminal = sys.stderr.isatty() and "pm_id" not in environ
    start_logs(settings.state / LOG, settings.log_level, console=not terminal)
    async with AsyncExitStack() as stack:
        catalog_url = settings.catalog_url or ""
        if not catalog_url:
            from model_manager.catalog.run import serve  # only who serves it pays for its database
        if demo:
            served = await stack.enter_async_context(sample(settings.state / "sample", serve, rate=SAMPLE_RATE))
            catalog_url = served.catalog_url
            environ["MODEL_MANAGER_ALLOW_HOSTS"] = ",".join(sorted(served.allow_hosts))
            settings = configuration.load(environ)
            _offer_assignment(settings.state / "assignment.json")
        elif not catalog_url:
            settings.state.mkdir(parents=True, exist_ok=True)
            catalog_url = await stack.enter_async_context(serve(settings.state / "catalog.sqlite"))
        onlooker = Onlooker(settings, demo=demo, terminal=terminal)
        surroundings = Surroundings(catalog_url=catalog_url, load=lambda: _load_again(environ), onlooker=onlooker.look)
        await run(settings, surroundings)


def _load_again(environ: Mapping[str, str]) -> Settings:
    return configuration.load(environ)


def is_unconfigured(environ: Mapping[str, str]) -> bool:
    """Whether nothing says what this machine is to do: then it shows the sample."""
    tokens = {"HF_TOKEN", "CIVITAI_TOKEN", "CIVITAI_API_KEY"}
    files = {f"{name}_FILE" for name in configuration.SECRETS}
    meaningful = configuration.names().keys() | files | {configuration.FILE_VARIABLE}
    harmless = {
        "MODEL_MANAGER_LOG_LEVEL",
        "MODEL_MANAGER_STATE_DIR",
        "DATABASE_URL",
        "DATABASE_URL_FILE",
        *tokens,
        *(f"{name}_FILE" for name in tokens),
    }
    return not any(environ.get(name, "").strip() for name in meaningful - harmless)


def sample_environment(directory: Path) -> dict[str, str]:
    """Where the sample lives and what it needs to run in a small disk."""
    state = os.environ.get("MODEL_MANAGER_STATE_DIR") or str(directory / SAMPLE_STATE)
    store = Path(state) / "models"
    store.parent.mkdir(parents=True, exist_ok=True)
    return {
        "MODEL_MANAGER_STATE_DIR": state,
        "MODEL_MANAGER_STORE": str(store),
        "MODEL_MANAGER_DISK_FLOOR": "50000000",
        "MACHINE_ID": "sample",
    }


def _offer_assignment(path: Path) -> None:
    """The sample's assignment is a file, so that a newcomer can change it and watch what happens."""
    if not path.exists():
        path.write_text(assignment_text(Assignment(workflows=("video-draft",), collections=("starter",))))
