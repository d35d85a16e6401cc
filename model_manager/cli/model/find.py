"""`model-manager model index find`"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import click

from model_manager.cli.answers import json_option, state_option
from model_manager.cli.model.choosing import hint, searched
from model_manager.cli.model.lines import lines
from model_manager.cli.model.opening import opened, say_what_next
from model_manager.cli.model.shapes import line_shape, print_array
from model_manager.errors import NoSuchModel


@click.command()
@click.argument("query")
@click.option("--folder", metavar="FOLDER", help="Only this folder: loras, or loras/style.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Models at most.")
@state_option
@json_option
def command(query: str, folder: str | None, limit: int, state_dir: Path | None, as_json: bool) -> None:
    """Models that QUERY may mean: a name or a part of it, a path, an address, or 6 or more digits of any hash.

    Exit code 65 when there is none.
    """
    with opened(state_dir) as shop:
        found = tuple(lines(shop, searched(shop, query, folder=folder, limit=limit + 1)))
        shown = tuple(islice(found, limit))
        if as_json:
            print_array(map(line_shape, shown))
        if not shown:
            say_what_next(shop)
            if as_json:
                sys.exit(NoSuchModel.exit_code)
            raise NoSuchModel(name=query, hint=hint(shop, query))
        if not as_json:
            from model_manager.cli.model.tables import print_models

            print_models(shown)
            if len(found) > limit:
                click.echo(f"more than {limit}: write more of it, or '--limit' a higher number", err=True)
