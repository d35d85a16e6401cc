"""Which ComfyUI is meant, and by which settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model_manager.cli.channel import state_directory

if TYPE_CHECKING:
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
