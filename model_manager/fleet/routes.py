"""Every route of the fleet's HTTP API in one table: the server, its checks and its OpenAPI document follow it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from model_manager.facts import wire
from model_manager.fleet import shapes
from model_manager.fleet.answering import MAX_BODY, Handler, answered, answering, tagged
from model_manager.fleet.answers import Answers
from model_manager.fleet.asking import EVENT, MACHINE, Asked, Param, asked, asked_object
from model_manager.fleet.forecasts import Forecasts
from model_manager.fleet.guarding import guarded
from model_manager.fleet.history import History
from model_manager.fleet.metrics import CONTENT_TYPE, metrics
from model_manager.fleet.pushing import Pushing
from model_manager.fleet.telling import Telling
from model_manager.fleet.view import View

STATES: Final = ("live", "stale", "away")
JSON: Final = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`answer`: the record that a good answer holds, None for text of another `content`. `takes`: of its body, if any.
    `refusals`: statuses besides 200 that this route may answer."""

    method: str
    path: str
    name: str
    summary: str
    params: tuple[Param, ...] = ()
    answer: Any = None
    content: str = JSON
    takes: str = ""
    refusals: tuple[int, ...] = ()


def _paged(*more: Param, most: int = 1000) -> tuple[Param, ...]:
    limit = Param(name="limit", help="Items of one page.", kind="integer", default=100, most=most)
    cursor = Param(name="cursor", help="`next` of the page before.", kind="cursor")
    return (*more, limit, cursor)


def _q(what: str) -> Param:
    return Param(name="q", help=f"Part of the {what}, in any case.")


_IN_PATH: Final = Param(name="machine_id", help="A machine.", where="path", pattern=MACHINE, most=128, required=True)
_MACHINE: Final = Param(name="machine_id", help="Only this machine.", pattern=MACHINE, most=128)
_WORKFLOW: Final = Param(name="workflow", help="Only this workflow.")
_KIND: Final = Param(name="kind", help="Only this kind, such as `model.appeared`.", most=64)
_AFTER: Final = Param(name="after", help="The id of an event, exclusive; `0-0` for all that is kept.", pattern=EVENT)

READING: Final = (
    Route(method="GET", path="/fleet", name="fleet", summary="The fleet in numbers.", answer=shapes.Fleet),
    Route(
        method="GET", path="/machines", name="machines", summary="Machines.", answer=shapes.Machines,
        params=_paged(
            Param(name="state", help="Only machines in this state.", choices=STATES),
            Param(name="ready", help="Only machines that are ready, or are not.", kind="flag"),
            Param(name="workflow", help="Only machines that were told to serve it."),
            _q("machine id"),
        ),
    ),
    Route(
        method="GET", path="/machines/{machine_id}", name="machine", summary="A machine.", answer=shapes.Machine,
        params=(_IN_PATH,), refusals=(404,),
    ),
    Route(
        method="GET", path="/machines/{machine_id}/models", name="machine_models", summary="What a machine holds.",
        answer=shapes.HeldFiles, refusals=(404,),
        params=_paged(_IN_PATH, Param(name="folder", help="Only this folder, such as `loras`.")),
    ),
    Route(
        method="GET", path="/models", name="models", summary="Models by folder and name.", answer=shapes.Models,
        params=_paged(
            _q("folder and name"),
            Param(name="folder", help="Only this folder, such as `loras`."),
            Param(name="single", help="Only models that one machine has, or that several have.", kind="flag"),
        ),
    ),
    Route(
        method="GET", path="/models/{name}", name="model", summary="Who has a model.", answer=shapes.Holders,
        refusals=(404,),
        params=_paged(Param(name="name", help="Its name within its folder, or `folder/name`.", where="path", required=True)),
    ),
    Route(
        method="GET", path="/workflows", name="workflows", summary="Workflows that machines were told to serve.",
        answer=shapes.Workflows, params=_paged(_q("name")),
    ),
    Route(
        method="GET", path="/workflows/{workflow}", name="workflow", answer=shapes.Candidates, refusals=(404,),
        summary="Who can run a workflow, and what it would take elsewhere.",
        params=_paged(Param(name="workflow", help="Its name.", where="path", required=True)),
    ),
    Route(
        method="GET", path="/who-has", name="who_has", summary="Who has a model, by name or by SHA-256.",
        answer=shapes.Holders,
        params=_paged(
            Param(name="name", help="A name within its folder, or `folder/name`; or else `sha256`."),
            Param(name="sha256", help="64 hex digits.", pattern="^[0-9A-Fa-f]{64}$", least=64, most=64),
        ),
    ),
    Route(
        method="GET", path="/who-can", name="who_can", answer=shapes.Candidates, refusals=(404,),
        summary="Who can run a workflow, and what it would take elsewhere.",
        params=_paged(Param(name="workflow", help="Its name.", required=True)),
    ),
    Route(
        method="GET", path="/missing", name="missing", summary="Workflows that machines are not ready for, and what they lack.",
        answer=shapes.Lacks, params=_paged(_MACHINE, _WORKFLOW),
    ),
    Route(
        method="GET", path="/events", name="events", summary="What was told: after an event, or lately.",
        answer=shapes.Events, refusals=(503,),
        params=(
            _AFTER,
            Param(name="limit", help="Events of one answer.", kind="integer", default=100, most=1000),
            _MACHINE,
            _KIND,
        ),
    ),
    Route(method="GET", path="/health", name="health", summary="How the aggregator is.", answer=shapes.Health),
)  # fmt: skip
"""Routes that answer a record for parameters."""

