"""Jobs in the shapes of StableQueue, versions 1 and 2: which models its parameters name, and how it stands with each of them."""

from __future__ import annotations

import posixpath
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from model_manager.decisions.workflows.tagging import tags
from model_manager.errors import BadRecord, printable
from model_manager.facts import wire
from model_manager.facts.job import Filed, Job, State
from model_manager.facts.shelf import WEIGHTS
from model_manager.fleet.jobs.desk import Desk, iso, models_of, waiting
from model_manager.fleet.jobs.shapes import ModelOfJob
from model_manager.fleet.jobs.submitting import Meant, packed, policy_of
from model_manager.fleet.models.finding import Finding
from model_manager.serving.asking import Asked
from model_manager.serving.problems import bad_body

STATUSES: Final[Mapping[State, str]] = {
    "pending": "pending", "running": "processing", "delayed": "pending", "dead": "failed", "done": "completed",
    "cancelled": "cancelled",
}  # fmt: skip
GIVEN: Final = {
    "pending": "pending",
    "processing": "running",
    "failed": "dead",
    "completed": "done",
    "cancelled": "done",
}

MOST_LISTED: Final = 10_000
"""Jobs that a list counts its pages from."""

_HASHES: Final = ("model_hash", "checkpoint_hash", "hash", "autov2_hash", "sha256_hash")
_RAW = re.compile(r"(?:Model )?hash:\s*([0-9a-fA-F]{10,64})\b", re.IGNORECASE)
_RAW_LORAS = re.compile(r'Lora hashes:\s*"([^"]{1,4000})"', re.IGNORECASE)
_PAIR = re.compile(r"([^:,]{1,255}):\s*([0-9a-fA-F]{8,64})\b")


@dataclass(frozen=True, slots=True)
class Said:
    """A model that the parameters name: `field` says where, `lora` whether it is none of the checkpoint's."""

    model: str
    field: str
    lora: bool = False


class StableQueueJobs:
    def __init__(self, desk: Desk, finding: Finding) -> None:
        self._desk = desk
        self._finding = finding

    async def submit(self, body: dict[str, Any]) -> dict[str, Any]:
        """Raises Answer 400 for a model that cannot be told: what is asked for is never left out."""
        wanted = parameters(body)
        said = list(named(wanted))
        words, asked = await self._desk.words.understood([self._file(each) for each in said])
        service = str(body.get("app_type") or wanted.get("app_type") or "forge")
        job = Job(
            id=_identity(body),
            asks={"service": service, **({"models": words} if words else {})},
            payload=packed(body),
            priority=_priority(body.get("priority")),
            policy=policy_of(body.get("policy", "wait")),
        )
        made = await self._desk.hand_in(Meant(job=job, dry=body.get("dry_run") is True, asked=asked))
        return {
            "success": True,
            "mobilesd_job_id": job.id,
            "outcome": made.outcome,
            "app_type": service,
            "target_server_alias": body.get("target_server_alias"),
            "eligible": made.eligible,
            "machines": made.machines,
            "reason": made.why or None,
            "model_availability": availability(said, made.models),
        }

    def _file(self, said: Said) -> str:
        """A LoRA is named without its ending, or with it: the file of the fleet that is meant, when it is one."""
        if not said.lora or re.fullmatch(r"[0-9a-fA-F]{10,64}|civitai:[0-9]+", said.model):
            return said.model
        given = said.model.replace("\\", "/")
        stem, ending = posixpath.splitext(given)
        if ending.lower() not in WEIGHTS:
            stem, ending = given, ""
        found = [
            place
            for place in self._finding.places(given, "loras")
            if _ends(place if ending else place.rpartition(".")[0], given)
        ]
        return found[0] if found else given if ending else f"{stem}.safetensors"

    async def status(self, asked: Asked) -> dict[str, Any]:
        """Version 1: the fields themselves."""
        return {"success": True, **await self._told(await self._desk.filed(asked["job"]))}

    async def status_2(self, asked: Asked) -> dict[str, Any]:
        """Version 2: within `job`."""
        return {"success": True, "job": await self._told(await self._desk.filed(asked["job"]))}

    async def _told(self, filed: Filed) -> dict[str, Any]:
        """As of now: the rules are asked each time, and nothing is remembered of what they said before."""
        body = _object(filed.payload)
        why = waiting(await self._desk.explained(filed.id)) if filed.state in ("pending", "delayed", "dead") else ""
        target = body.get("target_server_alias")
        return {
            **plain(filed, body),
            "waiting_reason": why or None,
            "eligible_servers": filed.eligible,
            "model_availability": availability(list(named(parameters(body))), models_of(filed.models)),
            "target_server_available": await self._at(filed, target) if isinstance(target, str) and target else None,
        }

    async def _at(self, filed: Filed, machine: str) -> bool:
        """Whether the server that it was meant for could take it: not whether anybody has the model."""
        said = await self._desk.explained(filed.id, machine)
        return any(each.fits and each.live is not False for each in said.machines)

    async def listed(self, asked: Asked) -> dict[str, Any]:
        """A page of those in a state, or of all."""
        states = [GIVEN[asked["status"]]] if asked["status"] else ["pending", "running", "delayed", "dead", "done"]
        if asked["status"] == "pending":
            states.append("delayed")
        found = [each for state in states for each in await self._desk.many(state, MOST_LISTED)]  # type: ignore[arg-type]
        if asked["status"] in ("completed", "cancelled"):
            found = [each for each in found if STATUSES[each.state] == asked["status"]]
        found.sort(key=lambda each: (each.submitted, each.id), reverse=asked["order"] == "desc")
        page = found[asked["offset"] : asked["offset"] + asked["limit"]]
        jobs = [plain(each, _object(each.payload)) for each in page]
        return {"success": True, "total": len(found), "jobs": jobs}

    async def cancel(self, asked: Asked) -> dict[str, Any]:
        return {
            "success": True,
            "mobilesd_job_id": asked["job"],
            "status": STATUSES[(await self._desk.cancel(asked)).state],
        }

    async def retry(self, asked: Asked) -> dict[str, Any]:
        return {
            "success": True,
            "mobilesd_job_id": asked["job"],
            "status": STATUSES[(await self._desk.retry(asked)).state],
        }


