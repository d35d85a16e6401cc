"""`model-manager export`"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import click

from model_manager.cli.answers import state_option
from model_manager.cli.environment import Environment, environment_option, holds, name_as_file, opened, write
from model_manager.cli.importing import analysed
from model_manager.cli.model.counting import counted
from model_manager.errors import BadRequest, printable
from model_manager.facts.analysis import Analysis
from model_manager.facts.manifest import Manifest
from model_manager.library.disk import translating


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default=Path("environment.tar.gz"))
@click.option("--allow-issues", is_flag=True, help="Write it although something could not be had elsewhere.")
@environment_option
@state_option
def command(file: Path, allow_issues: bool, directory: Path, state_dir: Path | None) -> None:
    """Write this environment into FILE: its models by full hash with their sources, and its workflows. No model is in it."""
    environment = opened(directory)
    manifest = environment.manifest
    if not manifest.models and not manifest.workflows:
        why = f"{environment.directory} has no models and no workflows"
        raise BadRequest(
            why=why, fix="'model-manager workflow track FILE' and 'model add' make them part of it; -C names another."
        )
    found = analysed(manifest, state_dir, None)
    complete = _completed(manifest, found)
    issues = list(_issues(environment, complete, found))
    for issue in issues:
        click.echo(f"! {printable(issue, 500)}", err=True)
    if issues and not allow_issues:
        raise BadRequest(why="another machine could not have everything", fix="Mend it, or add --allow-issues.")
    write(file, _packed(environment, complete))
    models, workflows = counted(len(complete.models), "model"), counted(len(complete.workflows), "workflow")
    click.echo(f"{printable(file)}: {models}, {workflows}")


def _completed(manifest: Manifest, found: Analysis) -> Manifest:
    """With the full hashes and sources that the index knows by now."""
    known = {item.model.key: item.known for item in found.of("here", "linked", "likely") if item.known}
    models = []
    for model in manifest.models:
        digests = known[model.key].digests if model.key in known else None
        sha256 = model.sha256 or (digests and digests.sha256) or ""
        blake3 = model.blake3 or (digests and digests.blake3) or ""
        models.append(replace(model, sha256=sha256, blake3=blake3))
    return replace(manifest, models=tuple(models))


def _issues(environment: Environment, manifest: Manifest, found: Analysis) -> Iterator[str]:
    for model in manifest.models:
        if not model.pin:
            yield f"{model.label}: no full hash of it is known: read it ('model-manager model index sync')"
        if not model.sources:
            yield f"{model.label}: nobody says where it could come from: 'model-manager model add URL' names a source"
    for label in found.unresolved:
        yield f"{label}: a workflow names it, and it is not known by hash: 'model-manager workflow resolve'"
    for flow in manifest.workflows:
        if not holds(environment, flow):
            yield f"workflow {flow.name}: {flow.file} leads out of the environment and does not go along: track it anew"
        elif not os.path.isfile(environment.path_of(flow)):
            yield f"workflow {flow.name}: {flow.file} is not there"


def _packed(environment: Environment, manifest: Manifest) -> bytes:
    """Only our own tables of the manifest go along: others may hold what is nobody else's."""
    from model_manager.decisions.rewriting import with_model, with_workflow
    from model_manager.library.carried.parcels import MANIFEST, packed

    text, files = "", dict[str, bytes]()
    for model in manifest.models:
        text = with_model(text, model, MANIFEST)
    for flow in manifest.workflows:
        place = _place(flow.name, files)
        if holds(environment, flow) and os.path.isfile(environment.path_of(flow)):
            files[place] = _read(environment.path_of(flow))
        text = with_workflow(text, replace(flow, file=place), MANIFEST)
    return packed({**files, MANIFEST: text.encode()})


def _place(name: str, taken: Collection[str]) -> str:
    """Its own even where two names are the same as files."""
    kept = name_as_file(name)
    return next(
        place
        for number in count(1)
        if (place := f"workflows/{kept}{f'-{number}' if number > 1 else ''}.json") not in taken
    )


def _read(path: Path) -> bytes:
    """Raises BadRequest for what an import would not take, DiskUnavailable."""
    from model_manager.library.carried.parcels import MAX_FILE

    with translating(str(path), "read"), path.open("rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise BadRequest(
            why=f"{path} is larger than {MAX_FILE} bytes", fix="It is no workflow: take it out of the manifest."
        )
    return data
