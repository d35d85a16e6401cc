"""`model-manager plan`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from model_manager.cli.answers import answer, json_option, state_option
from model_manager.cli.figures import size_text
from model_manager.errors import printable

_STYLES = {"keep": "green", "fetch": "cyan", "link": "cyan", "check": "yellow", "refuse": "red"}
_COLUMNS: Final = ("step", "model", "size", "needed by", "why")

WIDE: Final = 100
"""Columns from which on a step's line says who needs it."""


@click.command()
@state_option
@json_option
def command(state_dir: Path | None, as_json: bool) -> None:
    """Show what the agent will do, step by step, so that this machine has what it was assigned."""
    body = answer(state_dir, "GET", "/plan")
    if as_json:
        click.echo(json.dumps(body, indent=2))
        return
    console = Console(highlight=False)
    columns = [name for name in _COLUMNS if name != "needed by" or console.width >= WIDE]
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold", justify="right" if name == "size" else "left")
    for step in body["steps"]:
        needed = ", ".join(step["needed_by"]) + ("" if step["required"] else " (optional)")
        cells: tuple[Text | str, ...] = (
            Text(step["step"], style=_STYLES.get(step["step"], "")),
            Text(printable(f"{step['folder']}/{step['name']}")),
            size_text(step["bytes"] or None) if step["step"] == "fetch" else "",
            Text(printable(needed)),
            Text(printable(step["why"])),
        )
        table.add_row(*(cell for name, cell in zip(_COLUMNS, cells, strict=True) if name in columns))
    console.print(table)
    unknown = sum(step["step"] == "fetch" and not step["bytes"] for step in body["steps"])
    more = f" and {unknown} of unknown size" if unknown else ""
    click.echo(
        f"{len(body['steps'])} models, {size_text(body['bytes'])}{more} to download, generation {body['generation']}"
    )
