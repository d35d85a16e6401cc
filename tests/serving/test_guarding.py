from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web

from model_manager.serving.answering import answering
from model_manager.serving.guarding import guarded, host_of
from model_manager.serving.listening import listening
from model_manager.serving.problems import refusal


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Two writers, and one origin of pages that may ask."""
    guard = guarded(
        ("Catalog.example",), "NAMES", origins=("https://ui.example",), writers={"ann": "a1", "bob": "b2"}, setting="TOKENS"
    )  # fmt: skip
    application = web.Application(middlewares=[answering(refusal, lambda *_: None, "server", "disk"), guard])

    async def handle(_: web.Request) -> web.Response:
        return web.Response(text="done")

    application.router.add_route("*", "/", handle)
    async with listening(application, "127.0.0.1", 0, "PORT") as url:
        yield url


async def _status(url: str, method: str, **headers: str) -> int:
    async with ClientSession() as session, session.request(method, url, headers=headers) as answer:
        return answer.status


@pytest.mark.parametrize(
    ("host", "status"), [("catalog.EXAMPLE:81", 200), ("localhost", 200), ("[::1]:3", 200), ("evil.example", 403)]
)
async def test_k9_only_our_own_names_are_served(url: str, host: str, status: int) -> None:
    assert await _status(url, "GET", Host=host) == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://ui.example", 200), ("https://ui.example.evil", 403), ("null", 403), ("http://[", 403)],
)
async def test_k9_only_pages_of_named_origins_may_ask(url: str, origin: str, status: int) -> None:
    assert await _status(url, "GET", Origin=origin) == status


@pytest.mark.parametrize(
    ("given", "status"), [("Bearer a1", 200), ("bearer b2", 200), ("Bearer a", 401), ("Basic a1", 401), ("", 401)]
)
async def test_a_write_needs_the_whole_token_of_a_writer(url: str, given: str, status: int) -> None:
    assert await _status(url, "POST", Authorization=given) == status


def test_the_name_of_a_host_ends_before_its_port() -> None:
    assert [host_of(text) for text in ("A:1", "[::1]:2", "[::1]", "b", "")] == ["a", "::1", "::1", "b", ""]
