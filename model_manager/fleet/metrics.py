"""The fleet for Prometheus (text exposition format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal

from model_manager.facts.machine import Heartbeat
from model_manager.facts.routed import Routed, Starved
from model_manager.fleet import shapes
from model_manager.fleet.rows import pace_of
from model_manager.fleet.view import View

Kind = Literal["gauge", "counter"]

MEASURED: Final[tuple[tuple[str, str, Kind, str], ...]] = (
    ("discovery_seconds", "model_discovery_seconds", "gauge", "time to understand its assignment"),
    ("startup_seconds", "startup_seconds", "gauge", "time from its start to the first opening of its gate"),
    ("inventory_age_seconds", "inventory_age_seconds", "gauge", "time since its last full scan, as of its last beat"),
    ("downloads_verified", "downloads_verified_total", "counter", "downloads that it verified and placed"),
    ("downloads_failed", "downloads_failed_total", "counter", "its downloads that counted as failed"),
    ("downloaded_bytes", "downloaded_bytes_total", "counter", "bytes that it fetched over the network"),
    ("cache_hits", "model_cache_hits_total", "counter", "its models that were there when first wanted"),
    ("cache_misses", "model_cache_misses_total", "counter", "its wanted models that had to come"),
)
"""A field of a heartbeat's figures, the metric that tells it, its kind and its meaning."""

STARVED: Final = 50
"""Models that are told with the jobs that wait for them."""

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def metrics(view: View, fleet: shapes.Fleet, workflows: Iterable[shapes.WorkflowRow], listeners: int) -> str:
    """Seconds and bytes throughout; names start with model_manager_fleet_."""
    return "\n".join(_lines(view, fleet, workflows, listeners)) + "\n"


def _lines(view: View, fleet: shapes.Fleet, workflows: Iterable[shapes.WorkflowRow], listeners: int) -> Iterator[str]:
    counts = fleet.machines
    states = {"live": counts.live, "stale": counts.stale, "away": counts.away}
    yield from _labelled("machines", "machines by state", "state", states)
    yield from _plain("machines_ready", "live machines whose gate is open", counts.ready)
    yield from _plain("machines_unsure", "machines whose inventory is being read anew", counts.unsure)
    yield from _plain("models", "distinct models by folder and name", fleet.models.distinct)
    yield from _plain("model_copies", "files on all machines", fleet.models.copies)
    yield from _plain("models_single", "models that one machine only has", fleet.models.single)
    yield from _plain("model_bytes", "bytes of all copies", fleet.models.bytes)
    yield from _plain("downloads_running", "downloads that move", fleet.downloads.running)
    yield from _plain("download_bytes_per_second", "speed of all downloads together", fleet.downloads.speed)
    yield from _plain("redis_connected", "1 while Redis answers", int(fleet.redis.away is None))
    yield from _plain("view_exact", "1 when everything that Redis has was read", int(fleet.exact))
    yield from _plain("view_age_seconds", "time since Redis last answered", view.age)
    yield from _plain("lag_entries", "events that wait to be read", fleet.redis.lag_entries)
    yield from _plain("lag_seconds", "how far the reader is behind the stream", fleet.redis.lag_seconds)
    yield from _plain("listeners", "listeners of live events", listeners)
    rows = tuple(workflows)
    ready = {row.workflow: row.ready for row in rows}
    yield from _labelled("workflow_machines_ready", "live machines ready for it", "workflow", ready)
    assigned = {row.workflow: row.assigned for row in rows}
    yield from _labelled("workflow_machines_assigned", "machines told to serve it", "workflow", assigned)
    yield from _machines(view)
    yield from _figures(view)
    if view.routed is not None:
        yield from _routed(view.routed)
    if view.starved is not None:
        yield from _starved(view.starved)