def parameters(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of either version; version 2 may bring the text of a picture instead."""
    given = body.get("generation_params")
    wanted = dict(given) if isinstance(given, Mapping) else {}
    raw = body.get("generation_info_raw") or wanted.get("raw_generation_info")
    return wanted | ({"raw_generation_info": raw} if isinstance(raw, str) else {})


def named(wanted: Mapping[str, Any]) -> Iterator[Said]:
    """The checkpoint first, then LoRAs; each once. In the order in which StableQueue looks for the checkpoint's hash."""
    raw = str(wanted.get("raw_generation_info") or "")
    seen: set[str] = set()
    for each in [*_checkpoint(wanted, raw), *_loras(wanted, raw)]:
        if each.model.lower() not in seen:
            seen.add(each.model.lower())
            yield each


def _checkpoint(wanted: Mapping[str, Any], raw: str) -> list[Said]:
    """One, by the first field that has it."""
    fields = [(name, wanted.get(name)) for name in _HASHES]
    for owner in ("checkpoint", "model_info"):
        inner = wanted.get(owner)
        fields.append((f"{owner}.hash", inner.get("hash") if isinstance(inner, Mapping) else None))
    if hit := _RAW.search(raw):
        fields.append(("raw_generation_info", hit[1]))
    version = wanted.get("civitai_version_id")
    if isinstance(version, int | str) and str(version).isdigit():
        fields.append(("civitai_version_id", f"civitai:{version}"))
    name = wanted.get("checkpoint_name") or wanted.get("checkpoint")
    if isinstance(name, str) and name:
        fields.append(("checkpoint_name", name.replace("\\", "/").partition(" [")[0]))
    return [Said(str(value).strip(), name) for name, value in fields if isinstance(value, str) and value.strip()][:1]


def _loras(wanted: Mapping[str, Any], raw: str) -> Iterator[Said]:
    hashes = {name.strip(): digits for text in _RAW_LORAS.findall(raw) for name, digits in _PAIR.findall(text)}
    for each in wanted.get("loras") or () if isinstance(wanted.get("loras"), list) else ():
        value = (
            each
            if isinstance(each, str)
            else each.get("hash") or each.get("name")
            if isinstance(each, Mapping)
            else None
        )
        if isinstance(value, str) and value:
            yield Said(value, "loras", lora=True)
    texts = (str(wanted.get(name) or "") for name in ("prompt", "positive_prompt", "negative_prompt"))
    for text in (*texts, raw):
        for tag in tags(text):
            if tag.sort == "lora":
                known = hashes.get(tag.name, "")
                yield Said(known if len(known) in (10, 64) else tag.name, f"<lora:{tag.name}>", lora=True)


def availability(said: Iterable[Said], models: Iterable[ModelOfJob]) -> dict[str, Any]:
    """The object of StableQueue, for the checkpoint; `models` says it of each."""
    found = list(models)
    first = next(iter(said), None)
    lost = [each.model for each in found if not each.available]
    word = first.model if first else None
    hashed = word if word and re.fullmatch(r"[0-9a-fA-F]{10}|[0-9a-fA-F]{64}", word) else None
    return {
        "available": not lost and bool(found),
        "reason": f"no machine that takes jobs has {', '.join(lost)}"
        if lost
        else None
        if found
        else "it names no model",
        "civitai_model_id": None,
        "hash": hashed,
        "match_type": ("sha256" if len(hashed) == 64 else "autov2") if hashed and not lost else None,
        "checked_field": first.field if first else "N/A",
        "model_identifier": word,
        "models": [{"model": each.model, "available": each.available, "machines": each.machines} for each in found],
    }


def plain(filed: Filed, body: Mapping[str, Any]) -> dict[str, Any]:
    """A row of StableQueue's table of jobs."""
    return {
        "mobilesd_job_id": filed.id,
        "status": STATUSES[filed.state],
        "creation_timestamp": iso(filed.submitted),
        "target_server_alias": body.get("target_server_alias"),
        "generation_params": parameters(body),
        "result_details": _object(filed.result) or (filed.result or None),
        "retry_count": max(0, filed.attempts - 1),
        "app_type": body.get("app_type"),
        "source_info": body.get("source_info"),
        "priority": filed.priority,
        "server": filed.machine or None,
        "error_message": filed.why or None,
    }


def _ends(path: str, name: str) -> bool:
    """Whether a path is called so, with as much of its directories as the name has."""
    return f"/{path.lower()}".endswith(f"/{name.lower()}")


def _identity(body: Mapping[str, Any]) -> str:
    given = body.get("mobilesd_job_id") or secrets.token_hex(16)
    if not isinstance(given, str) or len(given) > 200 or not given.isprintable():
        raise bad_body("'mobilesd_job_id' must be a text of at most 200 characters.")
    return given


def _priority(value: Any) -> int:
    if value is None:
        return 0
    if type(value) is not int or not -1000 <= value <= 1000:
        raise bad_body(f"'priority' must be a whole number from -1000 to 1000, not '{printable(value, 50)}'.")
    return value


def _object(text: str) -> dict[str, Any]:
    try:
        found = wire.loads(text, "payload") if text else {}
    except BadRecord:
        return {}
    return found if isinstance(found, dict) else {}
