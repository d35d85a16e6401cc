"""The routes of StableQueue that are about models."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from model_manager.fleet.handling import Ask, Do, doing, reading
from model_manager.fleet.models.filtering import FILTERS
from model_manager.fleet.parameters import jumping, part_of
from model_manager.fleet.stablequeue import shapes
from model_manager.fleet.stablequeue.models import Models
from model_manager.serving.answering import Handler, answered
from model_manager.serving.asking import MACHINE, Asked, Param, asked
from model_manager.serving.problems import bad_parameter
from model_manager.serving.routing import Route

MODEL: Final = Param(
    name="id", help="Its number, its SHA-256, or the first ten digits of that.", where="path", most=64,
    pattern="^[0-9A-Fa-f]{1,64}$", required=True,
)  # fmt: skip
SERVER: Final = Param(name="server_id", help="A machine.", where="path", pattern=MACHINE, most=128, required=True)
HEADER: Final = Param(name="x-server-id", help="A machine that does not run this product.", where="header", pattern=MACHINE, most=128, required=True)  # fmt: skip

WRITING: Final = (401, 403, 404, 409, 422, 503)
BODIED: Final = (*WRITING, 408, 413, 415)
_AT: Final = "/api/v1/models"


def _post(
    path: str,
    name: str,
    summary: str,
    answer: type,
    takes: str = "",
    *params: Param,
    good: int = 200,
    needed: bool = True,
) -> Route:
    return Route(
        method="POST", path=path, name=name, summary=summary, answer=answer, params=params, takes=takes, secured=True,
        body_required=needed, good=(good,), refusals=BODIED if takes else WRITING,
    )  # fmt: skip


READING: Final = (
    Route(
        method="GET", path=_AT, name="stablequeue_models", summary="Models as rows of StableQueue.", answer=shapes.StableQueueModels,
        params=jumping(
            part_of("folder and name"),
            *FILTERS,
            what="models",
        ),
        refusals=(409, 503),
    ),
    *(
        Route(
            method="GET", path=f"{_AT}/{{id}}{more}", name=name, summary=summary, answer=answer, params=(MODEL,),
            refusals=(404, 503),
        )
        for more, name, summary, answer in (
            ("", "stablequeue_model", "A model.", shapes.StableQueueInfo),
            ("/info", "stablequeue_info", "A model, who has it, and who told what of it.", shapes.StableQueueInfo),
            ("/availability", "stablequeue_availability", "Who has a model.", shapes.StableQueueServers),
        )
    ),
)  # fmt: skip

CHANGING: Final = (
    _post(f"{_AT}/scan", "stablequeue_scan", "Have machines compare their directories with their indexes.", shapes.StableQueueOrder, "StableQueueScan", good=202, needed=False),
    _post(f"{_AT}/reset-database", "stablequeue_reset", "Empty the store, after a copy of it.", shapes.StableQueueBackup),
    _post(f"{_AT}/{{id}}/calculate-hash", "stablequeue_hash", "Have machines read a model whole.", shapes.StableQueueOrder, "", MODEL, good=202),
    _post(f"{_AT}/{{id}}/refresh-metadata", "stablequeue_refresh", "Ask CivitAI by hash.", shapes.StableQueueRefreshed, "", MODEL),
    _post("/api/v1/servers/{server_id}/models/sync", "stablequeue_sync", "What a machine holds that does not run this product.", shapes.StableQueueSynced, "StableQueueSync", SERVER),
    Route(
        method="PUT", path=f"{_AT}/{{id}}/fields", name="stablequeue_edit", summary="Tell fields by hand; null takes one back.",
        answer=shapes.StableQueueInfo, params=(MODEL,), takes="StableQueueFields", refusals=BODIED,
    ),
    Route(
        method="POST", path="/api/v1/checkpoint-verify", name="stablequeue_verify", answer=shapes.StableQueueVerified, takes="StableQueueVerify",
        secured=False, refusals=(408, 413, 415, 503), summary="Whether a checkpoint is here, by hash or by its CivitAI version.",
    ),
)  # fmt: skip

MARKING: Final = tuple(
    Route(
        method=method, path=f"{_AT}/{{id}}/availability", name=name, summary=summary, answer=shapes.StableQueueDone,
        params=(MODEL, HEADER), secured=True, refusals=WRITING,
    )
    for method, name, summary in (
        ("POST", "stablequeue_mark", "A machine that does not run this product has a model."),
        ("DELETE", "stablequeue_unmark", "It does not have it any more."),
    )
)  # fmt: skip

ROUTES: Final = (*READING, *CHANGING, *MARKING)


def handlers(models: Models) -> dict[str, Handler]:
    """By the names of the routes."""
    asks: dict[str, Ask] = {
        "stablequeue_models": models.models,
        "stablequeue_model": models.info,
        "stablequeue_info": models.info,
        "stablequeue_availability": models.availability,
    }
    does: dict[str, Do] = {
        "stablequeue_scan": models.scan,
        "stablequeue_reset": models.reset,
        "stablequeue_hash": models.calculate,
        "stablequeue_refresh": models.refresh,
        "stablequeue_sync": models.sync,
        "stablequeue_edit": models.edit,
        "stablequeue_verify": models.verify,
    }
    served = {route.name: reading(route, asks[route.name]) for route in READING}
    served |= {route.name: doing(route, does[route.name]) for route in CHANGING}
    return served | {"stablequeue_mark": _marking(models.mark), "stablequeue_unmark": _marking(models.unmark)}


def _marking(do: Callable[[Asked, str], Awaitable[Any]]) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        values = asked(request, (MODEL,))
        server = request.headers.get(HEADER.name)
        if server is None:
            raise bad_parameter(HEADER.name, "is missing. Name the machine in a header of this name.")
        return answered(request, await do(values, HEADER.read(server)))

    return handle
