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
    """Bytes of the file system under `root`; `floor` is what downloads leave free."""

    root: str
    free: int
    total: int
    floor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A machine's lease on being alive. `state` is starting, discovering, fetching, waiting, ready, degraded or stopping.

    `installation` is the state directory's own random id: the same installation after a restart, another one on a clone.
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
