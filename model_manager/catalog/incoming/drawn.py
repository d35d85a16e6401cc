"""A workflow of ComfyUI, as its editor or its queue writes it → a workflow of the catalog, and the models that it says whence to get."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePath

from model_manager.catalog.incoming.findings import Finding, Incoming, found
from model_manager.catalog.incoming.intake import incoming
from model_manager.catalog.incoming.spelling import is_name
from model_manager.catalog.records import CatalogWorkflow, CustomNode, Need
from model_manager.errors import BadRecord, BadWorkflow, printable
from model_manager.facts.workflow import Reference, Workflow

CORE = "comfy-core"


def from_workflow(document: object, path: str) -> Iterator[Incoming]:
    """The models first, so that the workflow's needs lead somewhere; it has the name of its file. Raises BadRecord for none."""
    try:
        read = _read(document, path)
    except BadWorkflow as error:
        raise BadRecord(**error.facts) from None
    name = PurePath(path).stem.strip()
    if not is_name(name):
        raise BadRecord(name=path, why="the name of the file is no name for a workflow; give it another one")
    for reference in {each.names[0]: each for each in _ours(read) if each.url}.values():
        yield _model(reference, path)
    yield Incoming(record=_workflow(read, name), findings=tuple(_oddities(read, name)), where=path)


def folders_of(read: Workflow) -> Iterator[tuple[str, str]]:
    """(name, folder) of each model that it loads."""
    for reference in _ours(read):
        yield from ((name, reference.folder) for name in reference.names if reference.folder)


def expected_of(documents: Iterable[tuple[object, str]]) -> dict[str, set[str]]:
    """Name → folders from which workflows load it; of each document and what it is called. Raises BadWorkflow for one that is none."""
    expected: dict[str, set[str]] = {}
    for document, what in documents:
        for name, folder in folders_of(_read(document, what)):
            expected.setdefault(name, set()).add(folder)
    return expected


def _read(document: object, what: str) -> Workflow:
    from model_manager.decisions.workflows.referring import referred  # a twentieth of a start of the server

    return referred(document, what=what)


def _ours(read: Workflow) -> Iterator[Reference]:
    return (each for each in read.references if _sure(each))


def _sure(reference: Reference) -> bool:
    """Whether it names files, and surely so."""
    named = bool(reference.names) and all(is_name(name) for name in reference.names)
    return named and reference.kind == "file" and reference.confidence != "guess"


def _model(reference: Reference, where: str) -> Incoming:
    name, pin = reference.names[0], reference.pin
    label = f"{pin.algorithms[0]}:{pin.hex}" if pin and len(pin.algorithms) == 1 else pin.hex if pin else None
    place = f"{reference.folder}/{name}" if reference.folder else None
    raw = {"name": name, "downloadUrl": reference.url, "saveTo": place, "hash": label}
    return incoming("model", raw, f"{where}: {name}")


def _workflow(read: Workflow, name: str) -> CatalogWorkflow:
    """What only nodes that are switched off refer to is not required."""
    needs: dict[str, bool] = {}
    for reference in _ours(read):
        for model in reference.names:
            needs[model] = needs.get(model, False) or reference.active
    packages = dict.fromkeys(each.package for each in read.node_types if each.package not in ("", CORE))
    nodes = (_node(package, at) for at, package in enumerate(each for each in packages if is_name(each)))
    return CatalogWorkflow(
        id="",
        name=name,
        needs=tuple(Need(model=model, required=required) for model, required in needs.items()),
        custom_nodes=tuple(nodes),
    )


def _node(package: str, at: int) -> CustomNode:
    url = package if package.startswith("https://") else ""
    return CustomNode(name=package.rstrip("/").rpartition("/")[2] or package, repository_url=url, install_order=at)


def _oddities(read: Workflow, name: str) -> Iterator[Finding]:
    for reference in (each for each in read.references if not _sure(each)):
        yield found(
            name, f"'{printable(reference.text, 100)}' may be a model too; nobody can tell which file", "dropped"
        )
    for each in read.oddities:
        yield found(name, each.why, "kept")
    if not read.complete:
        yield found(name, "a part of it could not be read: models may be missing", "kept")
