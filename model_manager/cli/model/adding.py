"""`model-manager model add`"""

from __future__ import annotations

from pathlib import Path

import click

from model_manager.cli.answers import state_option
from model_manager.cli.bringing import brought, into_option, say
from model_manager.cli.environment import Environment, environment_option, opened
from model_manager.cli.model.choosing import meant
from model_manager.cli.model.lines import Line
from model_manager.cli.model.opening import opened as opened_index
from model_manager.cli.model.opening import opened_or_empty
from model_manager.cli.workflow.tracking import as_entered
from model_manager.errors import BadRequest, NoSuchModel, NotFound, printable
from model_manager.facts.description import Address
from model_manager.facts.identity import Pin
from model_manager.facts.known import Known
from model_manager.facts.manifest import ManifestModel, Tracked
from model_manager.facts.model import Model, Source
from model_manager.facts.shelf import ShelfPath
from model_manager.index.reading import Shop


@click.command()
@click.argument("what", metavar="HASH|URL|NAME")
@click.option("--optional", is_flag=True, help="Good to have: an import goes on without it.")
@click.option("--workflow", metavar="NAME", help="A tracked workflow that needs it.")
@click.option("--folder", metavar="FOLDER", help="For a URL: where it belongs, as 'loras' or 'loras/style'.")
@click.option("--as", "called", metavar="NAME", help="For a URL: the file's name, if not the address's.")
@click.option("--hash", "promised", metavar="HASH", help="For a URL: the hash that it must have, as 'sha256:…'.")
@into_option
@environment_option
@state_option
def command(
    what: str,
    optional: bool,
    workflow: str | None,
    folder: str | None,
    called: str | None,
    promised: str | None,
    into: Path | None,
    directory: Path,
    state_dir: Path | None,
) -> None:
    """Make a model part of this environment, by its full hash and with its sources. One at a URL is fetched first."""
    environment = opened(directory)
    flow = _workflow(environment, workflow)
    if "://" in what:
        known = _here(what, folder, promised, state_dir) or _fetched(
            _model(what, folder, called, promised), state_dir, into
        )
    else:
        known = _known(what, state_dir)
    model = as_entered(environment.manifest, _entry(known, state_dir), "optional" if optional else "required")
    environment.save(_text(environment, model, flow))
    click.echo(f"{printable(model.label)} is {model.importance} here, as {model.key}")


def _workflow(environment: Environment, name: str | None) -> Tracked | None:
    if name is None:
        return None
    if flow := environment.manifest.workflow(name):
        return flow
    raise NotFound(where=str(environment.file), name=f"workflow {name}")


def _model(url: str, folder: str | None, called: str | None, promised: str | None) -> Model:
    """Raises BadRequest for what is no address, or says too little; BadPath for a name that could leave the shelves."""
    address = Address.parse(url)
    if address is None:
        raise BadRequest(why="this is no http(s) address", fix="Write all of it, without a user name.")
    name = called or address.url.partition("?")[0].rpartition("/")[2]
    if folder is None:
        raise BadRequest(why="nobody says in which folder it belongs", fix="Add --folder, as 'checkpoints' or 'loras'.")
    pin = Pin.parse(promised)
    if promised is not None and pin is None:
        raise BadRequest(why=f"'{promised}' is no hash", fix="Write it as 'sha256:' and 64 digits.")
    path = ShelfPath.parse(f"{folder}/{name}", name)
    page = address.url.replace("/blob/", "/resolve/", 1) if address.kind == "huggingface" else address.url
    return Model(name=path.name, path=path, sources=(Source(url=page),), pin=pin)


def _here(url: str, folder: str | None, promised: str | None, state_dir: Path | None) -> Known | None:
    """What came from there once and lies here, read: it need not come again. None too when more is asked of it than is known."""
    address = Address.parse(url)
    if address is None or promised is not None:
        return None
    with opened_or_empty(state_dir) as shop:
        found = [known for known in shop.find(address.url) if known.digests and _came(shop, known, address)]
    return next((known for known in found if folder in (None, known.folder)), None)


def _came(shop: Shop, known: Known, address: Address) -> bool:
    return any(each.url == address.url for each in shop.show(known.content_id).addresses)


def _fetched(model: Model, state_dir: Path | None, into: Path | None) -> Known:
    say(brought(state_dir, [model], into))
    with opened_index(state_dir) as shop:
        found = [known for known in shop.find(str(model.path)) if (known.folder, known.name) == _place(model)]
    if not found:
        raise NoSuchModel(name=str(model.path), hint="It was fetched and left again: run the command once more.")
    return found[0]


def _place(model: Model) -> tuple[str, str]:
    return model.path.folder, model.path.name


def _known(what: str, state_dir: Path | None) -> Known:
    with opened_index(state_dir) as shop:
        found = meant(shop, what)
    if isinstance(found, Line):
        if found.bundle:
            why = f"{found.name} is a model of {len(found.parts)} files"
            raise BadRequest(why=why, fix="Add its files one by one.")
        return found.first
    if not found.locations:
        raise NoSuchModel(name=what, hint="It was here and is not any more: add it by its address.")
    return found.locations[0]


def _entry(known: Known, state_dir: Path | None) -> ManifestModel:
    """Raises BadRequest while nobody has read the file whole."""
    from model_manager.decisions.rewriting import model_of

    with opened_index(state_dir) as shop:
        sources = shop.show(known.content_id).addresses
    model = model_of(known, sources)
    if model is None:
        raise BadRequest(
            why=f"{known.file} is not read yet, so that its hash is unknown",
            fix="'model-manager model index sync' reads it.",
        )
    return model


def _text(environment: Environment, model: ManifestModel, flow: Tracked | None) -> str:
    from dataclasses import replace

    from model_manager.decisions.rewriting import with_model, with_workflow

    file = str(environment.file)
    text = with_model(environment.text, model, file)
    if flow is None or model.key in flow.models:
        return text
    rest = tuple(each for each in flow.unresolved if each.name.rpartition("/")[2] != model.name.rpartition("/")[2])
    return with_workflow(text, replace(flow, models=(*flow.models, model.key), unresolved=rest), file)
