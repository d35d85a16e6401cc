"""From a row of the table to what serves it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from model_manager.fleet.remembering import Remembering
from model_manager.serving.answering import Handler, answered
from model_manager.serving.asking import Asked, asked, asked_object
from model_manager.serving.guarding import writer_of
from model_manager.serving.routing import Route

TOKEN: Final = "MODEL_MANAGER_FLEET_TOKEN"  # noqa: S105 - the setting's name

Ask = Callable[[Asked], Awaitable[Any]]
Do = Callable[[Asked, dict[str, Any]], Awaitable[Any]]


def reading(route: Route, ask: Ask, remembering: Remembering | None = None) -> Handler:
    """The record that `ask` answers for the parameters; with `remembering` perhaps as it was lately."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if remembering is not None:
            values = asked(request, route.params)
            return await remembering.answer(request, lambda: ask(values))
        return answered(request, await ask(asked(request, route.params)), route.good[0])

    return handle


def doing(route: Route, do: Do, status: Callable[[Any], int] | None = None) -> Handler:
    """The same for parameters and a body; where a route takes none, whatever was sent is left alone. `status` of what came of
    it, where a route has several."""

    async def handle(request: web.Request) -> web.StreamResponse:
        values = asked(request, route.params)
        body = await asked_object(request) if route.takes and (route.body_required or request.can_read_body) else {}
        made = await do(values, body)
        return answered(request, made, status(made) if status else route.good[0])

    return handle


def allowed(route: Route, handler: Handler, writers: Mapping[str, str]) -> Handler:
    """Only for who has a token, where the route wants one."""
    if not route.needs_token:
        return handler

    async def handle(request: web.Request) -> web.StreamResponse:
        writer_of(request, writers, TOKEN)
        return await handler(request)

    return handle
