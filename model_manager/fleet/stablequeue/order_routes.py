"""The routes of StableQueue that have machines do something, and the one that takes its database in."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from model_manager.fleet.handling import Do, doing, reading
from model_manager.fleet.stablequeue import answers, shapes
from model_manager.fleet.stablequeue.removals import Removals
from model_manager.fleet.stablequeue.routes import BODIED, WRITING
from model_manager.fleet.stablequeue.scans import Scans
from model_manager.fleet.stablequeue.taking import DRY, Taking
from model_manager.fleet.telling import Telling
from model_manager.serving.answering import Handler
from model_manager.serving.routing import Route

_AT: Final = "/api/v1/models"

STATE: Final = Route(
    method="GET", path=f"{_AT}/scan", name="stablequeue_scan_state", summary="How far the last scan is, in StableQueue's counters.",
    answer=answers.StableQueueScanState,
)  # fmt: skip
PROGRESS: Final = Route(
    method="GET", path=f"{_AT}/scan/progress", name="stablequeue_scan_progress", content="text/event-stream",
    summary="The same while it goes on, as server-sent events: scan_progress, scan_complete.",
)  # fmt: skip
STOP: Final = Route(
    method="POST", path=f"{_AT}/scan/stop", name="stablequeue_scan_stop", answer=shapes.StableQueueDone, secured=True, refusals=WRITING,
    summary="End it: what was found stays found.",
)  # fmt: skip
DELETE: Final = Route(
    method="DELETE", path=f"{_AT}/delete-from-disk", name="stablequeue_delete", answer=answers.StableQueueDeleted, takes="StableQueueDelete",
    refusals=BODIED, summary="Say what removing a model from machines would come to; with `confirm` move it aside there.",
)  # fmt: skip
RESTORE: Final = Route(
    method="POST", path=f"{_AT}/restore", name="stablequeue_restore", answer=answers.StableQueueRestored, takes="StableQueueRestore",
    refusals=BODIED, summary="Bring back what was moved aside.",
)  # fmt: skip
IMPORT: Final = Route(
    method="POST", path="/api/v1/import", name="stablequeue_import", answer=answers.StableQueueImported, takes="StableQueueFile",
    media=("application/octet-stream", "multipart/form-data"), params=(DRY,), refusals=(401, 403, 408, 413, 422, 503),
    summary="Take in what a database of StableQueue tells; nothing of it counts as proof.",
)  # fmt: skip

DOING: Final = (STOP, DELETE, RESTORE)
ROUTES: Final = (STATE, PROGRESS, *DOING, IMPORT)


def handlers(scans: Scans, removals: Removals, taking: Taking, telling: Telling) -> dict[str, Handler]:
    """By the names of the routes."""
    does: dict[str, Do] = {STOP.name: scans.stop, DELETE.name: removals.delete, RESTORE.name: removals.restore}

    async def progress(request: web.Request) -> web.StreamResponse:
        return await scans.progress(request, telling)

    served: dict[str, Handler] = {STATE.name: reading(STATE, scans.state)}
    served |= {PROGRESS.name: progress, IMPORT.name: taking.receive}
    return served | {route.name: doing(route, does[route.name]) for route in DOING}
