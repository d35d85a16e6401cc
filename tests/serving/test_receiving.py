from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from model_manager.serving import receiving as module
from model_manager.serving.problems import Answer
from model_manager.serving.receiving import received


@pytest.fixture
async def client() -> AsyncIterator[TestClient[web.Request, web.Application]]:
    async def take(request: web.Request) -> web.Response:
        try:
            return web.Response(body=await received(request, "workflow"))
        except Answer as answer:
            return web.Response(status=answer.status, text=answer.detail)

    app = web.Application(client_max_size=10)
    app.router.add_post("/", take)
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_what_is_sent_arrives_whatever_its_type(client: TestClient[web.Request, web.Application]) -> None:
    answer = await client.post("/", data=b"x" * 100_000, headers={"Content-Type": "image/png"})
    assert (answer.status, await answer.read()) == (200, b"x" * 100_000)


async def test_nothing_and_too_much_are_refused(
    client: TestClient[web.Request, web.Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST", 10)
    assert (await client.post("/", data=b"")).status == 400
    assert (await client.post("/", data=b"x" * 11)).status == 413
    assert (await client.post("/", data=b"x" * 10)).status == 200


async def test_k9_who_sends_too_slowly_is_not_waited_for(
    client: TestClient[web.Request, web.Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BODY_SECONDS", 0.05)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(0.5)
        yield b"y"

    assert (await client.post("/", data=slowly())).status == 408
