"""What routing should do, written down slowly: every rule as a plain function over files, offers and requirements, and the
queue as a list that is searched from end to end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ALIASES = {"unet": "diffusion_models", "clip": "text_encoders", "t2i_adapter": "controlnet"}
FOLDERS = {"loras", "checkpoints", "vae", "unet", "diffusion_models"}
HARDWARE = ("gpu_memory_gb", "ram_gb", "cpu_cores")

File = tuple[str, str, str]
"""Folder, name within it, SHA-256 or empty; verified files only."""


def category(folder: str) -> str:
    return ALIASES.get(folder, folder)


def holds(files: Iterable[File], reference: str | Mapping[str, str]) -> bool:
    """Whether one of the files is what a requirement calls it."""
    files = tuple(files)
    if not isinstance(reference, str):
        named = [holds(files, reference["name"])] if "name" in reference else []
        hashed = [holds(files, "sha256:" + reference["sha256"])] if "sha256" in reference else []
        return all(named + hashed)
    if reference.startswith("sha256:"):
        return any(digest == reference.removeprefix("sha256:") for _, _, digest in files)
    if reference.startswith("autov2:"):
        return any(digest[:10] == reference.removeprefix("autov2:") for _, _, digest in files if digest)
    path = reference.removeprefix("models/")
    folder, _, rest = path.partition("/")
    if rest and folder in FOLDERS:
        return any(category(f) == category(folder) and name == rest for f, name, _ in files)
    return any(f"/{name}".endswith(f"/{path}") for _, name, _ in files)


def has(wanted: Any, have: Any) -> bool:
    """A capability, compared by its type."""
    if have is None:
        return False
    if isinstance(wanted, list):
        return all(each in (have if isinstance(have, list) else [have]) for each in wanted)
    if isinstance(wanted, dict):
        return isinstance(have, dict) and all(has(value, have.get(key)) for key, value in wanted.items())
    if isinstance(have, list):
        return wanted in have
    if isinstance(wanted, (int, float)) and not isinstance(wanted, bool):
        return isinstance(have, (int, float)) and have >= wanted
    return bool(have == wanted)


@dataclass
class Machine:
    name: str
    files: dict[str, File] = field(default_factory=dict)
    free_gb: float | None = None
    live: bool = True
    known: bool = True
    offers: dict[str, dict[str, Any]] = field(default_factory=dict)

    def holding(self, model: Any, offer: Mapping[str, Any], service: str | None) -> bool:
        declared = offer.get("models")
        if declared is None:
            return holds(self.files.values(), model)
        if declared == "all":
            return True
        lists = [names for name, names in declared.items() if service in (None, name)]
        return any(names == "all" or (isinstance(model, str) and model in names) for names in lists)


def fits(wanted: Mapping[str, Any], machine: Machine, offer: Mapping[str, Any], job: Job) -> bool:
    """Whether the job may go to this seat of the machine now."""
    if machine.name in job.excluded:
        return False
    if "workflow_id" in offer and offer["workflow_id"] != job.workflow:
        return False
    access = offer.get("customer_access", {})
    if wanted.get("customer_isolation") == "strict" and access.get("isolation") != "strict":
        return False
    if access.get("allowed_customers") and job.customer not in access["allowed_customers"]:
        return False
    if job.customer in access.get("denied_customers", []):
        return False
    service = wanted.get("service")
    asked = list(singles(wanted))
    barred = list(singles(wanted.get("negative_requirements", {})))
    met = [one(key, value, machine, offer, service) for key, value in asked]
    return all(met) and not any(one(key, value, machine, offer, service) for key, value in barred)


def singles(wanted: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for key, value in wanted.items():
        if key in ("negative_requirements", "customer_isolation") or value == "all":
            continue
        if key == "models":
            yield from ((key, each) for each in value)
        else:
            yield key, value


def one(key: str, value: Any, machine: Machine, offer: Mapping[str, Any], service: str | None) -> bool:
    if key == "service":
        return value in offer.get("services", [])
    if key == "models":
        return machine.holding(value, offer, service)
    if key == "storage_gb":
        free = machine.free_gb if "models" not in offer else offer.get("storage_gb")
        return free is not None and free >= value
    if key in HARDWARE:
        return has(value, offer.get("hardware", {}).get(key))
    return has(value, offer.get(key))


@dataclass
class Job:
    id: str
    wanted: dict[str, Any]
    customer: str
    workflow: str
    score: float
    attempts_left: int
    state: str = "pending"
    token: str = ""
    machine: str = ""
    worker: str = ""
    excluded: list[str] = field(default_factory=list)

    @property
    def group(self) -> tuple[str, ...]:
        """Jobs of one group are alike for every rule, except that facets nobody names make no difference."""
        return repr(sorted(self.wanted.items(), key=str)), *sorted(self.excluded)


def best(jobs: Sequence[Job], machine: Machine, offer: Mapping[str, Any]) -> Job | None:
    """The job that a claim should get, without hot signatures."""
    able = [job for job in jobs if job.state == "pending" and fits(job.wanted, machine, offer, job)]
    return min(able, key=lambda job: job.score, default=None)


def able(jobs_like: Job, machines: Iterable[Machine]) -> set[str]:
    """Machines that could take the job."""
    return {
        machine.name
        for machine in machines
        if machine.known and any(fits(jobs_like.wanted, machine, offer, jobs_like) for offer in machine.offers.values())
    }
