"""The board as JSON values: what `/status` answers and `model-manager status` prints."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, Final

from model_manager import __version__
from model_manager.agent.board import Board
from model_manager.agent.holdings.shelves import Shelves
from model_manager.decisions.summing import total
from model_manager.facts.machine import Figures, Readiness, ScanStatus
from model_manager.facts.plan import Check, Fetch, Keep, Link, Plan, Refuse, Step
from model_manager.facts.transfer import Phase, Total, Transfer

SHOWN: Final = 64
"""Downloads that are told one by one; the totals count the others."""

WHICH: Final = "'model-manager model index status' says which and why"

_FIRST: Final = (Phase.FETCHING, Phase.VERIFYING, Phase.PLACING, Phase.RESOLVING, Phase.WAITING, Phase.FAILED)


def ready_answer(readiness: Readiness) -> dict[str, Any]:
    """What `GET /ready` says."""
    return {
        "ready": readiness.ready,
        "reasons": readiness.reasons,
        "generation": readiness.generation,
        "required": readiness.required,
        "present": readiness.present,
        "workflows": {flow.name: {"ready": flow.ready, "reasons": flow.reasons} for flow in readiness.workflows},
    }


def status_answer(board: Board, shelves: Shelves) -> dict[str, Any]:
    """What `GET /status` says: sizes in bytes, times in seconds."""
    held = shelves.held.values()
    required, optional = totals(board)
    return {
        "machine_id": board.machine_id,
        "version": __version__,
        "state": board.state,
        "epoch": board.epoch,
        "instance": board.instance,
        "uptime_seconds": round(board.clock.monotonic() - board.started, 1),
        "readiness": ready_answer(board.readiness),
        "assignment": _assignment(board),
        "models": [_model(step, board) for step in board.plan.steps] if board.plan else [],
        "total": total_answer(required),
        "optional": total_answer(optional),
        "transfers": [transfer_answer(transfer) for transfer in board.transfers.values()],
        "inventory": {
            "models": len(held),
            "bytes": sum(item.fingerprint.size for item in held),
            "verified": sum(item.verified for item in held),
            "unhashed": shelves.unhashed,
            "hashing": board.hashing,
        },
        "scan": scan_status(board, shelves),
        "disks": board.disks,
        "lost_roots": board.lost_roots,
        "watching": board.watch_mode,
        "redis": {"state": board.bus, "reason": board.bus_error},
        "problems": problems(board),
        "metrics": {**_counters(board), "success_rate": success_rate(board)},
    }


def scan_status(board: Board, shelves: Shelves) -> ScanStatus:
    """How far the look through the model directories is."""
    running = bool(board.scan_started) and not board.scan_finished
    unhashed = shelves.unhashed
    return ScanStatus(
        phase="scanning" if running else "hashing" if unhashed else "idle",
        files=len(shelves.held),
        verified=sum(held.verified for held in shelves.held.values()),
        unhashed=unhashed,
        started=board.scan_started,
        finished=board.scan_finished,
    )


def _assignment(board: Board) -> dict[str, Any]:
    current = board.requirements
    if current is None:
        return {"generation": "", "complete": False}
    return {
        "generation": current.generation,
        "workflows": [need.name for need in current.workflows],
        "collections": current.assignment.collections,
        "components": current.assignment.components,
        "models": current.assignment.models,
        "required": sum(wanted.required for wanted in current.wanted),
        "optional": sum(not wanted.required for wanted in current.wanted),
        "complete": current.complete,
        "stale": current.stale,
        "described_at": current.described_at,
        "empty": current.assignment.empty,
    }


def problems(board: Board) -> list[str]:
    """Everything that a person should look at, in words."""
    said = [f"{p.subject}: {p.why}" for p in board.requirements.problems] if board.requirements else []
    said += [f"{root}: {why}" for root, why in board.lost_roots.items()]
    said += [
        f"{root}: {number:,} places in it cannot be looked at; {WHICH}" for root, number in board.unreadable.items()
    ]
    if board.unverifiable:
        said.append(f"{board.unverifiable:,} files could not be read again when they were verified last; {WHICH}")
    said += [
        why
        for why in (
            board.assignment_error,
            board.flows_error,
            board.judging_error,
            board.settings_error,
            board.pushed_error,
            board.catalog_error,
            board.bus_error,
            board.index_error,
        )
        if why
    ]
    return said


def _model(step: Step, board: Board) -> dict[str, Any]:
    model = step.wanted.model
    transfer = board.transfers.get(model.path)
    return {
        "folder": model.path.folder,
        "name": model.path.name,
        "required": step.wanted.required,
        "needed_by": step.wanted.needed_by,
        "size": step.held.fingerprint.size
        if isinstance(step, Keep | Check)
        else model.size.bytes
        if model.size
        else None,
        "state": _word(step, transfer),
        "evidence": step.held.evidence if isinstance(step, Keep) else None,
        "why": step.why if isinstance(step, Refuse) else transfer.why if transfer else "",
    }


def _word(step: Step, transfer: Transfer | None) -> str:
    match step:
        case Keep():
            return "present"
        case Check():
            return "checking"
        case Refuse():
            return "refused"
        case Link() | Fetch():
            return str(transfer.phase) if transfer and transfer.phase is not Phase.DONE else "queued"


def transfer_answer(transfer: Transfer) -> dict[str, Any]:
    return {
        "folder": transfer.shelf.folder,
        "name": transfer.shelf.name,
        "phase": str(transfer.phase),
        "bytes": transfer.bytes,
        "total": transfer.total,
        "speed": round(transfer.speed),
        "eta": None if transfer.eta is None else round(transfer.eta),
        "attempt": transfer.attempt,
        "why": transfer.why,
        "retry_at": transfer.retry_at,
        "connections": transfer.connections,
        "host": transfer.host,
    }


def totals(board: Board) -> tuple[Total, Total]:
    """The required models together, and the optional ones, which come after them."""
    steps = board.plan.steps if board.plan else ()
    required = total((step for step in steps if step.wanted.required), board.transfers, board.speed)
    optional = total((step for step in steps if not step.wanted.required), board.transfers, board.speed)
    if optional.eta is not None:
        optional = replace(optional, eta=optional.eta + (required.eta or 0.0))
    return required, optional


def total_answer(each: Total) -> dict[str, Any]:
    return asdict(each) | {"speed": round(each.speed), "eta": None if each.eta is None else round(each.eta)}


def shown(board: Board) -> tuple[Transfer, ...]:
    """The downloads worth a line of their own: what moves, then what waits, then what failed; at most SHOWN."""
    running = [each for each in board.transfers.values() if each.phase in _FIRST]
    return tuple(sorted(running, key=lambda each: _FIRST.index(each.phase))[:SHOWN])


def progress_answer(board: Board) -> dict[str, Any]:
    """What `GET /progress` and events of the kind `progress` say: bytes, bytes/s, seconds."""
    required, optional = totals(board)
    return {
        "total": total_answer(required),
        "optional": total_answer(optional),
        "transfers": [transfer_answer(each) for each in shown(board)],
    }


def plan_answer(plan: Plan) -> dict[str, Any]:
    """What `GET /plan` says: the steps in order of work, and the bytes that will cross the network."""
    return {"generation": plan.generation, "bytes": plan.bytes, "steps": [_step(step) for step in plan.steps]}


def _step(step: Step) -> dict[str, Any]:
    model = step.wanted.model
    answer: dict[str, Any] = {
        "step": type(step).__name__.lower(),
        "folder": model.path.folder,
        "name": model.path.name,
        "required": step.wanted.required,
        "needed_by": step.wanted.needed_by,
        "bytes": 0,
        "why": "",
    }
    match step:
        case Keep(held=held):
            return answer | {"why": f"here, judged by {held.evidence}"}
        case Check(held=held):
            return answer | {"why": f"{held.file} must be read whole first"}
        case Link(held=held):
            return answer | {"why": f"the same bytes are here as {held.shelf}"}
        case Fetch(bytes=size):
            return answer | {"bytes": size, "why": _why(step)}
        case Refuse(why=why):
            return answer | {"why": why}


def _why(step: Fetch) -> str:
    if step.after:
        return f"linked once {step.after} is here"
    if step.candidates:
        return f"not here under its name; {step.candidates[0].file} may be it and is read first"
    return "not here" if step.replaces is None else "the file in its place is not it"


def success_rate(board: Board) -> float | None:
    """Verified downloads by all that ended, None before the first."""
    ended = board.counters.verified + board.counters.failed
    return round(board.counters.verified / ended, 4) if ended else None


def figures(board: Board) -> Figures:
    """What the fleet is told of it with each heartbeat."""
    counters = board.counters
    scanned = counters.scanned_at
    return Figures(
        discovery_seconds=counters.discovery_seconds,
        startup_seconds=counters.ready_seconds,
        inventory_age_seconds=None if scanned is None else round(board.clock.monotonic() - scanned, 1),
        downloads_verified=counters.verified,
        downloads_failed=counters.failed,
        downloaded_bytes=counters.fetched_bytes,
        cache_hits=counters.cache_hits,
        cache_misses=counters.cache_misses,
    )


def _counters(board: Board) -> dict[str, Any]:
    counters = board.counters
    return {
        "discovery_seconds": counters.discovery_seconds,
        "startup_seconds": counters.ready_seconds,
        "scan_seconds": counters.scan_seconds,
        "downloads_started": counters.started,
        "downloads_verified": counters.verified,
        "downloads_failed": counters.failed,
        "downloads_retried": counters.retried,
        "fetched_bytes": counters.fetched_bytes,
    }
