from __future__ import annotations

import asyncio
import ssl
import threading
import tracemalloc

import aiohttp
import pytest
from aiohttp import web as server
from pydantic import SecretStr

from model_manager.errors import CatalogUnavailable, CatalogUnreachable, NotAuthorized, NotFound
from model_manager.facts import wire
from model_manager.sources import asking
from model_manager.sources.asking import Asking, Pace, quoted
from tests.sources.serving import served

CANARY = "key_CANARY"


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


async def ask(handler, path="/x", body=None, key=None, time: Time | None = None, tls=None):
    time = time or Time()
    async with served(handler, tls) as host, aiohttp.ClientSession(auto_decompress=False) as session:
        scheme = "https" if tls else "http"
        return await Asking(session, f"{scheme}://{host}/", key, clock=time.clock, sleep=time.sleep).ask(
            "POST" if body else "GET", path, body
        )


def saying(text: str | bytes, status: int = 200, **headers: str):
    async def handler(_request):
        data = text.encode() if isinstance(text, str) else text
        return server.Response(status=status, body=data, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return handler


@pytest.mark.parametrize(
    ("text", "content"),
    [('{"data": {"a": 1}, "error": null}', {"a": 1}), ('{"data": [1]}', [1]), ('{"name": "x"}', {"name": "x"}), ("[]", [])],
)  # fmt: skip
async def test_both_families_are_understood(text, content):
    assert await ask(saying(text)) == content


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_what_is_not_there_is_none(status):
    assert await ask(saying('{"data": null, "error": "x"}', status)) is None


@pytest.mark.parametrize(
    "text",
    ['{"data": null, "error": null}', '{"data": null}', "null", '{"error": "boom"}', '{"data": {"models": []}, "error": {"code": 1}}',
     "<html>", "", '{"data": {"models": ["a"', '{"data": NaN}', '{"data": {"models": ["a"], "models": []}}', '{"data": Infinity}',
     "[" * 100_000, '{"a":' * 100_000, '"\\ud800"', "1" * 5000, b"\xff\xfe"],
)  # fmt: skip
async def test_f3_a_malformed_answer_is_a_failure_and_never_an_empty_one(text):
    with pytest.raises(CatalogUnavailable):
        await ask(saying(text))


async def test_f5_a_body_without_end_is_cut_off_and_memory_stays_flat(monkeypatch):
    monkeypatch.setattr(asking, "MAX_BODY", 1 << 20)

    async def endless(request):
        response = server.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * 65536)
        except ConnectionError:
            return response

    tracemalloc.start()
    try:
        with pytest.raises(CatalogUnavailable, match="larger than 1048576 bytes"):
            await ask(endless)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


async def test_f5_many_names_are_parsed_beside_the_loop(monkeypatch):
    names = b'{"data": [' + b",".join(b'"%d"' % n for n in range(400_000)) + b"]}"
    threads = []
    real = wire.loads_unique

    def watched(data: bytes, what: str):
        threads.append(threading.current_thread())
        return real(data, what)

    monkeypatch.setattr(wire, "loads_unique", watched)
    assert len(await ask(saying(names))) == 400_000
    assert threads != [threading.main_thread()]


async def test_f5_an_answer_of_too_many_values_is_refused_before_it_is_parsed():
    with pytest.raises(CatalogUnavailable, match="more than 500000 values"):
        await ask(saying(b'{"data": [' + b"[]," * 600_000 + b"[]]}"))


@pytest.mark.parametrize(
    ("status", "why"),
    [(500, "answered 500"), (400, "answered 400"), (204, "answered 204"), (302, "redirects to nowhere")],
)
async def test_another_status_is_a_failure(status, why):
    with pytest.raises(CatalogUnavailable, match=why):
        await ask(saying("", status))


async def test_a_redirect_is_not_followed_but_named():
    with pytest.raises(CatalogUnavailable, match=r"redirects to https://new\.example/x; write that"):
        await ask(saying("", 301, Location="https://new.example/x?secret"))


async def test_a_compressed_answer_is_refused():
    with pytest.raises(CatalogUnavailable, match="compressed"):
        await ask(saying("{}", Content_Encoding="gzip"))


async def test_nobody_there_is_told_from_a_bad_answer(unused_tcp_port):
    async with aiohttp.ClientSession() as session:
        with pytest.raises(CatalogUnreachable, match="Connection refused"):
            await Asking(session, f"http://127.0.0.1:{unused_tcp_port}").ask("GET", "/x")


async def test_b11_a_429_is_waited_out_and_asked_again():
    answers = [
        server.Response(status=429, headers={"Retry-After": "7"}),
        server.Response(status=429),
        server.Response(text='{"data": 1}'),
    ]

    async def handler(_request):
        return answers.pop(0)

    time = Time()
    assert await ask(handler, time=time) == 1
    assert time.slept == [7, 5]


