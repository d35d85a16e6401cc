"""Which models does this assignment need, and for whom?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from model_manager.facts import wire
from model_manager.facts.model import (
    Assignment,
    CollectionRecord,
    Described,
    Model,
    Problem,
    Requirements,
    Source,
    Undescribed,
    Wanted,
    WorkflowNeed,
    WorkflowRecord,
)
from model_manager.facts.shelf import ShelfPath


@dataclass
class _Need:
    model: Model
    required: bool
    needed_by: list[str] = field(default_factory=list)


def requirements(
    assignment: Assignment, described: Described, demanded: Iterable[tuple[str, ...]] = ()
) -> Requirements:
    """Everything that the assignment needs, once each, with what cannot be had as written.

    `demanded` are models that jobs wait for, each by the names that it may have; they are optional, and hold no gate.

    Two descriptions of one place that cannot both be true, or that differ only in case, are a conflict: neither is wanted,
    so neither overwrites the other. A workflow that brings its own description of a model means that one. A part that was never described makes the whole incomplete, never smaller.
    """
    models = _by_name(described)
    served, problems = _served(assignment, described)
    needs: dict[ShelfPath, _Need] = {}
    workflows = []
    for record in served:
        workflows.append(_need_of(record, models, needs, problems))
    for name in assignment.models:
        for why in _collect(name, True, "machine", models, needs, problems):
            problems.append(Problem(kind="unknown_model", subject=name, why=why))
    for names in demanded:
        _add_demanded(names, models, needs, problems)
    wanted = _without_conflicts(needs, problems)
    wanted.sort(key=lambda item: (not item.required, item.model.path))
    blocked = {problem.subject for problem in problems if problem.kind == "conflict" and problem.blocks}
    workflows = [_blocked(need, blocked) for need in workflows]
    complete = not any(problem.blocks and problem.kind != "conflict" for problem in problems)
    return Requirements(
        generation=_generation(assignment, wanted, workflows, complete),
        assignment=assignment,
        wanted=tuple(wanted),
        workflows=tuple(workflows),
        problems=tuple(problems),
        complete=complete,
        stale=described.stale,
        described_at=described.described_at,
    )


def _by_name(described: Described) -> dict[str, Model | Undescribed]:
    inline = {
        model.name: model
        for record in described.workflows
        if isinstance(record, WorkflowRecord)
        for model in record.inline
    }
    return {
        **inline,
        **{name: model for name, model in described.models if name not in inline or isinstance(model, Model)},
    }


def _served(assignment: Assignment, described: Described) -> tuple[list[WorkflowRecord | Undescribed], list[Problem]]:
    problems: list[Problem] = []
    by_key: dict[str, WorkflowRecord | Undescribed] = {}
    for workflow in described.workflows:
        by_key[workflow.name] = workflow
        if isinstance(workflow, WorkflowRecord) and workflow.id:
            by_key.setdefault(workflow.id, workflow)
    names = list(assignment.served)
    known = {item.id: item for item in described.collections if isinstance(item, CollectionRecord)}
    why_not = {item.name: item.why for item in described.collections if isinstance(item, Undescribed)}
    for collection in assignment.collections:
        if collection in known:
            names += known[collection].workflows
        else:
            why = why_not.get(collection, "the catalog has not described it yet")
            problems.append(Problem(kind="unknown_collection", subject=collection, why=why))
    missing = "the catalog has not described it yet"
    records = [by_key.get(name, Undescribed(name=name, why=missing)) for name in dict.fromkeys(names)]
    return list(dict.fromkeys(records)), problems


def _need_of(
    record: WorkflowRecord | Undescribed,
    models: dict[str, Model | Undescribed],
    needs: dict[ShelfPath, _Need],
    problems: list[Problem],
) -> WorkflowNeed:
    if isinstance(record, Undescribed):
        problems.append(Problem(kind="unknown_workflow", subject=record.name, why=record.why, workflows=(record.name,)))
        return WorkflowNeed(name=record.name, unknown=record.why)
    by = f"workflow:{record.name}"
    models = {**models, **{model.name: model for model in record.inline}}
    unknown: list[str] = []
    for name in record.models:
        for why in _collect(name, True, by, models, needs, problems):
            unknown.append(f"{name}: {why}")
            problems.append(Problem(kind="unknown_model", subject=name, why=why, workflows=(record.name,)))
    for name in record.optional:
        for why in _collect(name, False, by, models, needs, problems):
            problems.append(Problem(kind="unknown_model", subject=name, why=why, blocks=False))
    mine = _closure(record.models, models)
    return WorkflowNeed(
        name=record.name,
        required=tuple(mine),
        optional=tuple(path for path in _closure(record.optional, models) if path not in mine),
        unknown="; ".join(unknown) or None,
    )


def _closure(names: Iterable[str], models: dict[str, Model | Undescribed]) -> list[ShelfPath]:
    return list(dict.fromkeys(model.path for name in names for model, _ in _with_dependencies(name, models)))


def _with_dependencies(name: str, models: dict[str, Model | Undescribed]) -> Iterator[tuple[Model, str]]:
    """The model and all that it depends on, each once (cycles end), with who asked for it."""
    stack, seen = [(name, "")], set()
    while stack:
        current, asker = stack.pop()
        model = models.get(current)
        if current in seen or not isinstance(model, Model):
            continue
        seen.add(current)
        yield model, asker
        stack += [(dependency, f"model:{model.name}") for dependency in model.depends]


def _collect(
    name: str,
    required: bool,
    by: str,
    models: dict[str, Model | Undescribed],
    needs: dict[ShelfPath, _Need],
    problems: list[Problem],
) -> list[str]:
    """Enter a model and its dependencies into `needs`; the reasons why a part of them is unknown."""
    whys = []
    for model, asker in _with_dependencies(name, models):
        _enter(model, required, asker or by, needs, problems)
        whys += [
            f"it depends on '{dependency}': {_why_unknown(dependency, models)}"
            for dependency in model.depends
            if not isinstance(models.get(dependency), Model)
        ]
    if not isinstance(models.get(name), Model):
        whys.append(_why_unknown(name, models))
    return whys


def _add_demanded(
    names: tuple[str, ...],
    models: dict[str, Model | Undescribed],
    needs: dict[ShelfPath, _Need],
    problems: list[Problem],
) -> None:
    """Strangers hand jobs in: what they ask for never takes a place that somebody else needs, and blocks nothing."""
    known = next((name for name in names if isinstance(models.get(name), Model)), names[0])
    taken = {path.slot for path in needs}
    places = {model.path.slot for model, _ in _with_dependencies(known, models)}
    if clashes := taken & places:
        mine = {need.model.name for path, need in needs.items() if path.slot in clashes}
        if known not in mine:
            why = "jobs ask for it, and another model has its place"
            problems.append(Problem(kind="conflict", subject=known, why=why, blocks=False))
        return
    for why in _collect(known, False, "jobs", models, needs, problems):
        problems.append(Problem(kind="unknown_model", subject=known, why=why, blocks=False))


def _why_unknown(name: str, models: dict[str, Model | Undescribed]) -> str:
    entry = models.get(name)
    return entry.why if isinstance(entry, Undescribed) else "the catalog has not described it yet"


def _enter(model: Model, required: bool, by: str, needs: dict[ShelfPath, _Need], problems: list[Problem]) -> None:
    need = needs.get(model.path)
    if need is None:
        needs[model.path] = _Need(model, required, [by])
        return
    need.required |= required
    if by not in need.needed_by:
        need.needed_by.append(by)
    if model != need.model:
        need.model = _merged(need.model, model, problems)


def _merged(ours: Model, theirs: Model, problems: list[Problem]) -> Model:
    """One model out of two descriptions of the same path; what they disagree about becomes a problem."""
    why = _contradiction(ours, theirs)
    if why:
        problems.append(Problem(kind="conflict", subject=str(ours.path), why=why))
        return ours
    pin = ours.pin or theirs.pin
    sources = tuple(dict.fromkeys((*ours.sources, *theirs.sources)))
    if len({_bare(source) for source in sources}) > 1 and pin is None:
        doubt = "two addresses and no hash to tell whether they are the same file; the first is used"
        problems.append(Problem(kind="conflict", subject=str(ours.path), why=doubt, blocks=False))
        sources = ours.sources
    size = ours.size if ours.size and ours.size.exact else theirs.size or ours.size
    return replace(
        ours, pin=pin, sources=sources, size=size, depends=tuple(dict.fromkeys((*ours.depends, *theirs.depends)))
    )


def _bare(source: Source) -> str:
    return source.url.split("?")[0]


def _contradiction(ours: Model, theirs: Model) -> str | None:
    if ours.pin and theirs.pin and ours.pin.contradicts(theirs.pin):
        return f"two hashes for one path: {ours.pin} and {theirs.pin}"
    sizes = [model.size.bytes for model in (ours, theirs) if model.size and model.size.exact]
    if len(set(sizes)) > 1 and not (ours.pin and theirs.pin):
        return f"two sizes for one path: {sizes[0]} and {sizes[1]} bytes"
    return None


def _without_conflicts(needs: dict[ShelfPath, _Need], problems: list[Problem]) -> list[Wanted]:
    """What is left when every place that two models claim is given to neither."""
    by_slot: dict[tuple[str, str], list[_Need]] = {}
    for need in needs.values():
        by_slot.setdefault(need.model.path.slot, []).append(need)
    refused = {problem.subject for problem in problems if problem.kind == "conflict" and problem.blocks}
    wanted = []
    for rivals in by_slot.values():
        names = {rival.model.path.name for rival in rivals}
        paths = sorted(str(rival.model.path) for rival in rivals)
        pins = [rival.model.pin for rival in rivals if rival.model.pin]
        if len(names) > 1:
            problems += [_clash(path, f"the names differ in case only: {' and '.join(paths)}") for path in paths]
        elif len(rivals) > 1 and any(a.contradicts(b) for a in pins for b in pins):
            problems += [_clash(path, f"different files under one name: {' and '.join(paths)}") for path in paths]
        elif not refused.intersection(paths):
            wanted += [
                Wanted(model=rival.model, required=rival.required, needed_by=tuple(rival.needed_by)) for rival in rivals
            ]
    return wanted


def _clash(path: str, why: str) -> Problem:
    return Problem(kind="conflict", subject=path, why=why)


def _blocked(need: WorkflowNeed, conflicts: set[str]) -> WorkflowNeed:
    clashes = [str(path) for path in need.required if str(path) in conflicts]
    if not clashes:
        return need
    return replace(need, unknown="; ".join(filter(None, (need.unknown, *(f"{path}: conflict" for path in clashes)))))


def _generation(
    assignment: Assignment, wanted: Iterable[Wanted], workflows: Iterable[WorkflowNeed], complete: bool
) -> str:
    """16 hex digits that change exactly when what is asked of the machine changes."""
    body = wire.dumps([assignment, list(wanted), list(workflows), complete])
    return hashlib.sha256(body).hexdigest()[:16]
