"""What the two families of the EmProps Open API answer. The fields' names are theirs. Sizes in GB are 10^9 bytes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from model_manager.catalog.records import (
    CatalogCollection,
    CatalogWorkflow,
    Change,
    CustomNode,
    Gated,
    Named,
    Need,
    Position,
)  # fmt: skip
from model_manager.facts import wire

T = TypeVar("T")

_PROVIDERS: Final = {"HF_TOKEN": "huggingface", "CIVITAI_TOKEN": "civitai", "CIVITAI_API_KEY": "civitai"}
_POWERS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE: Final = re.compile(r"\s*(\d{1,15}(?:\.\d{1,15})?)\s*([KMGT]?)(I?)B?\s*", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope(Generic[T]):
    data: T
    error: None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A refusal of the enveloped family; `error` says what to do."""

    data: None = None
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BareFailed:
    """A refusal of `/api`; `model_id` where one was asked for."""

    error: str
    model_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """`sources` in the order in which they are tried, the first of them is `downloadUrl`."""

    id: str
    name: str
    version: str
    downloadUrl: str | None
    sources: list[str]
    saveTo: str | None
    fileSize: int | str | None
    hash: str | None
    hashes: dict[str, str]
    isAuthReq: bool
    authEnvVar: str | None
    modelType: str
    baseModel: str
    licence: str
    vramGb: float | None
    description: str
    dependencies: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelBatch:
    models: list[Model]
    not_found: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    version: str
    current: bool
    model: Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A model that was met when dependencies were followed; `id` is None when nobody has described it."""

    id: str | None
    name: str
    depth: int
    needed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """`cycles` are names that lead back to their first; `complete` is False when following stopped at a limit."""

    dependencies: list[Followed]
    missing: list[str]
    cycles: list[list[str]]
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiModel:
    id: str
    name: str
    download_url: str | None
    file_size_gb: float | None
    hash: str | None
    auth_required: bool
    auth_provider: str | None
    save_path: str | None
    dependencies: list[str]
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiBatch:
    models: list[ApiModel]
    not_found: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    workflow_id: str
    model_id: str | None
    model_name: str
    is_required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    name: str
    repositoryUrl: str
    branch: str
    commit: str
    install_order: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """All its models by name, the relations that say which of them it cannot do without, its nodes in order."""

    id: str
    name: str
    description: str
    models: list[str]
    workflow_model: list[Relation]
    custom_nodes: list[str]
    workflow_custom_node: list[Node]
    minVramGb: float | None
    machineType: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowDependencies:
    """The relations come along because `models` cannot say what is optional."""

    workflow_id: str
    workflow_name: str
    models: list[str]
    workflow_model: list[Relation]
    custom_nodes: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """`id` is None when nobody has described the workflow."""

    id: str | None
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicCollection:
    id: str
    name: str
    description: str
    collection_node: list[Member]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentsCollection:
    id: str
    name: str
    description: str
    components: list[Member]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionDependencies:
    """What `missing_workflows` would need is not in `models`: it is unknown."""

    collection_id: str
    models: list[str]
    custom_nodes: list[str]
    missing_workflows: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    envVar: str | None
    isAvailable: bool
    modelCount: int
    modelNames: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """Which tokens the gated models need, and whether `asked` (this server, or a machine) has them."""

    totalModelsRequiringAuth: int
    authProviders: list[Provider]
    asked: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A change. `kind` "catalog" stands for many at once: then anything may have changed."""

    cursor: str
    at: str
    action: str
    kind: str
    id: str
    name: str
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """`next` is where to go on; `gap` says that the cursor was of another database: read everything anew."""

    changes: list[Told]
    next: str
    gap: bool
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    seq: int
    at: str
    who: str
    action: str
    kind: str
    id: str
    name: str
    revision: int
    note: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    deleted: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """`state` is `empty` until somebody writes records. `warming`: the file is being read into memory, and answers may take longer."""

    state: str
    models: int
    workflows: int
    collections: int
    read_only: bool
    warming: bool
    cursor: str


