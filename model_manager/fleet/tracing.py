"""Requests to the aggregator as spans; whoever asks with a traceparent finds them in its own trace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from loguru import logger

from model_manager import __version__
from model_manager.errors import BadSetting
from model_manager.serving.answering import Handler
from model_manager.settings import Settings
from model_manager.tracing.otlp import exporting
from model_manager.tracing.spans import Tracer

SERVICE: Final = "model_manager.fleet"
LAST: Final = 0.3
"""Seconds for the last spans."""


def tracer_of(settings: Settings) -> Tracer | None:
    """None where nobody wants traces. What is wrong with them stops nothing."""
    if not settings.otlp_endpoint:
        return None
    try:
        return exporting(settings.otlp_endpoint, SERVICE, __version__)
    except BadSetting as error:
        logger.bind(reason=str(error)).warning("no traces are sent")
        return None


def tracing(tracer: Tracer) -> Any:
    """A middleware. Live events have no span: they would take hours."""

    @web.middleware
    async def trace(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "none"
        if route.endswith("/stream"):
            return await handler(request)
        with tracer.span(f"{request.method} {route}", dict(request.headers), http_route=route) as span:
            answer = await handler(request)
            span.set(http_request_method=request.method, http_response_status=answer.status)
            return answer

    return trace


def ended(tracer: Tracer) -> Callable[[web.Application], Awaitable[None]]:
    """What the application does last."""

    async def end(_: web.Application) -> None:
        tracer.close(LAST)

    return end
