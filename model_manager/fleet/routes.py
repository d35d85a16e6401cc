"""Every route of the fleet's HTTP API in one table: the server, its checks and its OpenAPI document follow it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from aiohttp import web
from loguru import logger

from model_manager.errors import ModelManagerError, printable
from model_manager.facts import wire
from model_manager.facts.order import WHATS, What
from model_manager.fleet import shapes
from model_manager.fleet.answers import Answers
from model_manager.fleet.collections import CollectionCandidates, Collections, Sets
from model_manager.fleet.forecasts import Forecasts
from model_manager.fleet.handling import TOKEN, allowed, reading
from model_manager.fleet.history import History
from model_manager.fleet.jobs import routes as job_routes
from model_manager.fleet.matrix import routes as matrix_routes
from model_manager.fleet.metrics import CONTENT_TYPE, metrics
from model_manager.fleet.models import routes as model_routes
from model_manager.fleet.models.filtering import FILTERS
from model_manager.fleet.models.sorting import SORTED
from model_manager.fleet.notices import routes as notice_routes
from model_manager.fleet.ordering import Ordering
from model_manager.fleet.orders import Ordered, OrderStatus
from model_manager.fleet.pages import Pages, files
from model_manager.fleet.parameters import ONE_MACHINE, paged, part_of
from model_manager.fleet.pushing import Pushing
from model_manager.fleet.remembering import Remembering
from model_manager.fleet.stablequeue import detail_routes as stablequeue_detail_routes
from model_manager.fleet.stablequeue import job_routes as stablequeue_job_routes
from model_manager.fleet.stablequeue import order_routes as stablequeue_order_routes
from model_manager.fleet.stablequeue import routes as stablequeue_routes
from model_manager.fleet.telling import Telling
from model_manager.fleet.view import View
from model_manager.serving.answering import Handler, answered, answering, tagged
from model_manager.serving.asking import EVENT, MACHINE, Asked, Param, asked, asked_object
from model_manager.serving.guarding import guarded
from model_manager.serving.problems import refusal
from model_manager.serving.routing import JSON, Route, specific_first

ORDER: Final = "^[A-Za-z0-9_-]{1,64}$"
STATES: Final = ("live", "stale", "away")

MAX_BODY: Final = 256 * 1024
"""Bytes of a request's body."""


_IN_PATH: Final = Param(name="machine_id", help="A machine.", where="path", pattern=MACHINE, most=128, required=True)
_WORKFLOW: Final = Param(name="workflow", help="Only this workflow.")
_KIND: Final = Param(name="kind", help="Only this kind, such as `model.appeared`.", most=64)
_MODEL: Final = Param(
    name="model", help="Only what was told of the model at this `folder/name`, alone or among others.", most=1024
)
_BEFORE: Final = Param(
    name="before", help="The id of an event, exclusive: what was told last before it.", pattern=EVENT
)
_AFTER: Final = Param(name="after", help="The id of an event, exclusive; `0-0` for all that is kept.", pattern=EVENT)


def _ordering(what: What, summary: str) -> Route:
    return Route(
        method="POST", path=f"/machines/{{machine_id}}/{what}", name=what, summary=summary, answer=Ordered,
        params=(_IN_PATH,), takes="Order", body_required=False, good=(202,),
        refusals=(401, 403, 404, 408, 409, 413, 415, 503),
    )  # fmt: skip