OTHER: Final = (
    Route(
        method="GET", path="/events/stream", name="stream", content="text/event-stream", refusals=(503,),
        summary="Live events. Go on with the header Last-Event-ID; `gap` says that some were lost.",
        params=(_AFTER, _MACHINE, _KIND),
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
)  # fmt: skip

ROUTES: Final = (*READING, *OTHER)


class Questions:
    """The questions by the names of their routes: for the server, and for commands that ask without one."""

    def __init__(self, view: View, answers: Answers, forecasts: Forecasts, history: History) -> None:
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
            "who_has": answers.who_has,
            "who_can": forecasts.who_can,
            "missing": forecasts.missing,
            "events": history.events,
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

    def __init__(self, questions: Questions, pushing: Pushing, telling: Telling, document: bytes) -> None:
        self._questions = questions
        self._pushing = pushing
        self._telling = telling
        self._document = document

    def application(self, names: Collection[str], token: str | None) -> web.Application:
        """`names`: further host names under which it is asked; `token` for writes, None = no writes."""
        application = web.Application(middlewares=[answering, guarded(names, token)], client_max_size=MAX_BODY)
        others = {
            "stream": self._stream,
            "metrics": self._metrics,
            "openapi": self._openapi,
            "assign": self._assign,
            "assign_group": self._assign_group,
        }
        handlers = {route.name: self._reading(route) for route in READING} | others
        for route in _specific_first(ROUTES):
            pattern = route.path.replace("{name}", "{name:.+}").replace("{workflow}", "{workflow:.+}")
            application.router.add_route(route.method, pattern, handlers[route.name])
            if route.method == "GET" and route.name != "stream":
                application.router.add_route("HEAD", pattern, handlers[route.name])
        application.on_shutdown.append(self._send_home)
        return application

    async def _send_home(self, _: web.Application) -> None:
        self._telling.close()

    def _reading(self, route: Route) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            return answered(request, await self._questions.ask(route.name, asked(request, route.params)))

        return handle

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        return await self._questions.history.stream(request, asked(request, (_AFTER, _MACHINE, _KIND)))

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


def _specific_first(routes: Sequence[Route]) -> list[Route]:
    """Paths without variables before those with: `/events/stream` is no event."""
    return sorted(routes, key=lambda route: ("{" in route.path, -route.path.count("/")))
