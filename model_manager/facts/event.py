"""What a machine tells the fleet. One class a kind; a change set is one event; unknown kinds survive as Unknown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file of the inventory. `path` is absolute; `size` in bytes, `size_gb` in 10^9; `hash` is SHA-256 hex or empty;
    `evidence` is empty while unverified; `last_verified` is ISO 8601 UTC or empty; `mtime_ns` of the file."""

    folder: str
    name: str
    path: str
    size: int
    size_gb: float
    hash: str
    verified: bool
    evidence: str
    last_verified: str
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A file that left the inventory."""

    folder: str
    name: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineHello:
    """First event of every epoch. `bytes` and `models` are the inventory's totals."""

    version: str
    host: str
    boot_id: str
    models: int
    bytes: int
    kind: Literal["machine.hello"] = "machine.hello"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineBye:
    """Last event before a graceful stop: the machine's reverse index entries are withdrawn with it."""

    reason: str
    kind: Literal["machine.bye"] = "machine.bye"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAppeared:
    models: tuple[Entry, ...]
    kind: Literal["model.appeared"] = "model.appeared"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChanged:
    models: tuple[Entry, ...]
    kind: Literal["model.changed"] = "model.changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVanished:
    models: tuple[Gone, ...]
    kind: Literal["model.vanished"] = "model.vanished"


@dataclass(frozen=True, slots=True, kw_only=True)
class InventorySnapshot:
    """The machine's own hash now holds the whole inventory as of this seq; read it there."""

    models: int
    bytes: int
    kind: Literal["inventory.snapshot"] = "inventory.snapshot"


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadStarted:
    """`total` in bytes, 0 if unknown; `url` without query and userinfo."""

    folder: str
    name: str
    url: str
    total: int
    resumed_at: int
    attempt: int
    kind: Literal["model.download.started"] = "model.download.started"


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadVerified:
    """`fetched`: bytes over the network in this run; `seconds` from the first attempt."""

    folder: str
    name: str
    size: int
    sha256: str
    evidence: str
    fetched: int
    seconds: float
    kind: Literal["model.download.verified"] = "model.download.verified"


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadFailed:
    """`final` is False when it will be tried again at `retry_at` (ISO 8601 UTC). `error` is the class of `reason` in
    `errors.py`, such as NotAuthorized; empty where an earlier release tells it."""

    folder: str
    name: str
    reason: str
    attempt: int
    final: bool
    retry_at: str
    error: str = ""
    kind: Literal["model.download.failed"] = "model.download.failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentChanged:
    generation: str
    workflows: tuple[str, ...]
    collections: tuple[str, ...]
    models: tuple[str, ...]
    required: int
    problems: tuple[str, ...]
    kind: Literal["assignment.changed"] = "assignment.changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessChanged:
    """`workflows` maps each workflow to whether it is ready."""

    ready: bool
    reasons: tuple[str, ...]
    workflows: dict[str, bool]
    kind: Literal["readiness.changed"] = "readiness.changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFinished:
    """`seconds` of the scan; counts of files."""

    files: int
    bytes: int
    appeared: int
    changed: int
    vanished: int
    seconds: float
    kind: Literal["scan.finished"] = "scan.finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskLow:
    """Bytes free below the floor that downloads keep."""

    root: str
    free: int
    floor: int
    kind: Literal["disk.low"] = "disk.low"


@dataclass(frozen=True, slots=True, kw_only=True)
class RootLost:
    """A models directory is not there or lost its marker. Its models stay in the inventory: unknown is not empty."""

    root: str
    why: str
    kind: Literal["root.lost"] = "root.lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class RootBack:
    root: str
    kind: Literal["root.back"] = "root.back"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAnswered:
    """What became of an order (docs/redis.md). `state` is begun, done, refused or dropped; `files` are those it concerns,
    and `why` says what its asker should know: why not, or what was found."""

    order: str
    what: str
    state: str
    files: int
    why: str
    kind: Literal["order.answered"] = "order.answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """An event of a newer program: kept and passed on, never interpreted."""

    kind: str
    data: dict[str, Any] = field(default_factory=dict)


Known = (
    MachineHello
    | MachineBye
    | ModelAppeared
    | ModelChanged
    | ModelVanished
    | InventorySnapshot
    | DownloadStarted
    | DownloadVerified
    | DownloadFailed
    | AssignmentChanged
    | ReadinessChanged
    | ScanFinished
    | DiskLow
    | RootLost
    | RootBack
    | OrderAnswered
)
Event = Known | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """An event with its place in the machine's history. `seq` counts 1, 2, 3 … within `epoch`; `at` is ISO 8601 UTC;
    `digest` is the inventory's after this event (32 hex digits)."""

    machine_id: str
    instance: str
    epoch: int
    seq: int
    at: str
    digest: str
    event: Event

    @property
    def kind(self) -> str:
        """Of the event."""
        return self.event.kind
