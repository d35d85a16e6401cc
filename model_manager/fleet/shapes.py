"""What the fleet's HTTP API answers. These records are its OpenAPI document too: a field that changes here changes there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from model_manager.facts.fleet import Liveness, Missing
from model_manager.facts.machine import Disk, WorkflowReadiness


@dataclass(frozen=True, slots=True, kw_only=True)
class Redis:
    """`away` says why Redis cannot be reached now, null while it can; the view then is `age` seconds old."""

    away: str | None
    age: float
    lag_entries: int
    lag_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineCounts:
    """`unsure`: machines whose inventory is being read anew; their last one is shown until then."""

    total: int
    live: int
    stale: int
    away: int
    ready: int
    unsure: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCounts:
    """`distinct` models by folder and name; `single` of them lie on one machine only. `bytes` of all copies."""

    distinct: int
    copies: int
    single: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowCounts:
    """Workflows that some machine is assigned, and those that one at least is ready for."""

    assigned: int
    ready: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadCounts:
    """`speed` of all together in bytes per second."""

    running: int
    speed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The fleet in numbers. `exact`: everything that Redis has was read; until then numbers are too small."""

    version: str
    exact: bool
    redis: Redis
    machines: MachineCounts
    models: ModelCounts
    workflows: WorkflowCounts
    downloads: DownloadCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRow:
    """A machine on one line.

    `ready` is only said of live machines. `last_seen`: when it was last heard, in seconds since 1970 by the aggregator's clock, to
    the minute while it lives, null when it never was; `phase` is the state that its heartbeat names; `at` is its last event's. `models` files of `bytes`; `required` models, of which `present` are here and
    verified. `free` of `total` bytes of its disks, of which downloads leave `floor`. `speed` in bytes per second, `eta` in
    seconds. `quarantined` files were set aside, null where nobody told. `unsure` says why its inventory is being read anew, else it is empty.
    """

    machine_id: str
    state: Liveness
    phase: str
    ready: bool
    reasons: tuple[str, ...]
    last_seen: int | None
    models: int
    bytes: int
    required: int
    present: int
    workflows: int
    workflows_ready: int
    downloads: int
    speed: float
    eta: float | None
    free: int | None
    total: int | None
    floor: int | None
    quarantined: int | None
    version: str
    host: str
    at: str
    epoch: int
    seq: int
    unsure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """A page; `next` is the cursor of the following one, null at the end; `total` counts all pages."""

    items: tuple[MachineRow, ...]
    next: str | None
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRow:
    folder: str
    models: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """What the machine understood it serves. `models` and `problems` are those of its last event, and empty until one was heard."""

    generation: str
    workflows: tuple[str, ...]
    collections: tuple[str, ...]
    models: tuple[str, ...]
    required: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A model on its way: `bytes` of `total`, `speed` in bytes per second, `eta` in seconds."""

    model: str
    phase: str
    bytes: int
    total: int | None
    speed: float
    eta: float | None
    attempt: int
    why: str
    retry_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Everything that is known of a machine, but for its files (`/machines/{machine_id}/models`)."""

    machine: MachineRow
    instance: str
    digest: str
    workflows: tuple[WorkflowReadiness, ...]
    disks: tuple[Disk, ...]
    folders: tuple[FolderRow, ...]
    assignment: Assigned | None
    downloads: tuple[Download, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFile:
    """A file on a machine. `hash` is its SHA-256 or empty; `evidence` by which it was judged, empty while unverified.
    `last_used`: when a job that needs it was last given to a worker there, seconds since 1970; null: none that we know of."""

    folder: str
    name: str
    path: str
    size: int
    hash: str
    verified: bool
    evidence: str
    last_used: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFiles:
    items: tuple[HeldFile, ...]
    next: str | None
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """A model by folder and name; `copies` on `machines`, `verified` of them. More than one hash: same name, other bytes.
    `last_used`: when a job that needs it was last given to a worker, seconds since 1970; null: none that we know of. `added`: when
    a machine first saw it, as far as those that were asked said so, seconds since 1970."""

    model: str
    folder: str
    name: str
    machines: int
    copies: int
    verified: int
    size: int
    bytes: int
    hashes: tuple[str, ...]
    last_used: int | None
    added: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    items: tuple[ModelRow, ...]
    next: str | None
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A machine and its copies; `serves`: it lives, and one of them is verified."""

    machine_id: str
    state: Liveness
    serves: bool
    files: tuple[HeldFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holders:
    """Who has what was asked for. Nobody is an empty page."""

    asked: str
    items: tuple[Holder, ...]
    next: str | None
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRow:
    """A workflow that `assigned` machines were told to serve; `ready` of them are live and ready for it."""

    workflow: str
    assigned: int
    ready: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflows:
    items: tuple[WorkflowRow, ...]
    next: str | None
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededModel:
    """`size` in bytes and `hash`, as far as the catalog says."""

    folder: str
    name: str
    size: int | None
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A machine and what it would take there. `ready`: it lives, is assigned the workflow and says so itself. `has_all`:
    all models are there, verified; null when the catalog does not say what is needed. `bytes` would cross the network,
    and `unknown` models have no known size; `fits`: above the floor of its disks, null when nobody knows."""

    machine_id: str
    state: Liveness
    assigned: bool
    ready: bool
    reasons: tuple[str, ...]
    has_all: bool | None
    missing: tuple[Missing, ...]
    bytes: int
    unknown: int
    fits: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Who can run a workflow, the readiest first. `unknown` says why its needs are not known, empty when they are."""

    workflow: str
    unknown: str
    needs: tuple[NeededModel, ...]
    ready: int
    items: tuple[Candidate, ...]
    next: str | None
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """A workflow that a machine was told to serve and is not ready for: its own reasons, and what the catalog says it would
    take (`unknown`: why that is not known, empty when it is)."""

    machine_id: str
    state: Liveness
    workflow: str
    reasons: tuple[str, ...]
    unknown: str
    missing: tuple[Missing, ...]
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacks:
    items: tuple[Lack, ...]
    next: str | None
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event with its place in the stream (`id`) and in its machine's history."""

    id: str
    machine_id: str
    instance: str
    epoch: int
    seq: int
    kind: str
    at: str
    digest: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Oldest first. `next` is the id to go on `after`, also when nothing is there yet; null before the first event. `older` is the id
    to ask for what was told `before` these; null when Redis keeps nothing older, and where `after` was given."""

    items: tuple[Told, ...]
    next: str | None
    older: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """`state` is ok, starting (nothing was read yet) or away (Redis is; the last view is served)."""

    state: str
    version: str
    redis: Redis


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """The machines that the assignment was pushed to. They adopt it by themselves; `assignment.changed` says when."""

    machines: tuple[str, ...]
