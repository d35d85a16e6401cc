"""What does a machine need for a workflow file, where could it come from, and what holds the gate?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from model_manager.decisions import sourcing
from model_manager.decisions.sourcing import chosen, places
from model_manager.errors import BadPath
from model_manager.facts.description import Address
from model_manager.facts.flow import Flow
from model_manager.facts.known import Known
from model_manager.facts.model import Described, Model, Size, Undescribed, WorkflowRecord
from model_manager.facts.resolution import Resolved, Ruling, Wish
from model_manager.facts.shelf import CATEGORY_OF, WEIGHTS, ShelfPath
from model_manager.facts.sourcing import Place
from model_manager.facts.workflow import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """A workflow file as a catalog would have described it. `unknown` are parts that nobody can have as written, and why."""

    record: WorkflowRecord | Undescribed
    unknown: tuple[Undescribed, ...] = ()


def names(workflows: Iterable[Workflow]) -> tuple[str, ...]:
    """What to ask a catalog for: the names of all files that take part."""
    found = (name for workflow in workflows for each in workflow.needed for name in each.names)
    return tuple(dict.fromkeys(name.rpartition("/")[2] for name in found))


def known_models(described: Described) -> dict[str, Model]:
    return {name: model for name, model in described.models if isinstance(model, Model)}


def meant(wish: Wish, catalog: Mapping[str, Model]) -> tuple[Wish, Model | None]:
    """The catalog's record of a file, if it belongs where the loader looks, and the wish with what that record promises."""
    model = catalog.get(wish.name.rpartition("/")[2])
    looked = {CATEGORY_OF.get(folder, folder) for folder in wish.folders}
    if model is None or wish.kind == "directory" or (looked and model.path.category not in looked):
        return wish, None
    folders = wish.folders or (model.path.folder,)
    if wish.pin is not None:
        return replace(wish, folders=folders), model
    size = model.size.bytes if model.size and model.size.exact else wish.size
    return replace(wish, folders=folders, pin=model.pin, size=size), model


def derived(
    flow: Flow,
    found: Sequence[Resolved],
    files: Sequence[Known],
    catalog: Mapping[str, Model],
    addresses: Mapping[Wish, Sequence[Address]],
) -> Derived:
    """What a file's workflow needs of this machine.

    `found` are the rulings on its references, over `files`; `addresses` those from where wishes came once. Every reference that
    takes part is required, but for guesses: they are fetched where that is beyond doubt, and never hold the gate. What could
    not be read of the workflow may hide models: then it is never complete.
    """
    if flow.workflow is None:
        return Derived(record=Undescribed(name=flow.name, why=flow.why))
    needed: dict[ShelfPath, Model] = {}
    firm: dict[str, None] = {}
    loose: dict[str, None] = {}
    unknown = {each.name: each for each in _unread(flow)}
    for each in found:
        for ruling in each.rulings if each.reference.active else ():
            told = each.reference.url if len(each.rulings) == 1 else ""
            models, why = _models(ruling, told, files, catalog, addresses.get(ruling.wish, ()))
            guess = each.reference.confidence == "guess"
            if guess and ruling.loaded is None and not any(model.sources for model in models):
                models, why = [], why or "it looks like a model, and nobody says where it could come from"
            if why:
                unknown.setdefault(label(ruling.wish), Undescribed(name=label(ruling.wish), why=why))
            needed |= {model.path: model for model in models}
            names = dict.fromkeys([label(ruling.wish)] if why else [model.name for model in models])
            (loose if guess else firm).update(names)
    record = WorkflowRecord(
        name=flow.name,
        models=(*firm, *(each.name for each in _unread(flow))),
        optional=tuple(name for name in loose if name not in firm),
        inline=tuple(needed.values()),
    )
    return Derived(record=record, unknown=tuple(unknown.values()))


