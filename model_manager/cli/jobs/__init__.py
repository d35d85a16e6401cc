"""`model-manager jobs`: hand jobs in, see them, and see why nobody takes one."""

from __future__ import annotations

from typing import Final

import click

from model_manager.cli.model.lazily import Lazily

COMMANDS: Final = {
    "submit": ("submit", "Hand a job in."),
    "list": ("list", "Show jobs that wait, run, are dead or done."),
    "explain": ("explain", "Say which machines can take a job, and why others cannot."),
    "retry": ("retry", "Put dead or cancelled jobs back into the queue."),
    "cancel": ("cancel", "Take jobs back."),
    "work": ("work", "Run a command for one job after the other."),
}


@click.group(cls=Lazily, places=COMMANDS, room="model_manager.cli.jobs")
def command() -> None:
    """Jobs go only to machines that have their models."""
