"""`model-manager scan`"""

from __future__ import annotations

from pathlib import Path

import click

from model_manager.cli.answers import answer, state_option


@click.command()
@state_option
def command(state_dir: Path | None) -> None:
    """Compare the model directories with the index now."""
    answer(state_dir, "POST", "/scan")
    click.echo("scanning; 'model-manager events --follow' shows what is found")
