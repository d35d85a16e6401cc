"""`model-manager workflow`: which models a workflow needs, which are here, and where the others come from."""

from __future__ import annotations

from typing import Final

import click

from model_manager.cli.model.lazily import Lazily

COMMANDS: Final = {
    "show": ("show", "Every model that a workflow names, where and how sure that is."),
    "check": ("check", "Will this ComfyUI load exactly these files?"),
    "resolve": ("resolve", "Get what is missing, and write the right names back."),
    "track": ("track", "Make a workflow part of this environment."),
    "list": ("list", "The workflows of this environment."),
}


@click.group(cls=Lazily, places=COMMANDS, room="model_manager.cli.workflow")
def command() -> None:
    """Workflows of ComfyUI, as JSON or in a picture, film or sound that it saved."""
