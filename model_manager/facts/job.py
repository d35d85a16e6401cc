"""Jobs: what one asks of a machine, what a machine can do, who has it now, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

from model_manager.errors import BadRecord, BadRequest
from model_manager.facts import wire

Policy = Literal["wait", "reject", "fetch"]
"""When no machine can take a job now: it waits; it is not taken; or machines fetch the models that they lack."""

State = Literal["pending", "running", "delayed", "dead", "done", "cancelled"]
"""delayed: it failed and waits for its next attempt; dead: it is in the dead letter, with the reason."""

Failing = Literal["retry", "elsewhere", "missing_model", "final"]
"""How a job comes back: later; later and not to this machine; at once, not to this machine and without a charged attempt
(its model is not where it was said to be); or not at all."""

Outcome = Literal["done", "repeat", "stale", "cancelled", "gone"]
"""What became of a completion: it counts; it counted before; somebody else has the job; it was cancelled; nobody knows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What a machine is made of. GB are 10^9 bytes; None and "" where nobody can tell."""

    gpu_memory_gb: float | None = None
    gpu_model: str = ""
    gpu_count: int = 0
    ram_gb: float | None = None
    cpu_cores: int | None = None

    def plain(self) -> dict[str, Any]:
        """As an offer says it; what is not known is left out."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asks:
    """What a job asks of a machine. A model is `x.safetensors`, as much of its path as is needed to tell it apart,
    `loras/x.safetensors`, `sha256:…` or `autov2:…`; storage is free disk above the machine's floor; GB are 10^9 bytes.

    `capabilities` are compared with what workers offer under the same names: a list must be had whole, a number at least.
    `never` holds the same keys; a machine with any of it is refused.
    """

    service: str = ""
    models: tuple[str, ...] = ()
    gpu_memory_gb: float | None = None
    ram_gb: float | None = None
    cpu_cores: int | None = None
    storage_gb: float | None = None
    isolation: str = ""
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    never: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As docs/routing.md has it in JSON."""
        said: dict[str, Any] = {
            name: value
            for name in ("service", "models", "gpu_memory_gb", "ram_gb", "cpu_cores", "storage_gb", "capabilities")
            if (value := getattr(self, name))
        }
        if self.isolation:
            said["customer_isolation"] = self.isolation
        if self.never:
            said["negative_requirements"] = self.never
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A piece of work to be handed in. `id` is the submitter's: the same one again is the same job. `asks` may be the JSON
    object itself, in any spelling that docs/routing.md lists; `payload` is the workers' own; a higher `priority` goes sooner."""

    id: str
    asks: Asks | Mapping[str, Any] = field(default_factory=Asks)
    payload: bytes = b""
    priority: int = 0
    customer: str = ""
    workflow: str = ""
    max_attempts: int = 3
    policy: Policy = "wait"

    def asked(self) -> bytes:
        """The requirement as JSON. Raises BadRequest."""
        return asked(self.asks)


def asked(asks: Asks | Mapping[str, Any]) -> bytes:
    """A requirement as JSON. Raises BadRequest for what JSON cannot say: it would ask for less than was meant."""
    plain = asks.plain() if isinstance(asks, Asks) else asks
    if not _is_finite(plain):
        raise BadRequest(why="a number in it is infinite or none at all", fix="Leave it out, or write how much it is.")
    try:
        return wire.dumps(plain)
    except TypeError:
        raise BadRequest(why="a text in it is no UTF-8, or a value no JSON", fix="Write names as UTF-8.") from None


def _is_finite(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or isfinite(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Available:
    """On how many machines a model that a job asks for is, by the words of the job. `without`: how many machines could take
    the job if only this model were not asked for, None where that was not counted."""

    model: str
    machines: int
    without: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What became of a job that was handed in. `known`: this id was there already, and nothing changed; `rejected`: nobody can
    take it and its policy is reject; `bad`: it cannot be meant so, and `why`. `eligible` machines can take it as of now."""

    id: str
    word: Literal["queued", "known", "rejected", "bad"]
    eligible: int = 0
    signature: str = ""
    models: tuple[Available, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A job that a worker has for now. `token` proves it; `deadline` is when the lease ends unless it is extended, in seconds
    of the server's clock; `lease` its length in seconds; `attempt` counts from 1; `signature` names what the job asks for."""

    job: str
    machine: str
    worker: str
    token: str
    signature: str
    payload: bytes
    attempt: int
    deadline: float
    lease: float
    asks: Mapping[str, Any]
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What became of a job that a worker gave back. `due`: its next attempt, in seconds of the server's clock."""

    word: Literal["pending", "delayed", "dead", "stale", "cancelled", "gone"]
    due: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One time that a worker had a job, from `began` (None: not known) to `ended` (None: it runs), in seconds of the server's clock.
    `how` it ended: running and done; retry, elsewhere, missing_model or final as the worker said; lease: nobody heard of it until its
    lease ended; cancelled. Another release may have other words."""

    machine: str
    worker: str
    attempt: int
    began: float | None
    ended: float | None
    how: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """A job as the server knows it. Times are seconds of the server's clock; `eligible` and `models` are None and empty in lists, and
    of its `tries` a list has the one that runs or is done. The server keeps the last 8 that did not end well."""

    id: str
    state: State
    signature: str
    priority: int
    attempts: int
    max_attempts: int
    submitted: float
    policy: Policy
    customer: str
    workflow: str
    worker: str
    machine: str
    why: str
    result: str
    payload: str
    asks: Mapping[str, Any]
    excluded: tuple[str, ...] = ()
    deadline: float | None = None
    due: float | None = None
    eligible: int | None = None
    models: tuple[Available, ...] = ()
    tries: tuple[Try, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Why one kind of worker of a machine gets a job or not: `reasons` are (rule, words); `missing` the models it lacks, by
    the words of the job. `live`: whether its lease holds, None when nobody looked."""

    machine: str
    seat: str
    fits: bool
    live: bool | None
    reasons: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`eligible` machines can take it as of now; `pending` jobs ask for the same; `machines` are those that come nearest."""

    eligible: int
    pending: int
    models: tuple[Available, ...]
    machines: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """What a machine would have to fetch before it can take a job: `bytes` as far as other machines tell the sizes, `unknown`
    models of which none does, `seconds` at the bandwidth that was asked about, None while any size is unknown. `others` are
    reasons that no download removes."""

    machine: str
    missing: tuple[str, ...]
    bytes: int
    unknown: int
    seconds: float | None
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """Models that this machine should fetch for `jobs` jobs of one signature, which nobody else was asked to."""

    signature: str
    models: tuple[str, ...]
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaped:
    """Jobs whose lease had ended: given back, or dead; jobs whose next attempt was due; workers that were woken. `more`: there
    is more to do at once."""

    requeued: int
    dead: int
    promoted: int
    rung: int
    more: bool


def capabilities_in(text: str) -> Mapping[str, Any]:
    """What MODEL_MANAGER_CAPABILITIES says, nothing for "". Raises BadRecord when it is no JSON object."""
    if not text:
        return {}
    said = wire.loads_unique(text.encode("utf-8", "surrogatepass"), "capabilities")
    if not isinstance(said, dict):
        raise BadRecord(name="capabilities", why="it is no JSON object")
    return said
