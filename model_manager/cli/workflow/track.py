"""`model-manager workflow track`"""

from __future__ import annotations

from pathlib import Path

import click

from model_manager.agent.assignment.judging import judged, layout_of
from model_manager.cli.answers import json_option, state_option
from model_manager.cli.environment import Environment, environment_option, name_as_file, opened, plain, write
from model_manager.cli.model.counting import counted
from model_manager.cli.model.opening import opened_or_empty as opened_index
from model_manager.cli.model.shapes import print_json
from model_manager.cli.workflow.judging import comfyui_option, settings_of
from model_manager.cli.workflow.reading import sheet
from model_manager.cli.workflow.tracking import entered, insist_free, name_of, place_in
from model_manager.errors import BadRequest, printable
from model_manager.facts.manifest import Tracked


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--name", metavar="NAME", help="What it is called here; default: the file's name.")
@comfyui_option
@environment_option
@state_option
@json_option
def command(
    file: Path, name: str | None, comfyui: Path | None, directory: Path, state_dir: Path | None, as_json: bool
) -> None:
    """Make a workflow part of this environment: its models stand in the manifest, by hash as far as they are here and read.

    Once more for a workflow that is tracked, and its entry is brought up to date. What is missing is said and blocks nothing.
    """
    called = name or name_of(file)
    if name_as_file(called) != called:
        raise BadRequest(
            why=f"'{called}' is no name of a workflow", fix="Give it another --name, shorter or of plain letters."
        )
    environment = opened(directory)
    read = sheet(file)
    place = place_in(environment, file, called, plain=read.data is not None)
    insist_own(environment, called, place)
    copy = environment.directory / place
    if copy != plain(file):
        insist_free(copy, read.json)
    with opened_index(state_dir) as shop:
        layout = layout_of(settings_of(state_dir), shop, comfyui)
        found = judged(read.workflow, shop, layout)
        text, flow = entered(environment, called, place, read.workflow, found, shop)
    if not copy.exists():
        write(copy, read.json)
    environment.save(text)
    if as_json:
        print_json(
            {
                "name": called,
                "file": place,
                "models": list(flow.models),
                "unresolved": [each.label for each in flow.unresolved],
            }
        )
        return
    _print(flow)


def insist_own(environment: Environment, name: str, place: str) -> None:
    """Raises BadRequest when the name is another file's."""
    known = environment.manifest.workflow(name)
    if known is not None and known.file != place:
        why = f"'{name}' is the workflow {known.file} here already"
        raise BadRequest(why=why, fix="Give this one another --name.")


def _print(flow: Tracked) -> None:
    click.echo(f"{printable(flow.name)} is tracked, with {counted(len(flow.models), 'model')}")
    for each in flow.unresolved:
        click.echo(f"  without a hash yet: {printable(each.label)}", err=True)
    if flow.unresolved:
        click.echo(f"'model-manager workflow resolve {flow.name}' looks for them", err=True)
