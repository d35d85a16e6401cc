"""A workflow's entry in the manifest: which of its models are known by hash, and which are not yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from model_manager.agent.assignment.judging import UNINDEXED
from model_manager.cli.environment import Environment
from model_manager.cli.environment import plain as without_detours
from model_manager.errors import BadRequest
from model_manager.facts.description import Address
from model_manager.facts.known import Known
from model_manager.facts.manifest import Importance, Manifest, ManifestModel, Tracked, Unresolved
from model_manager.facts.resolution import Resolved, Ruling
from model_manager.facts.workflow import Workflow
from model_manager.index.reading import Shop
from model_manager.library.disk import translating


def entered(
    environment: Environment, name: str, file: str, workflow: Workflow, found: Iterable[Resolved], shop: Shop
) -> tuple[str, Tracked]:
    """The manifest's text with this workflow and its models, and its entry. Models that are optional there stay so."""
    from model_manager.decisions.rewriting import with_model, with_workflow

    manifest, text, what = environment.manifest, environment.text, str(environment.file)
    models: dict[str, ManifestModel] = {}
    loose: dict[str, Unresolved] = {}
    for each in found:
        for ruling in each.rulings if each.reference.active else ():
            known = meant(ruling)
            model = entry_of(shop, known, ruling, each.reference.url) if known else None
            if model is None:
                unresolved = _unresolved(each, ruling)
                loose[unresolved.label] = unresolved
                continue
            joined = as_entered(manifest, model)
            models[joined.key] = joined
    for model in models.values():
        text = with_model(text, model, what)
    nodes = tuple(dict.fromkeys(node.package or node.name for node in workflow.custom_nodes if node.active))
    flow = Tracked(name=name, file=file, models=tuple(models), nodes=nodes, unresolved=tuple(loose.values()))
    return with_workflow(text, flow, what), flow


def meant(ruling: Ruling) -> Known | None:
    """The file that is beyond doubt the one."""
    if ruling.state == "loads":
        return ruling.loaded
    return ruling.choice.known if ruling.choice else None


def entry_of(shop: Shop, known: Known, ruling: Ruling, url: str = "") -> ManifestModel | None:
    """A file of the index as an entry, where the workflow wants it; None while nobody has read it whole."""
    from model_manager.decisions.rewriting import model_of

    if known.content_id == UNINDEXED:
        return None
    addresses = [*shop.show(known.content_id).addresses, *filter(None, [Address.parse(url)])]
    wish = ruling.wish
    plain = ruling.state == "loads" and wish.kind == "file"
    return model_of(known, addresses, folder=wish.folder if plain else "", name=wish.name if plain else "")


def as_entered(manifest: Manifest, model: ManifestModel, importance: Importance | None = None) -> ManifestModel:
    """The model under the key that its bytes have there already, with the sources of both; as important as it was, if nobody says."""
    old = manifest.same(model)
    known = {source.url: source for source in (*(old.sources if old else ()), *model.sources)}
    return replace(
        model,
        key=old.key if old else model.key,
        importance=importance or (old.importance if old else "required"),
        sources=tuple(known.values()),
    )


def _unresolved(each: Resolved, ruling: Ruling) -> Unresolved:
    address = Address.parse(each.reference.url)
    name = ruling.wish.name.encode("utf-8", "replace").decode()  # TOML has no word for a lone surrogate
    return Unresolved(folder=ruling.wish.folder, name=name, sources=(address,) if address else ())


def place_in(environment: Environment, path: Path, name: str, *, plain: bool) -> str:
    """Where the manifest finds the workflow: a JSON below the environment stays where it is, all else becomes a copy in
    `workflows/`. Raises BadRequest when another file is there."""
    absolute = without_detours(path)
    if plain and absolute.is_relative_to(environment.directory):
        inside = str(absolute.relative_to(environment.directory))
        if inside.isprintable():
            return inside
    return f"workflows/{name}.json"


def insist_free(file: Path, data: bytes) -> None:
    """Raises BadRequest when a file is there with other bytes."""
    with translating(str(file), "read"):
        other = file.exists() and file.read_bytes() != data
    if other:
        raise BadRequest(
            why=f"{file} is there already, and says something else", fix="Give the workflow another --name."
        )


def name_of(path: Path) -> str:
    """What a file is called as a workflow: its name without endings."""
    plain = path.name.removesuffix(".json").removesuffix(".app") if path.name.endswith(".json") else path.stem
    return plain or path.name
