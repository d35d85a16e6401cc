"""`model-manager workflow show`"""

from __future__ import annotations

from pathlib import Path

import click

from model_manager.cli.answers import json_option
from model_manager.cli.environment import environment_option, opened, workflow_path
from model_manager.cli.model.counting import counted
from model_manager.cli.model.shapes import print_json
from model_manager.cli.workflow.judging import live_at, live_option
from model_manager.cli.workflow.reading import sheet
from model_manager.cli.workflow.shapes import workflow_shape
from model_manager.errors import printable
from model_manager.facts.workflow import Workflow


@click.command()
@click.argument("what", metavar="FILE|NAME")
@live_option
@environment_option
@json_option
def command(what: str, live: str | None, directory: Path, as_json: bool) -> None:
    """Every model that a workflow names: the node, where it says so, the folder, and how sure that is.

    FILE is a JSON of any form, or a picture, film or sound that ComfyUI saved; NAME a workflow that this environment tracks.
    """
    path, _ = workflow_path(opened(directory), what)
    found = sheet(path, live_at(live)).workflow
    if as_json:
        print_json({"file": str(path), **workflow_shape(found)})
        return
    _print(found)


def _print(found: Workflow) -> None:
    """Names stay whole, however narrow the terminal is: a person copies them."""
    for each in found.references:
        idle = "" if each.active else f"  (not active: {each.reason})"
        click.echo(printable(f"{each.folder or '?'}/{each.text}{idle}", 1000))
        node = " ".join(filter(None, ("/".join(each.node), each.node_type, each.input)))
        click.echo(printable(f"    {node}: {each.confidence}, by {each.evidence}", 1000))
    click.echo(f"{counted(len(found.needed), 'reference')} of {counted(found.nodes, 'node')}", err=True)
    for kind in found.custom_nodes:
        click.echo(f"custom node: {printable(kind.name)} {printable(kind.package)}".rstrip(), err=True)
    for odd in found.oddities:
        where = f"node {'/'.join(odd.node)} {odd.node_type}: " if odd.node else ""
        click.echo(f"! {printable(where + odd.why)}", err=True)
