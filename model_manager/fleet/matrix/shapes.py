"""What the matrix, the search and the board of downloads answer."""

from __future__ import annotations

from dataclasses import dataclass

from model_manager.facts.fleet import Liveness, Missing
from model_manager.fleet.shapes import Download, ModelRow


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRow(ModelRow):
    """A model, and what was told of it: `type`, `base` model and `tags`, empty while nobody told. `id` is its number, `preview`
    where its picture would be (404 for none; `has_preview` is null while nobody asked). `updates`: a later version is known."""

    id: int
    type: str
    base: str
    tags: tuple[str, ...]
    preview: str
    has_preview: bool | None
    updates: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Models from `offset` on; `total` were found."""

    items: tuple[FoundRow | ModelRow, ...]
    total: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    machine_id: str
    state: Liveness


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rows with one `key` of the pivot; the first is at `offset`. `unknown` says why some may be missing."""

    key: str
    rows: int
    offset: int
    unknown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """A model on the machines of the columns, one letter for each, in their order.

    `-` absent, `q` queued, `d` downloading, `v` verifying, `R` ready, `u` unverified, `m` mismatch (other bytes than the
    catalog promises or than most have), `s` stale (its machine is silent), `f` its last download failed. `moving`: the part of
    a download that is there, 0 to 1, by machine. `machines` and `copies` of the whole fleet; `single`: only one machine has it.
    """

    model: str
    folder: str
    name: str
    key: str
    size: int
    machines: int
    copies: int
    single: bool
    base: str
    cells: str
    moving: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """`rows` from `offset` on of `total`; `columns` from `moffset` on of `machines`."""

    columns: tuple[Column, ...]
    machines: int
    moffset: int
    rows: tuple[MatrixRow, ...]
    total: int
    offset: int
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving(Download):
    """A download, and the machine that it is on its way to."""

    machine_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingPage:
    items: tuple[Moving, ...]
    next: str | None
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """Where a model could come from. `teller`: workflow or catalog. `weight`: proven (it promises the same hash) or told."""

    url: str
    teller: str
    weight: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedModel:
    """A model that a workflow names: `text` as written there, `folder` and `name` where it belongs or where it was found, on
    `machines` (`verified` of these). `size` as machines have it or the catalog says, null when nobody does. `holders`: who has
    it verified, at most 100. `sources`: where it could come from, the surest first."""

    folder: str
    name: str
    text: str
    kind: str
    confidence: str
    reason: str
    active: bool
    url: str
    hash: str
    size: int | None
    machines: int
    verified: int
    holders: tuple[str, ...]
    sources: tuple[Offered, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A machine, and what it would take there: `bytes` over the network, `unknown` models without a known size. `has_all` is
    null when not everything that is needed is known."""

    machine_id: str
    state: Liveness
    has_all: bool | None
    missing: tuple[Missing, ...]
    bytes: int
    unknown: int
    fits: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    why: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A workflow that somebody dropped. `complete` false: parts could not be read, and nobody may say that all is known.
    `doubts`: why the catalog could not be asked."""

    form: str
    complete: bool
    models: tuple[NamedModel, ...]
    items: tuple[Runner, ...]
    oddities: tuple[Odd, ...]
    doubts: tuple[str, ...]
