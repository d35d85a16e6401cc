from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from model_manager.cli.aggregator import asking, everything, fetched
from model_manager.errors import AggregatorAway, BadSetting, Refused, Unavailable


class Canned(BaseHTTPRequestHandler):
    answers: dict[str, tuple[int, bytes]]

    def do_GET(self) -> None:
        status, body = self.answers.get(self.path, (404, b'{"detail": "no"}'))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """The tests read standard error."""


@pytest.fixture
def canned() -> Iterator[tuple[str, dict[str, tuple[int, bytes]]]]:
    answers: dict[str, tuple[int, bytes]] = {}
    handler = type("Handler", (Canned,), {"answers": answers})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", answers
        server.shutdown()
        thread.join()


def test_refusals_keep_their_kind(canned: Any) -> None:
    url, answers = canned
    answers["/a"] = (503, b'{"detail": "Redis is away"}')
    answers["/b"] = (400, b'{"detail": "use c"}')
    with pytest.raises(Unavailable, match="Redis is away"):
        fetched(url, "/a")
    with pytest.raises(Refused, match="use c"):
        fetched(url, "/b")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b"\xff"])
def test_what_answers_otherwise_is_no_aggregator(canned: Any, body: bytes) -> None:
    url, answers = canned
    answers["/a"] = (200, body)
    with pytest.raises(AggregatorAway):
        fetched(url, "/a")


def test_an_address_may_have_a_path(canned: Any) -> None:
    url, answers = canned
    answers["/below/a"] = (200, json.dumps({"x": 1}).encode())
    assert fetched(f"{url}/below/", "/a") == {"x": 1}


async def test_all_pages_become_one() -> None:
    pages = {None: ([1, 2], "c1"), "c1": ([3], "c2"), "c2": ([4], None)}

    async def ask(_: str, given: Mapping[str, str]) -> dict[str, Any]:
        items, cursor = pages[given.get("cursor")]
        return {"items": items, "next": cursor, "total": 4}

    assert await everything(ask, "machines", {}) == {"items": [1, 2, 3, 4], "next": None, "total": 4}


@pytest.mark.parametrize("url", ["h:8190", "ftp://h", "http://", "http://user:pw@h"])
async def test_an_address_is_http(url: str) -> None:
    with pytest.raises(BadSetting) as refused:
        async with asking(url):
            raise AssertionError("it was taken")
    assert "pw" not in str(refused.value)
