"""The routes for one model of StableQueue's table and for its lists, the filters' values, and pictures."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from model_manager.fleet.handling import Ask, Do, doing, reading
from model_manager.fleet.models.filtering import Filters
from model_manager.fleet.models.previewing import TYPES
from model_manager.fleet.parameters import jumping
from model_manager.fleet.stablequeue import answers, shapes
from model_manager.fleet.stablequeue.details import Details
from model_manager.fleet.stablequeue.routes import BODIED, MODEL, WRITING
from model_manager.serving.answering import Handler
from model_manager.serving.asking import Param, asked
from model_manager.serving.routing import Route

_AT: Final = "/api/v1/models"
_LISTED: Final = jumping(what="files")


def _reading(path: str, name: str, summary: str, answer: Any, *params: Param, missing: bool = True) -> Route:
    refusals = (404, 503) if missing else (503,)
    return Route(method="GET", path=path, name=name, summary=summary, answer=answer, params=params, refusals=refusals)


READING: Final = (
    _reading("/facets", "facets", "Values of the filters, and how many models have each.", shapes.Facets, missing=False),
    _reading(
        "/model-details/{name}", "model_details", "All that is known of a model.", shapes.StableQueueKnown,
        Param(name="name", help="`folder/name`.", where="path", required=True),
    ),
    _reading(f"{_AT}/{{id}}/known", "stablequeue_known", "The same, by number or digest.", shapes.StableQueueKnown, MODEL),
    _reading(f"{_AT}/{{id}}/hash-info", "stablequeue_hash_info", "Whether it has its hash, and what one would take.", answers.StableQueueHashInfo, MODEL),
    _reading("/api/v1/loras", "stablequeue_loras", "LoRAs, as a walk of their directory.", tuple[answers.StableQueueListed, ...], *_LISTED, missing=False),
    _reading("/api/v1/checkpoints", "stablequeue_checkpoints", "Checkpoints, the same.", tuple[answers.StableQueueListed, ...], *_LISTED, missing=False),
)  # fmt: skip

PREVIEW: Final = Route(
    method="GET", path=f"{_AT}/{{id}}/preview", name="stablequeue_preview", content="image/*", refusals=(404, 409, 503),
    params=(MODEL,), summary=f"The picture of a model, from a machine that has one: {', '.join(TYPES)}.",
)  # fmt: skip


def _writing(method: str, path: str, name: str, summary: str, answer: Any, takes: str, *params: Param) -> Route:
    return Route(
        method=method, path=path, name=name, summary=summary, answer=answer, takes=takes, params=params, secured=True,
        body_required=method == "PUT", refusals=BODIED if takes else WRITING,
    )  # fmt: skip


DOING: Final = (
    _writing("POST", f"{_AT}/{{id}}/rescan", "stablequeue_rescan", "Look at one model anew.", answers.StableQueueRescanned, "StableQueueRescan", MODEL),
    _writing("POST", f"{_AT}/{{id}}/fetch-from-civitai", "stablequeue_fetch", "Ask CivitAI by its SHA-256.", answers.StableQueueFetched, "", MODEL),
    _writing("PUT", f"{_AT}/update-field", "stablequeue_field", "Tell a field by hand.", answers.StableQueueFieldUpdated, "StableQueueFieldTold"),
    _writing("POST", f"{_AT}/cleanup-duplicates", "stablequeue_clean", "Forget what services told of models that are nowhere any more.", answers.StableQueueCleaned, ""),
)  # fmt: skip

ROUTES: Final = (*READING, PREVIEW, *DOING)


def handlers(details: Details, filters: Filters) -> dict[str, Handler]:
    """By the names of the routes."""
    asks: dict[str, Ask] = {
        "facets": filters.facets,
        "model_details": details.named,
        "stablequeue_known": details.known,
        "stablequeue_hash_info": details.hash_info,
        "stablequeue_loras": details.loras,
        "stablequeue_checkpoints": details.checkpoints,
    }
    does: dict[str, Do] = {
        "stablequeue_rescan": details.rescan,
        "stablequeue_fetch": details.fetch,
        "stablequeue_field": details.update_field,
        "stablequeue_clean": details.clean,
    }

    async def preview(request: web.Request) -> web.StreamResponse:
        return await details.preview(request, asked(request, PREVIEW.params))

    served = {route.name: reading(route, asks[route.name]) for route in READING}
    served |= {route.name: doing(route, does[route.name]) for route in DOING}
    return served | {PREVIEW.name: preview}
