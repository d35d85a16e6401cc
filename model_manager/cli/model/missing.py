"""`model-manager model index missing`"""

from __future__ import annotations

from pathlib import Path

import click

from model_manager.cli.answers import json_option, state_option
from model_manager.cli.figures import size_text
from model_manager.cli.model.opening import opened
from model_manager.cli.model.shapes import missing_shape, print_array
from model_manager.errors import printable
from model_manager.facts.known import Missing


@click.command()
@state_option
@json_option
def command(state_dir: Path | None, as_json: bool) -> None:
    """Models that were here and are not any more: where they lay, and where they could come from."""
    with opened(state_dir) as shop:
        missing = shop.missing()
    if as_json:
        print_array(map(missing_shape, missing))
        return
    for each in missing:
        click.echo("\n".join(_said(each)))
    click.echo(f"{len(missing):,} missing" if missing else "nothing is missing", err=True)


def _said(missing: Missing) -> list[str]:
    known = f"sha256 {missing.digests.sha256}" if missing.digests.sha256 else f"blake3 {missing.digests.blake3}"
    sources = [f"  from {printable(address.url)}" for address in missing.addresses]
    return [
        f"{printable(missing.file)}  {size_text(missing.size)}",
        f"  {known}",
        *(sources or ["  from nowhere that we know"]),
    ]
