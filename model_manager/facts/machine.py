"""How a machine is: its readiness, workflow by workflow, and what its heartbeat says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowReadiness:
    """`reasons` is empty exactly when `ready`."""

    name: str
    ready: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether the gate is open, and if not, why. `required` and `present` count required models."""

    ready: bool
    reasons: tuple[str, ...]
    workflows: tuple[WorkflowReadiness, ...] = ()
    generation: str = ""
    required: int = 0
    present: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Bytes of the file system under `root`; `floor` is what downloads leave free. `quarantined` files of the root were set
    aside because they were not what their names promise; None where nobody told."""

    root: str
    free: int
    total: int
    floor: int
    quarantined: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a machine measured since its process started. Seconds and bytes; None = it did not come to that yet.

    `discovery_seconds`: from the assignment to its requirements; `startup_seconds`: until the gate first opened;
    `inventory_age_seconds`: since its last full scan. `cache_hits` of wanted models were here when they were first wanted,
    `cache_misses` had to be fetched.
    """

    discovery_seconds: float | None = None
    startup_seconds: float | None = None
    inventory_age_seconds: float | None = None
    downloads_verified: int = 0
    downloads_failed: int = 0
    downloaded_bytes: int = 0
    cache_hits: int = 0
    cache_misses: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A machine's lease on being alive. `state` is starting, discovering, fetching, waiting, ready, degraded or stopping.

    `collections` are those that it was told to serve. `installation` is the state directory's own random id: the same installation after a restart, another one on a clone.
    """

    machine_id: str
    installation: str
    instance: str
    epoch: int
    state: str
    readiness: Readiness
    disks: tuple[Disk, ...]
    version: str
    host: str
    at: str
    collections: tuple[str, ...] = ()
    figures: Figures | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanStatus:
    """The look through the model directories. `phase` is scanning, hashing (found, being read whole) or idle.

    Counts of files; `started` and `finished` (empty while it runs) of the last full scan, ISO 8601 UTC.
    """

    phase: str
    files: int
    verified: int
    unhashed: int
    started: str
    finished: str
