"""`model-manager model list`"""

from __future__ import annotations

from pathlib import Path

import click

from model_manager.cli.answers import json_option, state_option
from model_manager.cli.environment import Environment, environment_option, opened
from model_manager.cli.figures import size_text
from model_manager.cli.importing import analysed
from model_manager.cli.model.shapes import print_json
from model_manager.errors import printable
from model_manager.facts.analysis import Analysis, Item
from model_manager.facts.manifest import Manifest


@click.command()
@environment_option
@state_option
@json_option
def command(directory: Path, state_dir: Path | None, as_json: bool) -> None:
    """The models of this environment: required or optional, here or not, and which workflows need them."""
    environment = opened(directory)
    manifest = environment.manifest
    found = analysed(manifest, state_dir, None)
    if as_json:
        print_json([_shape(manifest, item) for item in found.items])
        return
    if not found.items:
        click.echo(
            f"no model is part of {environment.directory}: 'model-manager model add', or 'workflow track'", err=True
        )
        return
    _print(environment, manifest, found)


def _shape(manifest: Manifest, item: Item) -> dict[str, object]:
    model = item.model
    return {
        "key": model.key,
        "folder": model.folder,
        "name": model.name,
        "importance": model.importance,
        "size": model.size,
        "sha256": model.sha256 or None,
        "blake3": model.blake3 or None,
        "sources": [source.url for source in model.sources],
        "workflows": list(manifest.used_by(model)),
        "state": item.outcome,
        "file": item.known.file if item.known else None,
        "why": item.why,
    }


def _print(environment: Environment, manifest: Manifest, found: Analysis) -> None:
    from model_manager.cli.model.tables import console, table

    made = table("model", "size", "key", "needed", "state", "workflows")
    for item in found.items:
        model = item.model
        size = size_text(model.size) if model.size else "?"
        used = ", ".join(manifest.used_by(model))
        made.add_row(*map(printable, (model.label, size, model.key, model.importance, item.outcome, used)))
    console().print(made)
    for odd in manifest.oddities:
        click.echo(f"! {environment.file}: {printable(odd)}", err=True)
