"""A machine of the view as it is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from model_manager.facts.machine import Disk, Heartbeat
from model_manager.facts.mirror import Mirror
from model_manager.fleet import shapes
from model_manager.fleet.view import View

TOTAL: Final = "total"
"""The field of a machine's progress that is no download."""

MOVING: Final = ("resolving", "fetching", "verifying", "placing")


def machine_row(view: View, machine_id: str) -> shapes.MachineRow:
    """One that was never heard of is all zeros, and away or stale."""
    mirror, heartbeat = view.mirror(machine_id), view.heartbeat(machine_id)
    readiness = heartbeat.readiness if heartbeat else None
    flows = view.workflows(machine_id)
    pace = pace_of(view, machine_id)
    free, size, floor = _space(heartbeat.disks if heartbeat else ())
    return shapes.MachineRow(
        machine_id=machine_id,
        state=view.state(machine_id),
        phase=heartbeat.state if heartbeat else "",
        ready=view.ready(machine_id),
        reasons=readiness.reasons if readiness else (),
        last_seen=view.last_seen(machine_id),
        models=len(mirror.entries) if mirror else 0,
        bytes=view.bytes_of(mirror) if mirror else 0,
        required=readiness.required if readiness else 0,
        present=readiness.present if readiness else 0,
        workflows=len(flows),
        workflows_ready=sum(flow.ready for flow in flows),
        downloads=pace.running,
        speed=pace.speed,
        eta=pace.eta,
        free=free,
        total=size,
        floor=floor,
        quarantined=_aside(heartbeat.disks if heartbeat else ()),
        version=_version(mirror, heartbeat),
        host=heartbeat.host if heartbeat else mirror.host if mirror else "",
        at=mirror.at if mirror else "",
        epoch=mirror.epoch if mirror else 0,
        seq=mirror.seq if mirror else 0,
        unsure=view.mirrors.unsure.get(machine_id, ""),
    )


@dataclass(frozen=True, slots=True)
class Pace:
    """Downloads that move, their speed in bytes per second, and the seconds until all required models are there."""

    running: int
    speed: float
    eta: float | None


def pace_of(view: View, machine_id: str) -> Pace:
    total = _object(view.moving(machine_id).get(TOTAL))
    running = sum(each.get("phase") in MOVING for each in downloads(view, machine_id).values())
    return Pace(running, _real(total.get("speed")) or 0.0, _real(total.get("eta")))


def _version(mirror: Mirror | None, heartbeat: Heartbeat | None) -> str:
    return heartbeat.version if heartbeat else mirror.version if mirror else ""


def _space(disks: tuple[Disk, ...]) -> tuple[int | None, int | None, int | None]:
    """Free, total and floor in bytes; directories of one file system count once."""
    distinct = {(disk.free, disk.total): disk.floor for disk in disks}
    if not distinct:
        return None, None, None
    return sum(free for free, _ in distinct), sum(total for _, total in distinct), sum(distinct.values())


def _aside(disks: tuple[Disk, ...]) -> int | None:
    told = [disk.quarantined for disk in disks if disk.quarantined is not None]
    return sum(told) if told else None


def folders(mirror: Mirror | None) -> tuple[shapes.FolderRow, ...]:
    counts: dict[str, tuple[int, int]] = {}
    for copy in mirror.entries.values() if mirror else ():
        models, size = counts.get(copy.folder, (0, 0))
        counts[copy.folder] = models + 1, size + copy.size
    return tuple(shapes.FolderRow(folder=name, models=n, bytes=size) for name, (n, size) in sorted(counts.items()))


def assigned(mirror: Mirror | None, heartbeat: Heartbeat | None) -> shapes.Assigned | None:
    """As its last event told it; where that was not heard, as far as its heartbeat does."""
    if mirror is None or mirror.assignment is None:
        return None if heartbeat is None or not heartbeat.readiness.generation else _beaten(heartbeat)
    told = mirror.assignment
    return shapes.Assigned(
        generation=told.generation,
        workflows=told.workflows,
        collections=told.collections,
        models=told.models,
        required=told.required,
        problems=told.problems,
    )


def _beaten(heartbeat: Heartbeat) -> shapes.Assigned:
    readiness = heartbeat.readiness
    return shapes.Assigned(
        generation=readiness.generation,
        workflows=tuple(flow.name for flow in readiness.workflows),
        collections=heartbeat.collections,
        models=(),
        required=readiness.required,
        problems=(),
    )


def downloads(view: View, machine_id: str) -> dict[str, Mapping[str, Any]]:
    """`folder/name` → the download as its machine tells it; what is no object is left out."""
    told = view.moving(machine_id)
    return {name: body for name, body in told.items() if name != TOTAL and isinstance(body, Mapping)}


def download(model: str, body: Mapping[str, Any]) -> shapes.Download:
    """Another release may tell other fields: what is missing or of another type counts as unknown."""
    total, attempt = _real(body.get("total")), _real(body.get("attempt"))
    return shapes.Download(
        model=model,
        phase=_text(body.get("phase")),
        bytes=int(_real(body.get("bytes")) or 0),
        total=None if total is None else int(total),
        speed=_real(body.get("speed")) or 0.0,
        eta=_real(body.get("eta")),
        attempt=int(attempt or 0),
        why=_text(body.get("why")),
        retry_at=_text(body.get("retry_at")),
    )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _real(value: Any) -> float | None:
    """JSON numbers are finite; a boolean is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
