"""`model-manager model remove`"""

from __future__ import annotations

from pathlib import Path

import click

from model_manager.cli.environment import environment_option, opened
from model_manager.errors import NotFound, printable
from model_manager.facts.manifest import Manifest, ManifestModel


@click.command()
@click.argument("what", metavar="HASH|NAME")
@environment_option
def command(what: str, directory: Path) -> None:
    """Take a model out of this environment's manifest, and out of the workflows there. Its file stays where it is."""
    from model_manager.decisions.rewriting import without_model

    environment = opened(directory)
    manifest = environment.manifest
    model = meant(manifest, what, str(environment.file))
    environment.save(without_model(environment.text, model.key, str(environment.file)))
    used = manifest.used_by(model)
    click.echo(f"{printable(model.label)} is no part of this environment any more")
    if used:
        click.echo(f"still named by the workflow{'s' if len(used) > 1 else ''} {printable(', '.join(used))}", err=True)


def meant(manifest: Manifest, what: str, file: str) -> ManifestModel:
    """By key, by how a hash begins, or by name. Raises NotFound, click.UsageError when several are called so."""
    if found := manifest.model(what):
        return found
    named = [model for model in manifest.models if what in (model.label, model.name, model.name.rpartition("/")[2])]
    if len(named) > 1:
        lines = [f"  {model.key}  {printable(model.label)}" for model in named]
        raise click.UsageError("\n".join([f"'{printable(what)}' may be one of several; write its key:", *lines]))
    if not named:
        raise NotFound(where=file, name=f"model {what}")
    return named[0]
