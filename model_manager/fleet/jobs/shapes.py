"""What the routes of jobs answer. Times are ISO 8601 UTC of the server's clock, empty when there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from model_manager.facts.job import Policy, State


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOfJob:
    """A model by the words of the job, and on how many `machines` it is, verified. `without`: how many machines could take the
    job if only this model were not asked for, null where that was not counted."""

    model: str
    machines: int
    available: bool
    without: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job on one line. `eligible` machines can take it now, null for jobs that are over; `waiting` says why it waits, in the
    words of the rules, and is empty when somebody can take it."""

    id: str
    state: State
    priority: int
    attempts: int
    max_attempts: int
    submitted: str
    policy: Policy
    customer: str
    workflow: str
    worker: str
    machine_id: str
    why: str
    due: str
    deadline: str
    signature: str
    models: tuple[ModelOfJob, ...]
    eligible: int | None
    waiting: str
    asks: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """`next`: the cursor of the following page, null at the end; `total` jobs are in that state."""

    state: str
    items: tuple[JobRow, ...]
    next: str | None
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTry:
    """One time that a worker had the job. `ended` is empty while it runs. `how` it ended: `running` and `done`; `retry`, `elsewhere`,
    `missing_model` or `final` as the worker said; `lease`: nobody heard of the worker until its lease ended; `cancelled`."""

    machine_id: str
    worker: str
    attempt: int
    began: str
    ended: str
    how: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetail:
    """`payload` and `result` as text; `excluded` are machines that do not get it for a while. `tries`, the oldest first: the one that
    runs or ended well, and before it the last 8 that did not."""

    job: JobRow
    payload: str
    result: str
    excluded: tuple[str, ...]
    tries: tuple[JobTry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    rule: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineVerdict:
    """Why workers of a machine (of one `seat`, if it has any) get the job or not; `missing` models. `live` null: nobody looked."""

    machine_id: str
    seat: str
    fits: bool
    live: bool | None
    reasons: tuple[Reason, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WouldTake:
    """What a machine would have to fetch: `bytes` as far as other machines tell sizes, `unknown` models of which none does,
    `seconds` at 100 MB/s. `others` are reasons that no download removes."""

    machine_id: str
    missing: tuple[str, ...]
    bytes: int
    unknown: int
    seconds: float | None
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """`eligible` machines can take it now; `pending` jobs ask for the same; `machines` are those that come nearest."""

    eligible: int
    pending: int
    models: tuple[ModelOfJob, ...]
    machines: tuple[MachineVerdict, ...]
    lacks: tuple[WouldTake, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What became of a job. `known`: this id was there already, and nothing changed; `rejected`: nobody can take it, and its
    policy is reject; `dry_run`: nothing was handed in. `machines` are up to twenty of the `eligible` ones. `why` says what
    keeps it waiting, `policy` what happens then; `warnings` what was not understood of it."""

    id: str
    outcome: Literal["queued", "known", "rejected", "dry_run"]
    eligible: int
    machines: tuple[str, ...]
    models: tuple[ModelOfJob, ...]
    why: str
    policy: Policy
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    id: str
    state: State