def api_model(doc: Mapping[str, Any]) -> ApiModel:
    """A model of `/api/models`: snake case, the size in GB."""
    provider = doc["authEnvVar"]
    return ApiModel(
        id=doc["id"],
        name=doc["name"],
        download_url=doc["downloadUrl"],
        file_size_gb=gigabytes(doc["fileSize"]),
        hash=doc["hash"] or next(iter(doc["hashes"].values()), None),
        auth_required=doc["isAuthReq"],
        auth_provider=_PROVIDERS.get(provider, provider) if provider else None,
        save_path=doc["saveTo"],
        dependencies=doc["dependencies"],
        description=doc["description"],
    )


def workflow(record: CatalogWorkflow, models: Mapping[str, Named]) -> Workflow:
    """`models`: what its references lead to."""
    return Workflow(
        id=record.id,
        name=record.name,
        description=record.description,
        models=_names(record.needs, models),
        workflow_model=[_relation(record, need, models) for need in record.needs],
        custom_nodes=_once(node.name for node in record.custom_nodes),
        workflow_custom_node=[_node(node) for node in record.custom_nodes],
        minVramGb=record.min_vram_gb,
        machineType=record.machine_type,
    )


def workflow_dependencies(record: CatalogWorkflow, models: Mapping[str, Named]) -> WorkflowDependencies:
    return WorkflowDependencies(
        workflow_id=record.id,
        workflow_name=record.name,
        models=_names(record.needs, models),
        workflow_model=[_relation(record, need, models) for need in record.needs],
        custom_nodes=_once(node.name for node in record.custom_nodes),
    )


def members(record: CatalogCollection, workflows: Mapping[str, Named]) -> list[Member]:
    found = [(name, workflows.get(name)) for name in record.workflows]
    return [Member(id=each.id if each else None, name=each.name if each else name) for name, each in found]


def collection_dependencies(
    record: CatalogCollection, workflows: Mapping[str, CatalogWorkflow], models: Mapping[str, Named]
) -> CollectionDependencies:
    """`workflows`: by the references of the collection."""
    known = [workflows[name] for name in record.workflows if name in workflows]
    return CollectionDependencies(
        collection_id=record.id,
        models=_names([need for each in known for need in each.needs], models),
        custom_nodes=_once(node.name for each in known for node in each.custom_nodes),
        missing_workflows=[name for name in record.workflows if name not in workflows],
    )


def authorization(gated: Iterable[Gated], available: Collection[str], asked: str) -> Authorization:
    """Which variables the gated models need, and whether who is asked for has them."""
    providers = [
        Provider(
            envVar=each.variable or None,
            isAvailable=each.variable in available,
            modelCount=each.models,
            modelNames=wire.raw(each.names),
        )
        for each in gated
    ]
    total = sum(each.modelCount for each in providers)
    return Authorization(totalModelsRequiringAuth=total, authProviders=providers, asked=asked)


def told(change: Change, epoch: str) -> Told:
    cursor = cursor_of(Position(epoch=epoch, seq=change.seq))
    return Told(
        cursor=cursor, at=change.at, action=change.action, kind=change.kind, id=change.id, name=change.name,
        revision=change.revision,
    )  # fmt: skip


def cursor_of(position: Position) -> str:
    return f"{position.epoch}-{position.seq}"


def gigabytes(size: int | str | None) -> float | None:
    if isinstance(size, str):
        match = _SIZE.fullmatch(size)
        if match is None:
            return None
        return round(float(match[1]) * _POWERS[match[2].upper()] / 1e9, 6)
    return None if size is None else round(size / 1e9, 6)


def _node(node: CustomNode) -> Node:
    return Node(
        name=node.name, repositoryUrl=node.repository_url, branch=node.branch, commit=node.commit,
        install_order=node.install_order,
    )  # fmt: skip


def _relation(record: CatalogWorkflow, need: Need, models: Mapping[str, Named]) -> Relation:
    found = models.get(need.model)
    return Relation(
        workflow_id=record.id,
        model_id=found.id if found else None,
        model_name=found.name if found else need.model,
        is_required=need.required,
    )


def _names(needs: Iterable[Need], models: Mapping[str, Named]) -> list[str]:
    return _once(models[need.model].name if need.model in models else need.model for need in needs)


def _once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
