"""Which worker of the running fleet may take a job, as its rules were meant, written plainly and slowly.

The function that the fleet runs does not keep all of them; the differential test names what it gets wrong. A job is the hash
`job:{id}`; a worker is the capabilities that it sends with every call.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

HARDWARE: Final = ("gpu_memory_gb", "ram_gb", "cpu_cores")
RULED: Final = frozenset(
    {"service_type", "hardware", "models", "customer_isolation", "negative_requirements", "timeout_minutes", *HARDWARE}
)
"""Keys of requirements that have a rule of their own, or say nothing of the worker; every other one is a capability."""

NO_MATTER: Final = ("all", "any", None)
WITHIN: Final = ("performance", "location", "cost", "metadata", "capabilities")
"""Where else a worker may say what it is capable of."""

OVER: Final = frozenset({"assigned", "in_progress", "completed", "failed", "cancelled"})

Worker = Mapping[str, Any]
Asked = Mapping[str, Any]


class Unreadable(Exception):
    """Nobody can tell what this job needs, so nobody gets it."""


def first_for(worker: Worker, queue: Iterable[Mapping[str, str]], held: Collection[str] | None = None) -> str | None:
    """The id of the job that this worker gets of a queue, best first."""
    return next((job["id"] for job in queue if why_not(job, worker, held) is None), None)


def why_not(job: Mapping[str, str], worker: Worker, held: Collection[str] | None = None) -> str | None:
    """The first rule that forbids it, or None. `held`: the models of the worker's machine, where an agent tells them."""
    try:
        asked = read(job.get("requirements", ""))
    except Unreadable as why:
        return str(why)
    customer = job.get("customer_id", "")
    positive = asked if asked.get("positive_requirements") is None else asked["positive_requirements"]
    negative = asked.get("negative_requirements") or {}
    services = services_of(job, positive)
    rules: Sequence[tuple[str, Callable[[], bool]]] = (
        ("state", lambda: job.get("status", "") not in OVER),
        ("last failure", lambda: job.get("last_failed_worker", "") != worker["worker_id"]),
        ("workflow", lambda: worker.get("workflow_id", "") in ("", job.get("workflow_id", ""))),
        ("service", lambda: all(each in worker["job_service_required_map"] for each in services)),
        ("hardware", lambda: all(strong(worker, key, needed) for key, needed in hardware(positive))),
        ("isolation", lambda: isolated(worker, positive)),
        ("customer", lambda: welcome(worker, customer)),
        ("models", lambda: all(has(worker, services, name, held) for name in models(positive))),
        ("capabilities", lambda: all(capable(worker, key, needed) for key, needed in custom(positive))),
        ("negative", lambda: not any(_refusing(worker, services, negative, held))),
    )
    return next((name for name, holds in rules if not holds()), None)


def read(text: str) -> Asked:
    """Raises Unreadable; no text asks for nothing."""
    try:
        asked = json.loads(text or "{}")
    except ValueError:
        raise Unreadable("no JSON") from None
    if not isinstance(asked, dict):
        raise Unreadable("no object")
    for part in (asked, asked.get("positive_requirements"), asked.get("negative_requirements")):
        if part is not None and not isinstance(part, dict):
            raise Unreadable("a part is no object")
        _typed(part or {})
    return asked


def _typed(asked: Asked) -> None:
    """Raises Unreadable."""
    if not isinstance(asked.get("hardware") or {}, dict):
        raise Unreadable("hardware is no object")
    for key, needed in hardware(asked):
        if _number(needed) is None:
            raise Unreadable(f"{key} is no number")
    if not all(isinstance(name, str) and name for name in models(asked)):
        raise Unreadable("a model is no name")


def services_of(job: Mapping[str, str], asked: Asked) -> tuple[str, ...]:
    """All must be offered: the one in the job's own field, and the one among its requirements."""
    kind = asked.get("service_type")
    return (job["service_required"],) if kind in NO_MATTER else (job["service_required"], str(kind))


def hardware(asked: Asked) -> list[tuple[str, Any]]:
    """What is asked of the machine, at the top or under `hardware`."""
    inner = asked.get("hardware") or {}
    both = [*((key, asked[key]) for key in HARDWARE if key in asked), *inner.items()]
    return [(key, needed) for key, needed in both if needed not in NO_MATTER]


def strong(worker: Worker, key: str, needed: Any) -> bool:
    offered, least = _number(worker.get("hardware", {}).get(key)), _number(needed)
    return offered is not None and least is not None and offered >= least


def isolated(worker: Worker, asked: Asked) -> bool:
    access = worker.get("customer_access", {})
    return asked.get("customer_isolation") not in ("strict", True) or access.get("isolation") == "strict"


def welcome(worker: Worker, customer: str) -> bool:
    """A worker's own lists hold for every job, whatever the job asks."""
    access = worker.get("customer_access", {})
    allowed, denied = access.get("allowed_customers") or [], access.get("denied_customers") or []
    return customer not in denied and (not allowed or customer in allowed)


def models(asked: Asked) -> list[Any]:
    """One name is a list of one."""
    named = asked.get("models")
    if named in NO_MATTER:
        return []
    return list(named) if isinstance(named, list) else [named]


def has(worker: Worker, services: Sequence[str], name: str, held: Collection[str] | None) -> bool:
    """By name, in any directory below its folder; case counts."""
    said = worker.get("models", {})
    if held is None and (said == "all" or any(said.get(service) == "all" for service in services)):
        return True
    names = chain.from_iterable(said.get(service, ()) for service in services) if held is None else held
    return any(each == name or each.endswith(f"/{name}") for each in names)


def custom(asked: Asked) -> list[tuple[str, Any]]:
    return [(key, needed) for key, needed in asked.items() if key not in RULED and needed not in NO_MATTER]


def capable(worker: Worker, key: str, needed: Any) -> bool:
    """At the top under its own name or its plural, or below one of WITHIN."""
    return satisfies(needed, _said(worker, key))


def satisfies(needed: Any, offered: Any) -> bool:
    """A list wants all of it, a number at least as much, an object each of its keys, everything else the same."""
    if needed in NO_MATTER:
        return True
    if isinstance(needed, list):
        return offered is not None and all(satisfies(each, offered) for each in needed)
    if isinstance(needed, dict):
        return isinstance(offered, dict) and all(satisfies(value, offered.get(key)) for key, value in needed.items())
    if isinstance(needed, bool) or isinstance(offered, bool):
        return needed is offered
    if isinstance(needed, int | float):
        return isinstance(offered, int | float) and offered >= needed
    return needed in offered if isinstance(offered, list) else bool(needed == offered)


def _said(worker: Worker, key: str) -> Any:
    places = (worker, *(worker.get(part) or {} for part in WITHIN))
    found = (place[name] for place in places for name in (key, f"{key}s") if name in place)
    return next(found, None)


def _refusing(worker: Worker, services: Sequence[str], negative: Asked, held: Collection[str] | None) -> Iterable[bool]:
    """For everything that the job does not want, whether the worker has it."""
    yield from (strong(worker, key, unwanted) for key, unwanted in hardware(negative))
    yield from (has(worker, services, name, held) for name in models(negative))
    yield from (capable(worker, key, unwanted) for key, unwanted in custom(negative))


def _number(value: Any) -> float | None:
    """Producers write numbers as text now and then."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None