READING: Final = (
    Route(method="GET", path="/fleet", name="fleet", summary="The fleet in numbers.", answer=shapes.Fleet),
    Route(
        method="GET", path="/machines", name="machines", summary="Machines.", answer=shapes.Machines,
        params=paged(
            Param(name="state", help="Only machines in this state.", choices=STATES),
            Param(name="ready", help="Only machines that are ready, or are not.", kind="flag"),
            Param(name="workflow", help="Only machines that were told to serve it."),
            Param(name="collection", help="Only machines that were told to serve it."),
            Param(name="has", help="Only machines that hold this model, verified: a name, or `folder/name`."),
            part_of("machine id"),
        ),
    ),
    Route(
        method="GET", path="/machines/{machine_id}", name="machine", summary="A machine.", answer=shapes.Machine,
        params=(_IN_PATH,), refusals=(404,),
    ),
    Route(
        method="GET", path="/machines/{machine_id}/models", name="machine_models", summary="What a machine holds.",
        answer=shapes.HeldFiles, refusals=(404,),
        params=paged(_IN_PATH, Param(name="folder", help="Only this folder, such as `loras`.")),
    ),
    Route(
        method="GET", path="/models", name="models", summary="Models by folder and name.", answer=shapes.Models,
        params=paged(
            part_of("folder and name"),
            Param(name="folder", help="Only this folder, such as `loras`."),
            Param(name="single", help="Only models that one machine has, or that several have.", kind="flag"),
            *FILTERS, *SORTED,
        ),
        refusals=(409, 503),
    ),
    Route(
        method="GET", path="/models/{name}", name="model", summary="Who has a model.", answer=shapes.Holders,
        refusals=(404,),
        params=paged(Param(name="name", help="Its name within its folder, or `folder/name`.", where="path", required=True)),
    ),
    Route(
        method="GET", path="/workflows", name="workflows", summary="Workflows that machines were told to serve.",
        answer=shapes.Workflows, params=paged(part_of("name")),
    ),
    Route(
        method="GET", path="/workflows/{workflow}", name="workflow", answer=shapes.Candidates, refusals=(404,),
        summary="Who can run a workflow, and what it would take elsewhere.",
        params=paged(Param(name="workflow", help="Its name.", where="path", required=True)),
    ),
    Route(
        method="GET", path="/collections", name="collections", summary="Collections that machines were told to serve.",
        answer=Collections, params=paged(part_of("id")),
    ),
    Route(
        method="GET", path="/collections/{collection}", name="collection", answer=CollectionCandidates, refusals=(404,),
        summary="Who can run every workflow of a collection, and what it would take elsewhere.",
        params=paged(Param(name="collection", help="Its id.", where="path", required=True)),
    ),
    Route(
        method="GET", path="/who-has", name="who_has", summary="Who has a model, by name or by SHA-256.",
        answer=shapes.Holders,
        params=paged(
            Param(name="name", help="A name within its folder, or `folder/name`; or else `sha256`."),
            Param(name="sha256", help="64 hex digits.", pattern="^[0-9A-Fa-f]{64}$", least=64, most=64),
        ),
    ),
    Route(
        method="GET", path="/who-can", name="who_can", answer=shapes.Candidates, refusals=(404,),
        summary="Who can run a workflow, and what it would take elsewhere.",
        params=paged(Param(name="workflow", help="Its name.", required=True)),
    ),
    Route(
        method="GET", path="/missing", name="missing", summary="Workflows that machines are not ready for, and what they lack.",
        answer=shapes.Lacks, params=paged(ONE_MACHINE, _WORKFLOW),
    ),
    Route(
        method="GET", path="/events", name="events", summary="What was told: after an event, before one, or lately.",
        answer=shapes.Events, refusals=(503,),
        params=(
            _AFTER,
            _BEFORE,
            Param(name="limit", help="Events of one answer.", kind="integer", default=100, most=1000),
            ONE_MACHINE,
            _KIND,
            _MODEL,
        ),
    ),
    Route(
        method="GET", path="/orders/{order}", name="order", summary="What became of an order.",
        answer=OrderStatus, refusals=(404,),
        params=paged(Param(name="order", help="Its id.", where="path", pattern=ORDER, most=64, required=True)),
    ),
    Route(method="GET", path="/health", name="health", summary="How the aggregator is.", answer=shapes.Health),
)  # fmt: skip
"""Routes that answer a record for parameters."""

