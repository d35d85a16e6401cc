from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web as server
from pydantic import SecretStr

from model_manager.errors import NotAuthorized, OriginUnavailable, StrangeAnswer
from model_manager.sources.civitai_releases import AT_ONCE, CivitaiReleases, Listed, civitai_releases_at
from tests.facts.test_release import version
from tests.sources.serving import Handler, served


class Site:
    """The list of models as CivitAI has it, for models with an even number; `most` at once, `broken` ones are no JSON."""

    def __init__(self, most: int = 100, broken: frozenset[int] = frozenset()) -> None:
        self.most, self.broken = most, broken
        self.asked: list[list[int]] = []
        self.headers: list[Any] = []

    async def __call__(self, request: server.Request) -> server.Response:
        assert request.path == "/api/v1/models"
        ids = [int(each) for each in request.query["ids"].split(",")]
        self.asked.append(ids)
        self.headers.append(request.headers)
        if len(ids) > self.most or self.broken.intersection(ids):
            return server.Response(text="<html>busy</html>", content_type="text/html")
        rows = [{"id": each, "modelVersions": [version(each * 10)]} for each in ids if each % 2 == 0]
        return server.json_response({"items": rows, "metadata": {}})


@asynccontextmanager
async def listing(handler: Handler, token: str | None = None) -> AsyncIterator[CivitaiReleases]:
    async with served(handler) as host:
        secret = SecretStr(token) if token else None
        async with civitai_releases_at(f"http://{host}/", secret, per_second=1e6) as made:
            yield made


async def all_of(handler: Handler, *models: int) -> list[Listed]:
    async with listing(handler) as site:
        return [answer async for answer in site.of(map(str, models))]


async def test_many_models_are_asked_about_together_and_nothing_but_their_numbers_is_told() -> None:
    site = Site()
    answers = await all_of(site, *range(1, 46), 1)
    assert [len(ids) for ids in site.asked] == [AT_ONCE, AT_ONCE, 5]
    assert {model for answer in answers for model in answer.found} == {str(n) for n in range(2, 46, 2)}
    assert {model for answer in answers for model in answer.absent} == {str(n) for n in range(1, 46, 2)}
    assert answers[0].found["2"][0].version == "20"


async def test_what_is_too_much_at_once_is_asked_in_halves() -> None:
    site = Site(most=6)
    answers = await all_of(site, *range(1, 21))
    assert sum(len(answer.found) for answer in answers) == 10
    assert max(len(ids) for ids in site.asked[1:]) <= 10


async def test_a_model_that_cannot_be_read_keeps_no_other_from_being_known() -> None:
    answers = await all_of(Site(broken=frozenset({4})), *range(1, 21))
    assert {model for answer in answers for model in answer.found} == {str(n) for n in range(2, 21, 2)} - {"4"}
    doubtful = {model: why for answer in answers for model, why in answer.doubtful.items()}
    assert list(doubtful) == ["4"]


async def test_a_service_that_speaks_another_language_is_not_asked_about_every_model() -> None:
    site = Site(broken=frozenset(range(101)))
    with pytest.raises(StrangeAnswer):
        await all_of(site, *range(1, 101))
    assert len(site.asked) < 20


async def test_a_record_that_is_none_makes_the_rest_doubtful_and_not_absent() -> None:
    async def handler(_: server.Request) -> server.Response:
        return server.json_response({"items": [{"id": 2, "modelVersions": []}, "junk"]})

    (answer,) = await all_of(handler, 1, 2)
    assert (dict(answer.found), answer.absent, list(answer.doubtful)) == ({"2": ()}, frozenset(), ["1"])


async def test_b11_quiet_that_is_asked_for_is_told_and_kept() -> None:
    async def handler(_: server.Request) -> server.Response:
        return server.Response(status=429, headers={"Retry-After": "30"})

    async with listing(handler) as site:
        for _ in range(2):
            with pytest.raises(OriginUnavailable) as caught:
                await anext(site.of(["1"]))
            assert 0 < (caught.value.retry_after or 0) <= 30


async def test_k5_a_token_is_never_sent_over_http() -> None:
    site = Site()
    async with listing(site, "civitai_CANARY") as client:
        assert [answer async for answer in client.of(["2"])]
    assert "Authorization" not in site.headers[0]


async def test_a_token_that_is_refused_is_named() -> None:
    async def handler(_: server.Request) -> server.Response:
        return server.Response(status=401)

    with pytest.raises(NotAuthorized, match="CIVITAI_TOKEN"):
        await all_of(handler, 1)


async def test_questions_keep_their_distance() -> None:
    site = Site()
    begun = time.monotonic()
    async with served(site) as host, civitai_releases_at(f"http://{host}", per_second=20) as client:
        async with asyncio.timeout(30):
            assert [answer async for answer in client.of(map(str, range(3 * AT_ONCE)))]
    assert time.monotonic() - begun >= 0.09
