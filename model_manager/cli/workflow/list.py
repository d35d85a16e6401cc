"""`model-manager workflow list`"""

from __future__ import annotations

from pathlib import Path

import click

from model_manager.cli.answers import json_option
from model_manager.cli.environment import Environment, environment_option, opened
from model_manager.cli.model.shapes import print_json
from model_manager.errors import printable
from model_manager.facts.manifest import Tracked


@click.command()
@environment_option
@json_option
def command(directory: Path, as_json: bool) -> None:
    """The workflows of this environment, with how many of their models its manifest knows."""
    environment = opened(directory)
    manifest = environment.manifest
    if as_json:
        print_json([_shape(environment, flow) for flow in manifest.workflows])
        return
    if not manifest.workflows:
        click.echo(f"no workflow is tracked in {environment.directory}: 'model-manager workflow track FILE'", err=True)
        return
    from model_manager.cli.model.tables import console, table

    made = table("workflow", "file", "models", "unresolved")
    for flow in manifest.workflows:
        gone = "" if environment.path_of(flow).is_file() else " (not there)"
        known = len(manifest.needed(flow))
        made.add_row(printable(flow.name), printable(flow.file + gone), str(known), str(len(flow.unresolved) or ""))
    console().print(made)


def _shape(environment: Environment, flow: Tracked) -> dict[str, object]:
    return {
        "name": flow.name,
        "file": flow.file,
        "there": environment.path_of(flow).is_file(),
        "models": list(flow.models),
        "nodes": list(flow.nodes),
        "unresolved": [each.label for each in flow.unresolved],
    }