def with_flows(described: Described, flows: Iterable[Derived]) -> Described:
    """What the catalog says, and what the files say as if it had."""
    found = tuple(flows)
    unknown = {each.name: each for flow in found for each in flow.unknown}
    return replace(
        described,
        workflows=(*described.workflows, *(flow.record for flow in found)),
        models=(*described.models, *unknown.items()),
    )


def label(wish: Wish) -> str:
    return f"{wish.folder or '?'}/{wish.name}"


def _unread(flow: Flow) -> list[Undescribed]:
    """One for each part that models may hide in."""
    workflow = flow.workflow
    if workflow is None or workflow.complete:
        return []
    odd = [each for each in workflow.oddities if each.unread]
    whys = [(f"node {':'.join(each.node)}" if each.node else "the whole", each.why) for each in odd]
    return [
        Undescribed(name=f"{flow.name}, {where}", why=why) for where, why in whys or [("the whole", "it is not clear")]
    ]


def offered(ruling: Ruling, told: str, catalog: Mapping[str, Model], known: Iterable[Address]) -> tuple[Place, ...]:
    """Where a file could come from; `told` is the workflow's own address."""
    wish, model = meant(ruling.wish, catalog)
    return places(wish, told=told, catalog=model, known=known)


def _models(
    ruling: Ruling, told: str, files: Sequence[Known], catalog: Mapping[str, Model], known: Iterable[Address]
) -> tuple[list[Model], str]:
    """What has to be there for one file, or why nobody can say that."""
    if ruling.wish.kind == "directory":
        return _directory(ruling, files)
    wish, model = meant(ruling.wish, catalog)
    try:
        path = _path(wish, ruling, model, told)
    except BadPath as error:
        return [], str(error.facts["why"])
    if path is None:
        return [], "its ending is not known; put the file there yourself"
    return [_model(replace(wish, name=path.name, folders=(path.folder,)), path, model, places(
        wish, told=told, catalog=model, known=known
    ))], ""  # fmt: skip


def _path(wish: Wish, ruling: Ruling, model: Model | None, told: str) -> ShelfPath | None:
    """Where it lies, else where it belongs; None for a stem whose ending nobody says. Raises BadPath."""
    if ruling.loaded is not None:
        return ShelfPath(folder=ruling.loaded.folder, name=ruling.loaded.name)
    if not wish.folder:
        raise BadPath(path=wish.name, why="nobody says in which folder it belongs")
    name = wish.name
    if wish.kind == "stem":
        ending = next(_endings(model, told), None)
        if ending is None:
            return None
        name = f"{name}{ending}"
    path = ShelfPath.parse(f"{wish.folder}/{name}", name.rpartition("/")[2])
    return model.path if model and model.path.slot == path.slot and model.path.name == path.name else path


def _endings(model: Model | None, told: str) -> Iterator[str]:
    for text in (model.path.name if model else "", told.partition("?")[0]):
        ending = f".{text.rpartition('.')[2].lower()}"
        if ending in WEIGHTS:
            yield ending


def _model(wish: Wish, path: ShelfPath, model: Model | None, offered: Sequence[Place]) -> Model:
    depends = model.depends if model else ()
    if chosen(offered) is None:
        size = Size(bytes=wish.size, exact=True) if wish.size else None
        return Model(name=str(path), path=path, sources=(), pin=wish.pin, size=size, depends=depends)
    return replace(sourcing.model(wish, offered), name=str(path), path=path, depends=depends)


def _directory(ruling: Ruling, files: Sequence[Known]) -> tuple[list[Model], str]:
    """A directory is there when its files are; which files that should be, nobody says."""
    loaded = ruling.loaded
    if loaded is None:
        return [], f"{ruling.why}; put the directory there yourself"
    begin = f"{ruling.wish.name}/"
    inside = [each for each in files if each.folder == loaded.folder and each.name.startswith(begin)]
    paths = [ShelfPath(folder=each.folder, name=each.name) for each in inside]
    return [Model(name=str(path), path=path, sources=()) for path in paths], ""
