"""What the catalog holds. References (to models, to workflows) are ids or names, and may lead nowhere: a hole stays visible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

Item = TypeVar("Item")
Kind = Literal["model", "workflow", "collection"]
Action = Literal["created", "replaced", "deleted", "imported"]

FIRST_VERSION: Final = "1"
"""The label of a model's version when nobody gave one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogModel:
    """One version of a model. `sources` in the order in which they are tried; `size` is bytes or text such as "17.2GB".

    `hash` is as somebody wrote it; `hashes` are (algorithm, hex) that were named. `dependencies` are references.
    """

    id: str
    name: str
    version: str = FIRST_VERSION
    sources: tuple[str, ...] = ()
    save_to: str | None = None
    size: int | str | None = None
    hash: str | None = None
    hashes: tuple[tuple[str, str], ...] = ()
    auth_required: bool = False
    auth_env_var: str | None = None
    model_type: str = ""
    base_model: str = ""
    licence: str = ""
    vram_gb: float | None = None
    description: str = ""
    dependencies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A model that a workflow refers to."""

    model: str
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomNode:
    """A package of nodes that a workflow runs on; the lowest `install_order` is installed first."""

    name: str
    repository_url: str = ""
    branch: str = ""
    commit: str = ""
    install_order: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogWorkflow:
    """A workflow; `custom_nodes` in order of installation."""

    id: str
    name: str
    description: str = ""
    needs: tuple[Need, ...] = ()
    custom_nodes: tuple[CustomNode, ...] = ()
    min_vram_gb: float | None = None
    machine_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogCollection:
    """`workflows` are references."""

    id: str
    name: str
    description: str = ""
    workflows: tuple[str, ...] = ()


Record = CatalogModel | CatalogWorkflow | CatalogCollection


class Stored(NamedTuple):
    """A record as the database has it: `doc` is its JSON, `revision` grows with each change of it."""

    id: str
    name: str
    revision: int
    doc: str


class Named(NamedTuple):
    """What a reference leads to."""

    id: str
    name: str


class Gated(NamedTuple):
    """Models that need the token of one variable, "" where none is named: how many, and their names as a JSON list."""

    variable: str
    models: int
    names: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One page of a list, by name: filters that are empty let everything through; `limit` items after `offset` or `after`."""

    name: str = ""
    search: str = ""
    model_type: str = ""
    base_model: str = ""
    hash: str = ""
    auth_only: bool = False
    after: str = ""
    limit: int = 1000
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Item]):
    """Some of `total` items; `more`: there are more than that, nobody counted how many."""

    items: tuple[Item, ...]
    total: int
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much a catalog holds."""

    models: int
    workflows: int
    collections: int

    @property
    def empty(self) -> bool:
        return not (self.models or self.workflows or self.collections)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Who changed what. `kind` "catalog" is many records at once: then anything may have changed.

    `before` and `after` are the record's JSON, None where there was none.
    """

    seq: int
    at: str
    who: str
    action: Action
    kind: Kind | Literal["catalog"]
    id: str
    name: str
    revision: int
    before: str | None = None
    after: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where the change feed is: `epoch` is one database's life, `seq` its last change."""

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a write did: `action` None when the record was like that already."""

    stored: Stored
    action: Action | None


Doc = dict[str, Any]
"""A record as JSON: what GET answers, PUT takes, an export holds."""