def _machines(view: View) -> Iterator[str]:
    ids = view.ids
    beats = {each: beat for each in ids if (beat := view.heartbeat(each)) is not None}
    up = {each: int(view.state(each) == "live") for each in ids}
    yield from _labelled("machine_up", "1 while it lives", "machine", up)
    yield from _labelled("machine_ready", "1 while its gate is open", "machine", {e: int(view.ready(e)) for e in ids})
    missing = {each: _missing(beat) for each, beat in beats.items()}
    yield from _labelled("machine_models_missing", "required models that it lacks", "machine", missing)
    room = {each: room for each in ids if (room := view.room(each)) is not None}
    yield from _labelled("machine_room_bytes", "bytes that its store takes above the floor", "machine", room)
    used = {each: 1 - disk.free / disk.total for each, beat in beats.items() for disk in beat.disks[:1] if disk.total}
    yield from _labelled("machine_storage_utilization_ratio", "part of its store's disk that is taken", "machine", used)
    sizes = {each: mirror.bytes for each in ids if (mirror := view.mirror(each)) is not None}
    yield from _labelled("machine_model_bytes", "bytes of the models that it holds", "machine", sizes)
    speeds = {each: pace.speed for each in ids if (pace := pace_of(view, each)).running}
    yield from _labelled("machine_download_bytes_per_second", "speed of its downloads", "machine", speeds)


def _figures(view: View) -> Iterator[str]:
    """What machines that are not away measured of themselves, and of all of them together what is a part of a whole."""
    told = {
        each: beat.figures
        for each in view.ids
        if (beat := view.heartbeat(each)) is not None and beat.figures is not None and view.state(each) != "away"
    }
    for field, name, kind, help in MEASURED:
        values = {each: value for each, figures in told.items() if (value := getattr(figures, field)) is not None}
        yield from _labelled(f"machine_{name}", help, "machine", values, kind)
    every = told.values()
    verified, failed = sum(f.downloads_verified for f in every), sum(f.downloads_failed for f in every)
    yield from _ratio("download_success_ratio", "verified downloads by all that ended", verified, failed)
    hits, misses = sum(f.cache_hits for f in every), sum(f.cache_misses for f in every)
    yield from _ratio("model_cache_hit_ratio", "wanted models that were here when first wanted", hits, misses)


def _routed(told: Routed) -> Iterator[str]:
    """What became of the pool's jobs. Claims count since the pool began, whoever reads them."""
    states = {"waiting": told.waiting, "running": told.running, "delayed": told.delayed, "dead": told.dead}
    yield from _labelled("jobs", "jobs by state", "state", states)
    for name, help, value in (
        ("job_claims_total", "jobs that were given to a worker, each attempt counts", told.claims),
        ("job_claims_hot_total", "claims of jobs whose models the worker had loaded", told.hot),
        ("job_claims_fetched_total", "claims of jobs whose models were fetched while they waited", told.fetched),
        ("job_claims_missing_total", "claims given back because a model was not there after all", told.missing),
    ):
        yield from _plain(name, help, value, "counter")
    good, hits = told.claims - told.missing, told.claims - told.fetched
    yield from _ratio("routing_efficiency_ratio", "claims on a machine with all models, by all", good, told.missing)
    yield from _ratio("job_cache_hit_ratio", "claims for which nothing was fetched, by all", hits, told.fetched)


def _starved(told: Starved) -> Iterator[str]:
    """Of models those for which most jobs wait: whoever hands jobs in chooses their names."""
    yield from _plain("jobs_waiting_for_models", "jobs that wait for nothing but models", told.jobs)
    most = dict(sorted(told.models.items(), key=lambda each: (-each[1], each[0]))[:STARVED])
    help = "jobs that wait for nothing but models and need this one"
    yield from _labelled("model_jobs_waiting", help, "model", most)


def _ratio(name: str, help: str, good: float, other: float) -> Iterator[str]:
    """Nothing while there is nothing to tell of."""
    if good + other:
        yield from _plain(name, help, good / (good + other))


def _missing(beat: Heartbeat) -> int:
    return beat.readiness.required - beat.readiness.present


def _plain(name: str, help: str, value: float, kind: Kind = "gauge") -> Iterator[str]:
    yield from _head(name, help, kind)
    yield f"model_manager_fleet_{name} {_number(value)}"


def _labelled(name: str, help: str, label: str, values: Mapping[str, float], kind: Kind = "gauge") -> Iterator[str]:
    if values:
        yield from _head(name, help, kind)
    for text, value in sorted(values.items()):
        yield f'model_manager_fleet_{name}{{{label}="{_escaped(text)}"}} {_number(value)}'


def _head(name: str, help: str, kind: Kind = "gauge") -> Iterator[str]:
    yield f"# HELP model_manager_fleet_{name} {help}"
    yield f"# TYPE model_manager_fleet_{name} {kind}"


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.17g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
