"""`model-manager verify`"""

from __future__ import annotations

from pathlib import Path

import click

from model_manager.cli.answers import answer, state_option


@click.command()
@state_option
def command(state_dir: Path | None) -> None:
    """Read every known model whole once more; what rotted on disk is fetched again."""
    files = answer(state_dir, "POST", "/verify")["files"]
    click.echo(f"verifying {files} files; 'model-manager events --follow' shows what is found")
