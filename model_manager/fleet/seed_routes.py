"""The routes of StableQueue that are about models."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from model_manager.fleet import seed_shapes as shapes
from model_manager.fleet.filtering import FILTERS
from model_manager.fleet.handling import Ask, Do, doing, reading
from model_manager.fleet.parameters import jumping, part_of
from model_manager.fleet.seeds import Seeds
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
        method="GET", path=_AT, name="seed_models", summary="Models as rows of StableQueue.", answer=shapes.SeedModels,
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
            ("", "seed_model", "A model.", shapes.SeedInfo),
            ("/info", "seed_info", "A model, who has it, and who told what of it.", shapes.SeedInfo),
            ("/availability", "seed_availability", "Who has a model.", shapes.SeedServers),
        )
    ),
)  # fmt: skip

CHANGING: Final = (
    _post(f"{_AT}/scan", "seed_scan", "Have machines compare their directories with their indexes.", shapes.SeedOrder, "SeedScan", good=202, needed=False),
    _post(f"{_AT}/reset-database", "seed_reset", "Empty the store, after a copy of it.", shapes.SeedBackup),
    _post(f"{_AT}/{{id}}/calculate-hash", "seed_hash", "Have machines read a model whole.", shapes.SeedOrder, "", MODEL, good=202),
    _post(f"{_AT}/{{id}}/refresh-metadata", "seed_refresh", "Ask CivitAI by hash.", shapes.SeedRefreshed, "", MODEL),
    _post("/api/v1/servers/{server_id}/models/sync", "seed_sync", "What a machine holds that does not run this product.", shapes.SeedSynced, "SeedSync", SERVER),
    Route(
        method="PUT", path=f"{_AT}/{{id}}/fields", name="seed_edit", summary="Tell fields by hand; null takes one back.",
        answer=shapes.SeedInfo, params=(MODEL,), takes="SeedFields", refusals=BODIED,
    ),
    Route(
        method="POST", path="/api/v1/checkpoint-verify", name="seed_verify", answer=shapes.SeedVerified, takes="SeedVerify",
        secured=False, refusals=(408, 413, 415, 503), summary="Whether a checkpoint is here, by hash or by its CivitAI version.",
    ),
)  # fmt: skip

MARKING: Final = tuple(
    Route(
        method=method, path=f"{_AT}/{{id}}/availability", name=name, summary=summary, answer=shapes.SeedDone,
        params=(MODEL, HEADER), secured=True, refusals=WRITING,
    )
    for method, name, summary in (
        ("POST", "seed_mark", "A machine that does not run this product has a model."),
        ("DELETE", "seed_unmark", "It does not have it any more."),
    )
)  # fmt: skip

ROUTES: Final = (*READING, *CHANGING, *MARKING)


def handlers(seeds: Seeds) -> dict[str, Handler]:
    """By the names of the routes."""
    asks: dict[str, Ask] = {
        "seed_models": seeds.models,
        "seed_model": seeds.info,
        "seed_info": seeds.info,
        "seed_availability": seeds.availability,
    }
    does: dict[str, Do] = {
        "seed_scan": seeds.scan,
        "seed_reset": seeds.reset,
        "seed_hash": seeds.calculate,
        "seed_refresh": seeds.refresh,
        "seed_sync": seeds.sync,
        "seed_edit": seeds.edit,
        "seed_verify": seeds.verify,
    }
    served = {route.name: reading(route, asks[route.name]) for route in READING}
    served |= {route.name: doing(route, does[route.name]) for route in CHANGING}
    return served | {"seed_mark": _marking(seeds.mark), "seed_unmark": _marking(seeds.unmark)}


def _marking(do: Callable[[Asked, str], Awaitable[Any]]) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        values = asked(request, (MODEL,))
        server = request.headers.get(HEADER.name)
        if server is None:
            raise bad_parameter(HEADER.name, "is missing. Name the machine in a header of this name.")
        return answered(request, await do(values, HEADER.read(server)))

    return handle
