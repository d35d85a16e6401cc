from __future__ import annotations

import pytest
from aiohttp import ClientSession, web

from model_manager.errors import BusUnavailable, NotFound
from model_manager.serving.answering import answering, takes_gzip
from model_manager.serving.problems import Answer, refusal


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("", False), ("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("gzip; q=0.0, *", False),
        ("*", True), ("*;q=0", False), ("identity", False), ("deflate, br", False),
    ],
)  # fmt: skip
def test_compression_follows_what_is_accepted(accepted: str, takes: bool) -> None:
    assert takes_gzip(accepted) is takes


@pytest.mark.parametrize(
    ("error", "status", "word"),
    [
        (Answer(418, "x", "no"), 418, "no"),
        (BusUnavailable(why="it is gone"), 503, "it is gone"),
        (NotFound(where="w", name="n"), 422, "does not have"),
        (RuntimeError("a secret"), 500, "fault of the aggregator"),
    ],
)  # fmt: skip
async def test_every_failure_is_a_problem(error: Exception, status: int, word: str) -> None:
    async def fail(_: web.Request) -> web.Response:
        raise error

    told: list[Exception] = []
    application = web.Application(
        middlewares=[answering(refusal, lambda request, error: told.append(error), "aggregator", "redis")]
    )
    application.router.add_get("/", fail)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    async with ClientSession() as session, session.get(f"http://{host}:{port}/") as answer:
        body = await answer.json(content_type="application/problem+json")
    await runner.cleanup()
    assert (answer.status, body["status"]) == (status, status)
    assert word in body["detail"]
    assert "secret" not in str(body)
    assert told == ([error] if status == 500 else [])
