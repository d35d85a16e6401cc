"""The board for Prometheus (text exposition format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterator

from model_manager.agent.board import Board, Counters
from model_manager.agent.control.status import success_rate, totals
from model_manager.agent.holdings.shelves import Shelves
from model_manager.facts.transfer import Phase, Total

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(board: Board, shelves: Shelves) -> str:
    """Seconds and bytes throughout; names start with model_manager_."""
    return "\n".join(_lines(board, shelves)) + "\n"


def _lines(board: Board, shelves: Shelves) -> Iterator[str]:
    counters = board.counters
    held = shelves.held.values()
    now = board.clock.monotonic()
    yield from _metric("ready", "gauge", "1 while the gate is open", int(board.readiness.ready))
    yield from _metric("required_models", "gauge", "models that the assignment requires", board.readiness.required)
    yield from _metric(
        "present_models", "gauge", "required models that are present and verified", board.readiness.present
    )
    yield from _metric("inventory_models", "gauge", "files in the index", len(held))
    yield from _metric("inventory_bytes", "gauge", "bytes in the index", sum(item.fingerprint.size for item in held))
    yield from _metric(
        "model_discovery_seconds", "gauge", "time to understand the assignment", counters.discovery_seconds
    )
    yield from _metric(
        "startup_seconds", "gauge", "time from start to the gate's first opening", counters.ready_seconds
    )
    yield from _metric("scan_seconds", "gauge", "time of the last scan", counters.scan_seconds)
    age = None if counters.scanned_at is None else now - counters.scanned_at
    yield from _metric("inventory_age_seconds", "gauge", "time since the last full scan", age)
    yield from _metric("downloads_started_total", "counter", "downloads begun", counters.started)
    yield from _metric(
        "downloads_verified_total", "counter", "downloads that were verified and placed", counters.verified
    )
    yield from _metric("downloads_failed_total", "counter", "downloads that counted as failed", counters.failed)
    yield from _metric("download_retries_total", "counter", "attempts after the first", counters.retried)
    yield from _metric("downloaded_bytes_total", "counter", "bytes over the network", counters.fetched_bytes)
    yield from _metric("download_success_ratio", "gauge", "verified by ended downloads", success_rate(board))
    yield from _metric(
        "model_cache_hits_total", "counter", "models that were here when first wanted", counters.cache_hits
    )
    yield from _metric("model_cache_misses_total", "counter", "wanted models that had to come", counters.cache_misses)
    yield from _metric("model_cache_hit_ratio", "gauge", "hits by hits and misses", hit_ratio(counters))
    yield from _metric("redis_connected", "gauge", "1 while events reach Redis", int(board.bus == "connected"))
    yield from _labelled("workflow_ready", "1 while the workflow's models are here", "workflow", {
        flow.name: float(flow.ready) for flow in board.readiness.workflows
    })  # fmt: skip
    yield from _labelled("disk_free_bytes", "bytes free", "root", {disk.root: float(disk.free) for disk in board.disks})
    yield from _labelled(
        "disk_total_bytes", "bytes of the disk", "root", {disk.root: float(disk.total) for disk in board.disks}
    )
    used = {disk.root: 1 - disk.free / disk.total for disk in board.disks if disk.total}
    yield from _labelled("storage_utilization_ratio", "part of the disk that is taken", "root", used)
    yield from _moving(board, totals(board)[0])
    done = {str(t.shelf): t.bytes / t.total for t in board.transfers.values() if t.total}
    yield from _labelled("download_progress_ratio", "part of the model that is here", "model", done)


def hit_ratio(counters: Counters) -> float | None:
    """None before the first model was wanted."""
    wanted = counters.cache_hits + counters.cache_misses
    return counters.cache_hits / wanted if wanted else None


def _moving(board: Board, required: Total) -> Iterator[str]:
    """The required models together, and how all downloads come along."""
    yield from _metric("required_bytes", "gauge", "bytes of the required models, as far as known", required.total)
    yield from _metric("required_bytes_here", "gauge", "bytes of the required models on this disk", required.bytes)
    yield from _metric("required_unknown_sizes", "gauge", "required models of unknown size", required.unknown)
    yield from _metric("download_bytes_per_second", "gauge", "speed of all downloads together", board.speed)
    yield from _metric("download_eta_seconds", "gauge", "time until the required models have come", required.eta)
    phases = [transfer.phase for transfer in board.transfers.values()]
    yield from _labelled("downloads", "downloads by phase", "phase", {
        str(phase): float(phases.count(phase)) for phase in Phase if phase is not Phase.DONE
    })  # fmt: skip
    lines: dict[str, float] = {}
    for transfer in board.transfers.values():
        if transfer.phase is Phase.FETCHING and transfer.host:
            lines[transfer.host] = lines.get(transfer.host, 0.0) + transfer.connections
    yield from _labelled("download_connections", "connections that bring models", "host", lines)


def _metric(name: str, kind: str, help: str, value: float | None) -> Iterator[str]:
    if value is not None:
        yield f"# HELP model_manager_{name} {help}"
        yield f"# TYPE model_manager_{name} {kind}"
        yield f"model_manager_{name} {value:g}" if isinstance(value, float) else f"model_manager_{name} {value}"


def _labelled(name: str, help: str, label: str, values: dict[str, float]) -> Iterator[str]:
    if values:
        yield f"# HELP model_manager_{name} {help}"
        yield f"# TYPE model_manager_{name} gauge"
    for text, value in sorted(values.items()):
        yield f'model_manager_{name}{{{label}="{_escaped(text)}"}} {value:.17g}'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
