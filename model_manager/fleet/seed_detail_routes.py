"""The routes for one model of StableQueue's table and for its lists, the filters' values, and pictures."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from model_manager.fleet import seed_answers as answers
from model_manager.fleet import seed_shapes as shapes
from model_manager.fleet.filtering import Filters
from model_manager.fleet.handling import Ask, Do, doing, reading
from model_manager.fleet.parameters import jumping
from model_manager.fleet.previewing import TYPES
from model_manager.fleet.seed_details import Details
from model_manager.fleet.seed_routes import BODIED, MODEL, WRITING
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
        "/model-details/{name}", "model_details", "All that is known of a model.", shapes.SeedKnown,
        Param(name="name", help="`folder/name`.", where="path", required=True),
    ),
    _reading(f"{_AT}/{{id}}/known", "seed_known", "The same, by number or digest.", shapes.SeedKnown, MODEL),
    _reading(f"{_AT}/{{id}}/hash-info", "seed_hash_info", "Whether it has its hash, and what one would take.", answers.SeedHashInfo, MODEL),
    _reading("/api/v1/loras", "seed_loras", "LoRAs, as a walk of their directory.", tuple[answers.SeedListed, ...], *_LISTED, missing=False),
    _reading("/api/v1/checkpoints", "seed_checkpoints", "Checkpoints, the same.", tuple[answers.SeedListed, ...], *_LISTED, missing=False),
)  # fmt: skip

PREVIEW: Final = Route(
    method="GET", path=f"{_AT}/{{id}}/preview", name="seed_preview", content="image/*", refusals=(404, 409, 503),
    params=(MODEL,), summary=f"The picture of a model, from a machine that has one: {', '.join(TYPES)}.",
)  # fmt: skip


def _writing(method: str, path: str, name: str, summary: str, answer: Any, takes: str, *params: Param) -> Route:
    return Route(
        method=method, path=path, name=name, summary=summary, answer=answer, takes=takes, params=params, secured=True,
        body_required=method == "PUT", refusals=BODIED if takes else WRITING,
    )  # fmt: skip


DOING: Final = (
    _writing("POST", f"{_AT}/{{id}}/rescan", "seed_rescan", "Look at one model anew.", answers.SeedRescanned, "SeedRescan", MODEL),
    _writing("POST", f"{_AT}/{{id}}/fetch-from-civitai", "seed_fetch", "Ask CivitAI by its SHA-256.", answers.SeedFetched, "", MODEL),
    _writing("PUT", f"{_AT}/update-field", "seed_field", "Tell a field by hand.", answers.SeedFieldUpdated, "SeedFieldTold"),
    _writing("POST", f"{_AT}/cleanup-duplicates", "seed_clean", "Forget what services told of models that are nowhere any more.", answers.SeedCleaned, ""),
)  # fmt: skip

ROUTES: Final = (*READING, PREVIEW, *DOING)


def handlers(details: Details, filters: Filters) -> dict[str, Handler]:
    """By the names of the routes."""
    asks: dict[str, Ask] = {
        "facets": filters.facets,
        "model_details": details.named,
        "seed_known": details.known,
        "seed_hash_info": details.hash_info,
        "seed_loras": details.loras,
        "seed_checkpoints": details.checkpoints,
    }
    does: dict[str, Do] = {
        "seed_rescan": details.rescan,
        "seed_fetch": details.fetch,
        "seed_field": details.update_field,
        "seed_clean": details.clean,
    }

    async def preview(request: web.Request) -> web.StreamResponse:
        return await details.preview(request, asked(request, PREVIEW.params))

    served = {route.name: reading(route, asks[route.name]) for route in READING}
    served |= {route.name: doing(route, does[route.name]) for route in DOING}
    return served | {PREVIEW.name: preview}
