"""The routes about newer versions, sources, fetching, and the catalog's doctor."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from model_manager.fleet.handling import Ask, Do, doing, reading
from model_manager.fleet.models import doctoring, shapes
from model_manager.fleet.models.doctoring import Doctoring
from model_manager.fleet.models.fetching import Fetching
from model_manager.fleet.models.offering import Offering
from model_manager.fleet.models.reporting import Reporting
from model_manager.fleet.telling import Telling
from model_manager.serving.answering import Handler
from model_manager.serving.asking import MACHINE, Param
from model_manager.serving.routing import Route

_AT: Final = "/models/check-updates"
_BODIED: Final = (401, 403, 404, 408, 409, 413, 415, 503)
_MACHINE: Final = Param(name="machine_id", help="A machine.", where="path", pattern=MACHINE, most=128, required=True)

READING: Final = (
    Route(
        method="GET", path="/sources", name="sources", summary="Where a model could be had.", answer=shapes.Offers, refusals=(503,),
        params=(Param(name="model", help="Its `folder/name`.", required=True),),
    ),
    Route(
        method="GET", path=_AT, name="update_check", answer=shapes.UpdateCheck, refusals=(503,),
        summary="How far the last check for newer versions at CivitAI is.",
    ),
    Route(
        method="GET", path="/doctor", name="doctor", answer=doctoring.CatalogReport, params=doctoring.PAGED, refusals=(409, 502, 503),
        summary="What the catalog's doctor found last: dead links, tokens that are missing or ended, wrong sizes.",
    ),
)  # fmt: skip

PROGRESS: Final = Route(
    method="GET", path=f"{_AT}/progress", name="update_check_progress", content="text/event-stream", refusals=(503,),
    summary="The same while it goes on, as server-sent events: update_progress, update_complete.",
)  # fmt: skip

DOING: Final = (
    Route(
        method="POST", path=_AT, name="check_updates", answer=shapes.UpdateCheck, takes="UpdateCheckWanted", body_required=False,
        good=(202,), refusals=(401, 403, 408, 413, 415, 503), summary="Ask CivitAI which versions it publishes of the models here.",
    ),
    Route(
        method="POST", path=f"{_AT}/stop", name="stop_update_check", answer=shapes.UpdateCheck, secured=True,
        refusals=(401, 403, 503), summary="End the check: what it had learnt stays.",
    ),
    Route(
        method="POST", path="/machines/{machine_id}/fetch", name="fetch", answer=shapes.FetchOrdered, takes="Fetch", params=(_MACHINE,),
        refusals=_BODIED, summary="Have a machine fetch models, from addresses that are named or known here.",
    ),
    Route(
        method="POST", path="/fetch", name="fetch_group", answer=shapes.FetchOrdered, takes="GroupFetch", refusals=_BODIED,
        summary="Have a group of machines fetch models; each answers for itself.",
    ),
    Route(
        method="POST", path="/doctor", name="begin_doctor", answer=doctoring.CatalogAsked, secured=True, good=(202,),
        params=doctoring.BEGINNING, refusals=(401, 403, 409, 502, 503), summary="Have the catalog's doctor look at every record.",
    ),
    Route(
        method="DELETE", path="/doctor", name="stop_doctor", answer=doctoring.CatalogAsked, secured=True,
        refusals=(401, 403, 409, 502, 503), summary="End its check-up; what it found stays.",
    ),
)  # fmt: skip

ROUTES: Final = (*READING, PROGRESS, *DOING)


def handlers(
    reporting: Reporting, offering: Offering, fetching: Fetching, doctor: Doctoring, telling: Telling
) -> dict[str, Handler]:
    """By the names of the routes."""
    asks: dict[str, Ask] = {"sources": offering.offers, "update_check": reporting.state, "doctor": doctor.report}
    does: dict[str, Do] = {
        "check_updates": reporting.begin,
        "stop_update_check": reporting.stop,
        "fetch": fetching.one,
        "fetch_group": fetching.many,
        "begin_doctor": lambda asked, _: doctor.begin(asked),
        "stop_doctor": lambda asked, _: doctor.stop(asked),
    }

    async def progress(request: web.Request) -> web.StreamResponse:
        return await reporting.progress(request, telling)

    served: dict[str, Handler] = {route.name: reading(route, asks[route.name]) for route in READING}
    served |= {route.name: doing(route, does[route.name]) for route in DOING}
    return served | {PROGRESS.name: progress}
