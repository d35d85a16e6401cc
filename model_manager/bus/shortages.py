"""What machines lack for a job, and how long it would take to fetch it: sizes are what other machines tell of their files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from redis.asyncio import Redis

from model_manager.bus.connection import translate
from model_manager.bus.jobs import Jobs
from model_manager.errors import BadRecord
from model_manager.facts import wire
from model_manager.facts.job import Explanation, Shortage, Verdict
from model_manager.facts.shelf import CATEGORY_OF

MODELS: Final = "models"
"""The rule whose reasons a download removes."""

Sizes = Mapping[str, int | None]


async def shortages(
    redis: Redis,
    jobs: Jobs,
    explained: Explanation,
    *,
    bandwidth: float,
    sizes: Mapping[str, int] | None = None,
) -> tuple[Shortage, ...]:
    """What is missing on each machine of an explanation, and how long it would take to fetch.

    `bandwidth` in bytes/s; `sizes` in bytes, by the words of the job, for models that no machine has (the catalog's, say).
    Machines that only lack models come first, and of those the quickest. Raises BusUnavailable.
    """
    found = dict(sizes or {})
    missing = {model for each in explained.machines for model in each.missing if model not in found}
    known: Sizes = found | await _sizes(redis, jobs, sorted(missing))
    told = [_shortage(each, known, bandwidth) for each in explained.machines if not each.fits]
    return tuple(sorted(told, key=lambda each: (bool(each.others), each.unknown, each.bytes)))


def _shortage(verdict: Verdict, sizes: Sizes, bandwidth: float) -> Shortage:
    found = [sizes.get(model) for model in verdict.missing]
    total = sum(size for size in found if size is not None)
    return Shortage(
        machine=verdict.machine,
        missing=verdict.missing,
        bytes=total,
        unknown=found.count(None),
        seconds=None if None in found else total / bandwidth,
        others=tuple(why for rule, why in verdict.reasons if rule != MODELS),
    )


async def _sizes(redis: Redis, jobs: Jobs, models: Iterable[str]) -> dict[str, int | None]:
    """Of each model as one machine has it; a machine's inventory is read once."""
    inventories: dict[str, list[dict[str, Any]]] = {}
    found: dict[str, int | None] = {}
    for model in models:
        _, machines = await jobs.machines_for({"models": [_reference(model)]}, limit=1)
        for machine in machines:
            if machine not in inventories:
                inventories[machine] = await _inventory(redis, jobs, machine)
        entries = (entry for machine in machines for entry in inventories[machine])
        found[model] = next((entry["size"] for entry in entries if meant(model, entry)), None)
    return found


async def _inventory(redis: Redis, jobs: Jobs, machine: str) -> list[dict[str, Any]]:
    with translate():
        text: Any = await redis.hget(jobs.keys.models(machine), "models")
    try:
        folders = wire.loads(text or b"{}", machine)
    except BadRecord:
        return []
    return list(_entries(folders))


def _entries(folders: Any) -> Iterator[dict[str, Any]]:
    """Those that say all that is needed; what stands in Redis may be anybody's."""
    for entries in folders.values() if isinstance(folders, dict) else ():
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and type(entry.get("size")) is int and isinstance(entry.get("name"), str):
                yield entry


def meant(model: str, entry: Mapping[str, Any]) -> bool:
    """Whether a job's word for a model means this file; for its size only, routing has rules of its own."""
    reference = _reference(model)
    if isinstance(reference, dict):
        text = reference.get("path") or reference.get("name") or ""
        digest = reference.get("sha256") or reference.get("hash") or ""
        return (not text or _named(str(text), entry)) and (not digest or _hashed(str(digest), entry))
    kind, marked, value = model.partition(":")
    return _hashed(value, entry) if marked and kind in ("sha256", "autov2") else _named(model, entry)


def _named(text: str, entry: Mapping[str, Any]) -> bool:
    folder, _, rest = text.removeprefix("models/").partition("/")
    name, shelf = entry["name"], str(entry.get("folder"))
    if rest == name and CATEGORY_OF.get(folder, folder) == CATEGORY_OF.get(shelf, shelf):
        return True
    return f"/{name}".endswith(f"/{text}")


def _hashed(digest: str, entry: Mapping[str, Any]) -> bool:
    return bool(digest) and str(entry.get("hash") or "").startswith(digest.rpartition(":")[2].lower())


def _reference(model: str) -> Any:
    """The object of a reference that is no text."""
    return wire.loads(model) if model.startswith("{") else model
