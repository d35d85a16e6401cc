"""How is this event told in the words of an existing fleet's telemetry?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import fields as fields_of
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from model_manager.facts.disk import Held
from model_manager.facts.event import (
    DiskLow,
    DownloadFailed,
    DownloadStarted,
    DownloadVerified,
    Envelope,
    Event,
    ModelAppeared,
    ModelChanged,
    ModelVanished,
    RootLost,
    Unknown,
)
from model_manager.facts.telemetry import Level, Stocked, Telemetry

SERVICE: Final = "model-manager"
INVENTORY: Final = "model_inventory_updated"

NAMED: Final = 50
"""Models that a copy of a change names; the inventory has them all."""

SOURCES: Final = {
    "huggingface.co": "huggingface",
    "civitai.com": "civitai",
    "github.com": "github",
    "githubusercontent.com": "github",
}
TYPES: Final = {"vae": "vaes"}
"""Folders whose models that fleet counts under another word; it expects four of them, in any case."""

EXPECTED: Final = ("checkpoints", "loras", "vaes", "embeddings")


def telemetry(envelope: Envelope, began: DownloadStarted | None) -> Telemetry:
    """`began`: how the download of which the event tells began, None when it tells of none, or nobody knows."""
    event, at = envelope.event, milliseconds(envelope.at)
    return Telemetry(
        timestamp=at,
        service=SERVICE,
        eventType=event.kind,
        traceId=f"{envelope.machine_id}_{envelope.epoch}_{envelope.seq}",
        machineId=envelope.machine_id,
        level=_level(event),
        data=_data(event, envelope.machine_id, at, began),
    )


def stocked(held: Iterable[Held], at: int) -> Stocked:
    """What a machine holds, counted by type. `at` in ms since 1970."""
    each = list(held)
    counts = Counter(TYPES.get(item.shelf.folder, item.shelf.folder) for item in each)
    return Stocked(
        total_count=len(each),
        total_size_gb=round(sum(item.fingerprint.size for item in each) / 1e9, 3),
        by_type=dict.fromkeys(EXPECTED, 0) | dict(sorted(counts.items())),
        last_updated=at,
    )


def milliseconds(at: str) -> int:
    """Since 1970, of ISO 8601."""
    return int(datetime.fromisoformat(at).timestamp() * 1000)


def source_of(url: str) -> str:
    """huggingface, civitai, github, or the name of another host."""
    host = (urlsplit(url).hostname or "").lower()
    return next((name for domain, name in SOURCES.items() if host == domain or host.endswith(f".{domain}")), host)


def _level(event: Event) -> Level:
    match event:
        case DownloadFailed(final=True) | RootLost():
            return "error"
        case DownloadFailed() | DiskLow():
            return "warn"
        case _:
            return "info"


def _data(event: Event, machine_id: str, at: int, began: DownloadStarted | None) -> dict[str, Any]:
    match event:
        case Unknown(data=data):
            return data
        case ModelAppeared(models=models) | ModelChanged(models=models) | ModelVanished(models=models):
            return {"count": len(models), "models": [f"{each.folder}/{each.name}" for each in models[:NAMED]]}
        case DownloadStarted() | DownloadVerified() | DownloadFailed():
            return _download(event, machine_id, at, began)
        case _:
            return {field.name: getattr(event, field.name) for field in fields_of(event) if field.name != "kind"}


def _download(
    event: DownloadStarted | DownloadVerified | DownloadFailed, machine_id: str, at: int, began: DownloadStarted | None
) -> dict[str, Any]:
    """As that fleet's download tracker reads it: `downloadTime` in ms, `fileSize` in 10^6 bytes."""
    begun = event if isinstance(event, DownloadStarted) else began
    told: dict[str, Any] = {
        "modelName": event.name,
        "folder": event.folder,
        "machineId": machine_id,
        "timestamp": at,
        "status": "in_progress",
        "downloadTime": 0,
        "fileSize": begun.total / 1e6 if begun else 0,
        "retryCount": begun.attempt - 1 if begun else 0,
        "source": source_of(begun.url) if begun else "",
    }
    match event:
        case DownloadVerified(size=size, seconds=seconds):
            told |= {"status": "success", "downloadTime": round(seconds * 1000), "fileSize": size / 1e6}
        case DownloadFailed(reason=reason, attempt=attempt, final=final):
            status = "failure" if final else "in_progress"
            told |= {"status": status, "errorMessage": reason, "retryCount": attempt - 1}
    return told
