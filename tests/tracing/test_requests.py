from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from model_manager.tracing.requests import asking, traced
from tests.tracing.noted import Notes


async def _hello(request: web.Request) -> web.Response:
    return web.Response(text=request.headers.get("traceparent", ""))


async def _fail(_: web.Request) -> web.Response:
    raise RuntimeError


async def _cut(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@pytest.fixture
async def notes() -> Notes:
    return Notes()


@pytest.fixture
async def server(notes: Notes) -> AsyncIterator[TestServer]:
    application = web.Application()
    application.router.add_get("/models/{name}", _hello)
    application.router.add_get("/events/stream", _hello)
    application.router.add_get("/fail", _fail)
    application.router.add_get("/cut", _cut)
    async with TestServer(traced(application, notes)) as server:
        yield server


async def test_what_is_answered_is_a_span_by_its_route(notes: Notes, server: TestServer) -> None:
    async with aiohttp.ClientSession(server.make_url("/")) as session:
        for path in ("/models/a", "/events/stream", "/nowhere", "/fail"):
            async with session.get(path, headers={"traceparent": "t"}):
                pass
    assert [(span.name, span.failed) for span in notes.spans] == [
        ("GET /models/{name}", ""),
        ("GET none", "HTTPNotFound"),
        ("GET /fail", "RuntimeError"),
    ]
    assert notes.spans[0].attributes["http_response_status"] == 200
    assert (notes.spans[0].carrier or {})["traceparent"] == "t"


async def test_the_last_spans_are_sent_when_the_program_ends(notes: Notes) -> None:
    async with TestServer(traced(web.Application(), notes)):
        assert not notes.closed
    assert notes.closed


async def test_what_is_asked_is_a_span_within_the_one_around_it_and_names_it(server: TestServer) -> None:
    mine = Notes()
    async with aiohttp.ClientSession(server.make_url("/"), trace_configs=asking(mine)) as session:
        with mine.span("resolve"):
            async with session.get("/models/a?token=secret") as answer:
                assert await answer.text() == "GET", "the server was told the innermost span"
        async with session.get("/nowhere"):
            pass
    asked = [span for span in mine.spans if span.name == "GET"]
    assert [(span.within, span.attributes["http_response_status"]) for span in asked] == [("resolve", 200), ("", 404)]
    assert asked[0].attributes["url_path"] == "/models/a"
    assert all(span.ended for span in asked)
    assert "secret" not in str([span.attributes for span in asked])


async def test_a_request_that_fails_is_a_span_that_failed(server: TestServer) -> None:
    mine = Notes()
    async with aiohttp.ClientSession(server.make_url("/"), trace_configs=asking(mine)) as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get("/cut")
    assert [(span.failed, span.ended) for span in mine.spans] == [("ServerDisconnectedError", True)]


def test_where_nobody_wants_traces_there_is_nothing() -> None:
    application = web.Application()
    assert asking(None) == []
    assert traced(application, None) is application
    assert list(application.middlewares) == []
