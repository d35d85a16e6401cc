from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web as server
from pydantic import SecretStr

from model_manager.errors import (
    CatalogUnavailable,
    CatalogUnreachable,
    NotAuthorized,
    NotFound,
    StrangeAnswer,
)
from model_manager.sources.catalog_doctor import CatalogDoctor, catalog_doctor_at
from tests.sources.serving import Handler, served

REPORT = {"latest": None, "shown": None, "findings": [], "findings_total": 0}


def saying(status: int = 200, body: Any = None, text: str | None = None) -> Handler:
    async def handler(request: server.Request) -> server.Response:
        if text is not None:
            return server.Response(status=status, text=text)
        return server.json_response({"data": body, "error": None}, status=status)

    return handler


@asynccontextmanager
async def doctor(handler: Handler, key: str | None = None) -> AsyncIterator[CatalogDoctor]:
    async with served(handler) as host, catalog_doctor_at(f"http://{host}/", SecretStr(key) if key else None) as made:
        yield made


async def test_a_report_comes_out_of_its_envelope_and_the_question_goes_with_it() -> None:
    seen: list[Any] = []

    async def handler(request: server.Request) -> server.Response:
        seen.append((request.method, request.path_qs, request.headers.get("Authorization")))
        return server.json_response({"data": REPORT, "error": None}, status=202 if request.method == "POST" else 200)

    async with doctor(handler, "writer-token") as asked:
        assert (await asked.report({"of": "latest", "limit": "5"})).body == REPORT
        assert not (await asked.begin({"visit": "false"})).busy
    assert seen == [
        ("GET", "/doctor?of=latest&limit=5", "Bearer writer-token"),
        ("POST", "/doctor?visit=false", "Bearer writer-token"),
    ]


async def test_one_that_is_at_work_already_is_no_failure() -> None:
    async with doctor(saying(409, {})) as asked:
        assert (await asked.begin({})).busy
    async with doctor(saying(404, {})) as asked:
        assert (await asked.stop()).busy


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        (saying(404, {}), NotFound),
        (saying(405, text="no"), NotFound),
        (saying(401, {}), NotAuthorized),
        (saying(503, {}), CatalogUnavailable),
        (saying(200, text="<html>"), StrangeAnswer),
        (saying(200, [1]), StrangeAnswer),
        (saying(200, text='{"data": ' + "[" * 100_000), StrangeAnswer),
        (saying(200, text='{"data": {"x": "' + "y" * 9_000_000 + '"}}'), StrangeAnswer),
    ],
)
async def test_f3_every_other_answer_is_a_failure_of_its_kind(handler: Handler, kind: type[Exception]) -> None:
    async with doctor(handler) as asked:
        with pytest.raises(kind):
            await asked.report({})


async def test_a_catalog_that_is_not_there_is_unreachable() -> None:
    async with catalog_doctor_at("http://127.0.0.1:9") as asked:
        with pytest.raises(CatalogUnreachable):
            await asked.report({})


async def test_k5_a_token_is_sent_to_no_other_machine_over_http() -> None:
    async with catalog_doctor_at("http://catalog.example:1", SecretStr("canary")) as asked:
        assert asked._headers() == {}
    async with catalog_doctor_at("https://catalog.example:1", SecretStr("canary")) as asked:
        assert asked._headers() == {"Authorization": "Bearer canary"}
