"""Requests over HTTP as spans: those that a program answers, and those that it makes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
from aiohttp import web

from model_manager.tracing.spans import Span, Tracer

LAST: Final = 0.3
"""Seconds for the last spans of a program that ends."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answered(tracer: Tracer) -> Any:
    """A middleware, to be the first. Whoever asks with a traceparent finds the span in its own trace. Live events have none: they
    would take hours."""

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


def traced(application: web.Application, tracer: Tracer | None) -> web.Application:
    """The application, with a span for each request where somebody wants them; the last ones are sent when it ends."""
    if tracer is not None:
        application.middlewares.insert(0, answered(tracer))
        application.on_cleanup.append(_closing(tracer))
    return application


def asking(tracer: Tracer | None) -> list[aiohttp.TraceConfig]:
    """What a session takes as `trace_configs`: a span for each request until its answer begins, and the header by which the other
    side goes on with the trace."""
    if tracer is None:
        return []
    on: Tracer = tracer

    async def begin(_: aiohttp.ClientSession, one: SimpleNamespace, asked: aiohttp.TraceRequestStartParams) -> None:
        one.stack = ExitStack()
        where = str(asked.url.host or "")
        span = on.span(asked.method, http_request_method=asked.method, server_address=where, url_path=asked.url.path)
        one.span = one.stack.enter_context(span)
        asked.headers.update(on.headers())

    async def end(_: aiohttp.ClientSession, one: SimpleNamespace, told: aiohttp.TraceRequestEndParams) -> None:
        span: Span = one.span
        span.set(http_response_status=told.response.status)
        one.stack.close()

    async def fail(_: aiohttp.ClientSession, one: SimpleNamespace, told: aiohttp.TraceRequestExceptionParams) -> None:
        one.stack.__exit__(type(told.exception), told.exception, None)

    config = aiohttp.TraceConfig()
    config.on_request_start.append(begin)
    config.on_request_end.append(end)
    config.on_request_exception.append(fail)
    return [config]


def _closing(tracer: Tracer) -> Callable[[web.Application], Awaitable[None]]:
    async def close(_: web.Application) -> None:
        tracer.close(LAST)

    return close
