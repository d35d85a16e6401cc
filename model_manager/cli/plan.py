"""`model-manager plan`"""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from model_manager.cli.answers import answer, json_option, state_option
from model_manager.cli.figures import size_text
from model_manager.errors import printable

_STYLES = {"keep": "green", "fetch": "cyan", "link": "cyan", "check": "yellow", "refuse": "red"}


@click.command()
@state_option
@json_option
def command(state_dir: Path | None, as_json: bool) -> None:
    """Show what the agent will do, step by step, so that this machine has what it was assigned."""
    body = answer(state_dir, "GET", "/plan")
    if as_json:
        click.echo(json.dumps(body, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for name in ("step", "model", "size", "needed by", "why"):
        table.add_column(name, overflow="fold", justify="right" if name == "size" else "left")
    for step in body["steps"]:
        needed = ", ".join(step["needed_by"]) + ("" if step["required"] else " (optional)")
        table.add_row(
            Text(step["step"], style=_STYLES.get(step["step"], "")),
            Text(printable(f"{step['folder']}/{step['name']}")),
            size_text(step["bytes"]) if step["bytes"] else "",
            Text(printable(needed)),
            Text(printable(step["why"])),
        )
    Console(highlight=False).print(table)
    click.echo(f"{len(body['steps'])} models, {size_text(body['bytes'])} to download, generation {body['generation']}")
