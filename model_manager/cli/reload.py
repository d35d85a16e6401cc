"""`model-manager reload`"""

from __future__ import annotations

from pathlib import Path

import click

from model_manager.cli.answers import answer, state_option


@click.command()
@state_option
def command(state_dir: Path | None) -> None:
    """Read settings and assignment again; a bad change is refused whole and the old one stays."""
    answer(state_dir, "POST", "/reload")
    click.echo("reloaded")
