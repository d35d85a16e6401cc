"""What every loop last said. Each field has one writer, named beside it; everybody may read."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from model_manager.agent.bell import Bell
from model_manager.agent.clock import Clock
from model_manager.facts.flow import Flow
from model_manager.facts.machine import Disk, Readiness
from model_manager.facts.model import Requirements
from model_manager.facts.plan import Plan
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Transfer
from model_manager.settings import Settings
from model_manager.tracing.spans import Tracer

BusState = Literal["connecting", "connected", "away", "conflict"]


@dataclass
class Bells:
    """One bell for each loop that waits for others."""

    wanting: Bell = field(default_factory=Bell)
    noticing: Bell = field(default_factory=Bell)
    hashing: Bell = field(default_factory=Bell)
    describing: Bell = field(default_factory=Bell)
    fetching: Bell = field(default_factory=Bell)
    gate: Bell = field(default_factory=Bell)
    publishing: Bell = field(default_factory=Bell)
    reloading: Bell = field(default_factory=Bell)
    beating: Bell = field(default_factory=Bell)


@dataclass
class Counters:
    """Since the process started. Seconds and bytes; the seeds of /metrics."""

    discovery_seconds: float | None = None
    ready_seconds: float | None = None
    scan_seconds: float | None = None
    scanned_at: float | None = None
    scans: int = 0
    started: int = 0
    verified: int = 0
    failed: int = 0
    retried: int = 0
    fetched_bytes: int = 0
    published: int = 0
    hashed: int = 0
    hash_errors: int = 0
    cache_hits: int = 0
    cache_misses: int = 0


def _closed() -> Readiness:
    return Readiness(ready=False, reasons=("starting",))


@dataclass
class Board:
    """The shared knowledge of one run of the agent."""

    settings: Settings  # reloading
    clock: Clock
    started: float
    machine_id: str
    epoch: int = 0
    instance: str = ""
    installation: str = ""
    requirements: Requirements | None = None  # wanting
    assignment_error: str = ""  # wanting: why the last assignment was not taken
    catalog_error: str = ""  # wanting
    flows: tuple[Flow, ...] | None = ()  # filing: workflow files that are assignments; None until they were looked at
    flows_error: str = ""  # filing: why some cannot be read now
    judging_error: str = ""  # wanting: why what they need cannot be told now
    pushed_error: str = ""  # following
    settings_error: str = ""  # reloading
    plan: Plan | None = None  # fetching
    transfers: dict[ShelfPath, Transfer] = field(default_factory=dict)  # fetching
    speed: float = 0.0  # progressing: bytes/s of all downloads together
    lost_roots: dict[str, str] = field(default_factory=dict)  # noticing: root → why
    unreadable: dict[str, int] = field(default_factory=dict)  # noticing: root → places that could not be looked at
    unverifiable: int = 0  # verifying: files that could not be read again when somebody asked last
    settling: frozenset[str] = frozenset()  # noticing: files that are not calm yet, so that nobody knows them
    suspects: set[str] = field(default_factory=set)  # gate: files that are not as the index knows them
    watch_mode: str = "starting"  # noticing
    scan_started: str = ""  # noticing: ISO 8601 UTC of the last full scan
    scan_finished: str = ""  # noticing: the same, empty while it runs
    scanned: bool = False  # noticing: the first look at every root is over
    hashing: str = ""  # hashing: the file being read
    readiness: Readiness = field(default_factory=_closed)  # gate
    first_look: asyncio.Event = field(default_factory=asyncio.Event)  # gate: readiness is known for the first time
    disks: tuple[Disk, ...] = ()  # beating
    index_error: str = ""  # run: why the index cannot be used now
    bus: BusState = "connecting"  # publishing
    bus_error: str = ""  # publishing
    stopping: bool = False  # run
    tracer: Tracer | None = None  # run
    bells: Bells = field(default_factory=Bells)
    counters: Counters = field(default_factory=Counters)

    @property
    def state(self) -> str:
        """One word for a person: starting, discovering, fetching, waiting, ready, degraded or stopping."""
        if self.stopping:
            return "stopping"
        if self.readiness.ready:
            return "degraded" if self.lost_roots or self.bus == "conflict" else "ready"
        if self.requirements is None:
            return "discovering" if self.scanned else "starting"
        busy = any(transfer.phase not in ("waiting", "failed", "done") for transfer in self.transfers.values())
        return "fetching" if busy else "waiting"
