"""What the doctor found, as it is kept and answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from model_manager.catalog.doctor.diagnosing import Kind

KEPT: Final = 20_000
"""Findings of one check-up that are kept; all of them are counted."""

State = Literal["running", "stopping", "done", "stopped", "failed", "broken off"]
"""running: somebody is at work; stopping: somebody was asked to end it; done: everything was looked at; stopped: it was ended
before; failed: `why` says what was in the way; broken off: its process died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """`visit`: ask every address. `fix`: write what can be mended. `per_minute`: requests to one host."""

    visit: bool = True
    fix: bool = False
    per_minute: int = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """Times are ISO 8601 UTC; `seen` is when it was last at work. `records` are those to look at, `kinds` count all findings."""

    number: int
    state: State
    why: str
    who: str
    started: str
    seen: str
    ended: str | None
    visit: bool
    fix: bool
    records: int
    examined: int
    wrong: int
    mendable: int
    mended: int
    kinds: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """One thing that is wrong with a record. `fix` is what would be written, empty where a person must decide; `url` the address
    that it is about, `token` the variable whose value is absent or refused, if it is about one."""

    kind: Kind
    record: Literal["model", "workflow"]
    id: str
    name: str
    what: str
    fix: str
    url: str | None
    token: str | None
    mended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a check-up came to so far; `noted` is new."""

    examined: int
    wrong: int
    mendable: int
    mended: int
    kinds: dict[str, int]
    noted: tuple[Noted, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport:
    """`latest` is the newest check-up, `shown` the one whose findings follow. `findings_total` counts those that are kept."""

    latest: Checkup | None
    shown: Checkup | None
    findings: tuple[Noted, ...]
    findings_total: int
