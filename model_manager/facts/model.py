"""What a model is, to whom it matters, and what an assignment asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from model_manager.facts.identity import Pin, TokenName
from model_manager.facts.shelf import ShelfPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Bytes. `exact` is False for "17.2GB" and file_size_gb, which catalogs get wrong by half: a hint, never a proof."""

    bytes: int
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One address of a model: http(s), without userinfo. `token` is what the catalog says it needs, if anything."""

    url: str
    token: TokenName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as a catalog describes it. `depends` names models that must be there too."""

    name: str
    path: ShelfPath
    sources: tuple[Source, ...]
    size: Size | None = None
    pin: Pin | None = None
    gated: bool = False
    depends: tuple[str, ...] = ()
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A model that somebody needs here. `needed_by` reads `workflow:flux`, `machine`, `model:other` (a dependency), `jobs`."""

    model: Model
    required: bool
    needed_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a machine was told to serve. Components are workflows under their old name and are kept apart only to say so."""

    workflows: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    models: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.workflows or self.collections or self.components or self.models)

    @property
    def served(self) -> tuple[str, ...]:
        """Workflows by either name, once each, in order."""
        return tuple(dict.fromkeys((*self.workflows, *self.components)))

    def with_(self, other: Assignment) -> Assignment:
        """Both together, without repetition, in order."""

        def joined(ours: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(dict.fromkeys((*ours, *theirs)))

        return Assignment(
            workflows=joined(self.workflows, other.workflows),
            collections=joined(self.collections, other.collections),
            components=joined(self.components, other.components),
            models=joined(self.models, other.models),
        )


ProblemKind = Literal["unknown_workflow", "unknown_collection", "unknown_model", "bad_record", "conflict", "catalog"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something in the assignment that cannot be had as written; `workflows` are those that it keeps from being ready."""

    kind: ProblemKind
    subject: str
    why: str
    workflows: tuple[str, ...] = ()
    blocks: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowNeed:
    """One workflow and the paths it needs. `unknown` says why its needs are not known: such a workflow is never ready."""

    name: str
    required: tuple[ShelfPath, ...] = ()
    optional: tuple[ShelfPath, ...] = ()
    unknown: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What one assignment needs, as the catalog last described it.

    `complete` is False while any part of the assignment has never been described: then nobody may call the machine ready.
    `described_at` is ISO 8601 UTC of the oldest description used; `stale` says that the catalog was away and its last
    answer from the cache stands in.
    """

    generation: str
    assignment: Assignment
    wanted: tuple[Wanted, ...] = ()
    workflows: tuple[WorkflowNeed, ...] = ()
    problems: tuple[Problem, ...] = ()
    complete: bool = True
    stale: bool = False
    described_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRecord:
    """A workflow as a catalog describes it; `models` and `optional` are model names."""

    name: str
    id: str = ""
    models: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    custom_nodes: tuple[str, ...] = ()
    inline: tuple[Model, ...] = field(default=())
    """Full model records that came inside the workflow's own answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionRecord:
    """A collection: the workflows that it lists, by name."""

    id: str
    workflows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Undescribed:
    """The catalog gave no usable description of `name`, and never did before. `missing`: it says there is none."""

    name: str
    why: str
    missing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """An assignment as the catalog describes it: one record or one reason for each name that matters.

    Models of workflows and everything that they depend on are included. `doubts` are answers that were refused while an
    older good one stands in; `stale` is then True and `described_at` (ISO 8601 UTC) the time of the oldest one used.
    """

    collections: tuple[CollectionRecord | Undescribed, ...] = ()
    workflows: tuple[WorkflowRecord | Undescribed, ...] = ()
    models: tuple[tuple[str, Model | Undescribed], ...] = ()
    doubts: tuple[str, ...] = ()
    stale: bool = False
    described_at: str = ""
