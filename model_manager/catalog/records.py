"""What the catalog holds, as it was written: nothing is repaired here, whoever reads it judges it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogModel:
    """A model. `size` is bytes or text such as "17.2GB"; `dependencies` are ids or names of other models."""

    id: str
    name: str
    download_url: str | None = None
    save_to: str | None = None
    size: int | str | None = None
    hash: str | None = None
    auth_required: bool = False
    auth_env_var: str | None = None
    model_type: str = ""
    description: str = ""
    dependencies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A model that a workflow names; `model` is None when nobody has described it."""

    name: str
    required: bool
    model: CatalogModel | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogWorkflow:
    """A workflow with everything that it needs; `custom_nodes` in order of installation."""

    id: str
    name: str
    description: str = ""
    needs: tuple[Need, ...] = ()
    custom_nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A workflow that a collection lists; `workflow` is None when nobody has described it."""

    name: str
    workflow: CatalogWorkflow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogCollection:
    id: str
    name: str
    description: str = ""
    members: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One page of a list: filters that are empty let everything through; at most `limit` items from `offset`."""

    name: str = ""
    search: str = ""
    model_type: str = ""
    auth_only: bool = False
    limit: int
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Item]):
    """Some of `total` items."""

    items: tuple[Item, ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much a catalog holds."""

    models: int
    workflows: int
    collections: int

    @property
    def empty(self) -> bool:
        return not (self.models or self.workflows or self.collections)