async def test_b11_a_longer_wait_is_handed_to_the_caller():
    time = Time()
    with pytest.raises(CatalogUnavailable) as caught:
        await ask(saying("", 429, Retry_After="1000000000"), time=time)
    assert caught.value.retry_after == 3600
    assert time.slept == []


async def test_b11_patience_with_429_ends():
    time = Time()
    with pytest.raises(CatalogUnavailable, match="429"):
        await ask(saying("", 429, Retry_After="1"), time=time)
    assert len(time.slept) <= 3


async def test_no_more_than_the_limit_in_any_minute():
    time = Time()
    pace = Pace(3, time.clock, time.sleep)
    turns = []
    for _ in range(10):
        await pace.turn()
        turns.append(time.now)
        time.now += 1
    assert all(later - earlier >= 60 for earlier, later in zip(turns, turns[3:], strict=False))


async def test_the_key_goes_over_tls_only(authority):
    keys = []

    async def handler(request):
        keys.append(request.headers.get("Authorization"))
        return server.Response(text='{"data": 1}')

    await ask(handler, key=SecretStr(CANARY))
    async with served(handler, authority.server("127.0.0.1")) as host:
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=authority.ca_file))
        async with aiohttp.ClientSession(connector=connector) as session:
            await Asking(session, f"https://{host}", SecretStr(CANARY)).ask("GET", "/x")
    assert keys == [None, f"Bearer {CANARY}"]


@pytest.mark.parametrize(("key", "why"), [(None, "wants a key"), (SecretStr(CANARY), "never sent over http")])
async def test_a_catalog_that_wants_a_key_says_which_setting(key, why):
    with pytest.raises(NotAuthorized, match="Set EMPROPS_API_KEY") as caught:
        await ask(saying("", 401), key=key)
    assert why in str(caught.value)
    assert CANARY not in str(caught.value)


async def test_a_body_is_sent_as_json():
    async def handler(request):
        assert request.content_type == "application/json"
        return server.json_response({"data": await request.json()})

    assert await ask(handler, body={"model_ids": ["a"]}) == {"model_ids": ["a"]}


@pytest.mark.parametrize(
    ("name", "segment"),
    [("a b", "a%20b"), ("SD15/x", "SD15%2Fx"), ("..", "%2E%2E"), ("a?b#c", "a%3Fb%23c"), ("ä", "%C3%A4")],
)
async def test_a_name_is_one_segment(name, segment):
    async def handler(request):
        return server.json_response({"data": request.raw_path})

    assert quoted(name) == segment
    assert await ask(handler, f"/models/name/{quoted(name)}") == f"/models/name/{segment}"


async def test_what_has_not_changed_is_not_sent_again():
    asked: list[str | None] = []

    async def handler(request):
        asked.append(request.headers.get("If-None-Match"))
        if asked[-1] == 'W/"1"' and len(asked) == 2:
            return server.Response(status=304)
        return server.Response(text='{"data": [1]}' if len(asked) == 1 else '{"data": [2]}', headers={"ETag": 'W/"1"'})

    async with served(handler) as host, aiohttp.ClientSession(auto_decompress=False) as session:
        client = Asking(session, f"http://{host}")
        assert [await client.ask("GET", "/x") for _ in range(3)] == [[1], [1], [2]]
    assert asked == [None, 'W/"1"', 'W/"1"']


async def test_a_304_that_nobody_asked_for_is_useless():
    with pytest.raises(CatalogUnavailable):
        await ask(saying("", status=304))


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [(404, "application/json", NotFound), (200, "text/html", NotFound), (302, "text/html", NotFound),
     (401, "text/html", NotAuthorized), (503, "text/event-stream", CatalogUnavailable), (429, "text/html", CatalogUnavailable)],
)  # fmt: skip
async def test_a_stream_is_told_apart_from_everything_else(status, kind, error):
    async def handler(_request):
        return server.Response(status=status, body=b"x", content_type=kind)

    async with served(handler) as host, aiohttp.ClientSession() as session:
        with pytest.raises(error):
            async with Asking(session, f"http://{host}").stream("/s", {}, 5):
                raise AssertionError("it was taken for a stream")


async def test_a_silent_stream_is_given_up():
    async def handler(request):
        response = server.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": here\n\n")
        await asyncio.sleep(30)
        return response

    async with served(handler) as host, aiohttp.ClientSession() as session:
        with pytest.raises(CatalogUnreachable):
            async with Asking(session, f"http://{host}").stream("/s", {}, 0.2) as pieces:
                assert [piece async for piece in pieces]
