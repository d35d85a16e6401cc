"""Which ComfyUI is meant, and by which settings."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model_manager.cli.channel import state_directory

if TYPE_CHECKING:
    from model_manager.facts.loaders import Live
from model_manager.settings import Settings

comfyui_option = click.option(
    "--comfyui", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="DIR",
    help="The ComfyUI that is meant (the directory with 'models'); default: the one of the settings.",
)  # fmt: skip


def settings_of(state_dir: Path | None) -> Settings:
    """Those of this shell, for this state directory."""
    from model_manager import settings as configuration

    state = state_directory(state_dir, os.environ)
    return configuration.load({**os.environ, "MODEL_MANAGER_STATE_DIR": str(state)})


live_option = click.option(
    "--live", metavar="URL",
    help="A running ComfyUI (http://127.0.0.1:8188), which says what each node that is installed there takes.",
)  # fmt: skip


def live_at(url: str | None) -> Live | None:
    """What a running ComfyUI says of its nodes; nothing without an address. Raises BadRequest, ComfyUIAway."""
    if url is None:
        return None
    from model_manager import settings as configuration
    from model_manager.decisions.workflows.surveying import surveyed
    from model_manager.sources.comfyui import surveyed_at

    ca_file = configuration.load().ca_file
    return surveyed(*asyncio.run(surveyed_at(url, str(ca_file) if ca_file else None)))