OTHER: Final = (
    Route(
        method="GET", path="/events/stream", name="stream", content="text/event-stream", refusals=(503,),
        summary="Live events. Go on with the header Last-Event-ID; `gap` says that some were lost.",
        params=(_AFTER, ONE_MACHINE, _KIND, _MODEL),
    ),
    Route(
        method="GET", path="/metrics", name="metrics", summary="For Prometheus.", content="text/plain",
    ),
    Route(method="GET", path="/openapi.json", name="openapi", summary="This document."),
    Route(
        method="POST", path="/machines/{machine_id}/assignment", name="assign", summary="Push an assignment to a machine.",
        answer=shapes.Pushed, params=(_IN_PATH,), takes="Assignment", refusals=(401, 403, 404, 408, 413, 415, 503),
    ),
    Route(
        method="POST", path="/assignments", name="assign_group", summary="Push an assignment to a group of machines.",
        answer=shapes.Pushed, takes="GroupAssignment", refusals=(401, 403, 404, 408, 413, 415, 503),
    ),
    _ordering("scan", "Have a machine compare its model directories with its index."),
    _ordering("verify", "Have a machine read files again, some or all, to find bytes that rotted."),
    _ordering("reload", "Have a machine adopt changed settings, tokens and its assignment file."),
    Route(
        method="POST", path="/orders", name="order_group", summary="Ask a group of machines, or all.", good=(202,),
        answer=Ordered, takes="GroupOrder", refusals=(401, 403, 404, 408, 409, 413, 415, 503),
    ),
)  # fmt: skip

ROUTES: Final = (
    *READING,
    *OTHER,
    *job_routes.ROUTES,
    *matrix_routes.ROUTES,
    *model_routes.ROUTES,
    *notice_routes.ROUTES,
    *stablequeue_routes.ROUTES,
    *stablequeue_job_routes.ROUTES,
    *stablequeue_detail_routes.ROUTES,
    *stablequeue_order_routes.ROUTES,
)

REMEMBERED: Final = frozenset({"fleet", "machines", "models", "workflows"})
"""Routes that every open page asks again and again, and whose answers follow from the view and the store alone."""


class Questions:
    """The questions by the names of their routes: for the server, and for commands that ask without one."""

    def __init__(
        self,
        view: View,
        answers: Answers,
        forecasts: Forecasts,
        history: History,
        ordering: Ordering,
        sets: Sets,
    ) -> None:
        self.view = view
        self.answers = answers
        self.history = history
        self._asked: dict[str, Callable[[Asked], Any]] = {
            "fleet": answers.fleet,
            "machines": answers.machines,
            "machine": answers.machine,
            "machine_models": answers.machine_models,
            "models": answers.models,
            "model": answers.model,
            "workflows": answers.workflows,
            "workflow": forecasts.who_can,
            "collections": sets.collections,
            "collection": sets.collection,
            "who_has": answers.who_has,
            "who_can": forecasts.who_can,
            "missing": forecasts.missing,
            "events": history.events,
            "order": ordering.status,
            "health": answers.health,
        }

    async def ask(self, name: str, values: Asked) -> Any:
        """The record that a route answers. Raises Answer for a refusal, BusUnavailable."""
        return await self._asked[name](values)

    async def answer(self, name: str, given: Mapping[str, str]) -> Any:
        """As the server would answer these texts, as JSON values."""
        route = next(route for route in READING if route.name == name)
        values = {p.name: p.read(given[p.name]) if p.name in given else p.default for p in route.params}
        return wire.loads(wire.dumps(await self.ask(name, values)))


class Server:
    """The table as an application."""

    def __init__(
        self,
        questions: Questions,
        pushing: Pushing,
        ordering: Ordering,
        telling: Telling,
        document: bytes,
        more: Mapping[str, Handler],
        closing: Callable[[], None] = lambda: None,
        remembering: Remembering | None = None,
    ) -> None:
        """`more`: what serves the routes of other tables, by their names; `closing` sends their listeners home."""
        self._questions = questions
        self._ordering = ordering
        self._pushing = pushing
        self._telling = telling
        self._document = document
        self._more = more
        self._closing = closing
        self._remembering = remembering

    def application(self, names: Collection[str], token: str | None) -> web.Application:
        """`names`: further host names under which it is asked; `token` for writes, None = no writes."""
        writers = {"token": token} if token else {}
        guard = guarded(names, "MODEL_MANAGER_FLEET_NAMES", writers=None, setting=TOKEN)
        failures = answering(refusal, _fault, "aggregator", "redis")
        application = web.Application(middlewares=[failures, guard], client_max_size=MAX_BODY)
        others: dict[str, Handler] = {
            "stream": self._stream,
            "metrics": self._metrics,
            "openapi": self._openapi,
            "assign": self._assign,
            "assign_group": self._assign_group,
            "order_group": self._order_group,
        }
        others |= {what: self._order(what) for what in WHATS}
        handlers = {route.name: self._reading(route) for route in READING} | others | dict(self._more)
        for route in specific_first(ROUTES):
            pattern = (
                route.path.replace("{name}", "{name:.+}")
                .replace("{workflow}", "{workflow:.+}")
                .replace("{collection}", "{collection:.+}")
            )
            application.router.add_route(route.method, pattern, allowed(route, handlers[route.name], writers))
            if route.method == "GET" and route.content != "text/event-stream":
                application.router.add_route("HEAD", pattern, handlers[route.name])
        Pages(files()).mount(application)
        application.on_shutdown.append(self._send_home)
        application.on_response_prepare.append(_harmless)
        return application

    async def _send_home(self, _: web.Application) -> None:
        self._telling.close()
        self._closing()

    def _reading(self, route: Route) -> Handler:
        remembering = self._remembering if route.name in REMEMBERED else None
        return reading(route, lambda values: self._questions.ask(route.name, values), remembering)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        return await self._questions.history.stream(request, asked(request, (_AFTER, ONE_MACHINE, _KIND, _MODEL)))

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        asked(request, ())
        fleet = await self._questions.answers.fleet({})
        rows = self._questions.answers.workflow_rows().values()
        text = metrics(self._questions.view, fleet, rows, self._telling.listeners)
        return tagged(request, text.encode(), CONTENT_TYPE)

    async def _openapi(self, request: web.Request) -> web.StreamResponse:
        asked(request, ())
        return tagged(request, self._document, JSON)

    async def _assign(self, request: web.Request) -> web.StreamResponse:
        machine_id = asked(request, (_IN_PATH,))["machine_id"]
        return answered(request, await self._pushing.one(machine_id, await asked_object(request)))

    async def _assign_group(self, request: web.Request) -> web.StreamResponse:
        asked(request, ())
        return answered(request, await self._pushing.many(await asked_object(request)))

    def _order(self, what: str) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            machine_id = asked(request, (_IN_PATH,))["machine_id"]
            body = await asked_object(request) if request.can_read_body else {}
            return answered(request, await self._ordering.one(machine_id, what, body), 202)

        return handle

    async def _order_group(self, request: web.Request) -> web.StreamResponse:
        asked(request, ())
        return answered(request, await self._ordering.many(await asked_object(request)), 202)


async def _harmless(_: web.Request, response: web.StreamResponse) -> None:
    """What machines say is data: no browser takes it for a page, and no page of ours but those that say so runs anything."""
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    response.headers.setdefault("Referrer-Policy", "no-referrer")


def _fault(request: web.Request, error: Exception) -> None:
    cause = str(error) if isinstance(error, ModelManagerError) else type(error).__name__
    logger.opt(exception=error).error("fleet request failed: {} {}: {}", request.method, printable(request.path), cause)
