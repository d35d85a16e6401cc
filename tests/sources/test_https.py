from __future__ import annotations

import gzip

import pytest
from aiohttp import web as server
from pydantic import SecretStr

from model_manager.errors import Corrupt, NotAuthorized, NotPublic, OriginUnavailable, Refused
from model_manager.facts.model import Source
from model_manager.sources.credentials import Credentials
from model_manager.sources.https import HttpsOrigin, without_query
from tests.sources.serving import Shelf, raw, reaching, served

CANARY = "hf_CANARY123"


async def fetch(handler, path: str = "x", **where) -> bytes:
    async with served(handler) as host, reaching(host) as web:
        source = Source(url=f"http://{host}/{path}")
        async with HttpsOrigin(web).open("x.safetensors", source, **where) as stream:
            return b"".join([chunk async for chunk in stream.chunks()])


def answering(status: int = 200, **headers: str):
    async def handler(_request):
        return server.Response(
            status=status, body=b"bytes", headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    return handler


async def test_b17_only_get_is_ever_asked_because_head_lies():
    methods = []
    shelf = Shelf(b"x" * 1000)

    async def handler(request):
        methods.append(request.method)
        return server.Response(headers={"Content-Length": "7"}) if request.method == "HEAD" else await shelf(request)

    async with served(handler) as host, reaching(host) as web:
        offer = await HttpsOrigin(web).describe("x", Source(url=f"http://{host}/x"))
    assert offer.size == 1000
    assert methods == ["GET"]
    assert shelf.seen[0]["Range"] == "bytes=0-0"


@pytest.mark.parametrize("answer", ["bytes 0-899/1000", "bytes 101-1000/1001", None, "bytes 100-999/1001"])
async def test_b2_b3_a_lying_part_is_corrupt_and_no_byte_is_handed_on(answer):
    async def handler(_request):
        headers = {"ETag": '"one"', **({"Content-Range": answer} if answer else {})}
        return server.Response(status=206, body=bytes(900), headers=headers)

    with pytest.raises(Corrupt):
        await fetch(handler, start=100, validator='"one"', size=1000)


async def test_b6_a_body_without_end_stops_at_the_promised_length():
    async def handler(request):
        response = server.StreamResponse(status=206, headers={"Content-Range": "bytes 100-999/1000", "ETag": '"one"'})
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(10_000))
        except ConnectionError:
            return response

    with pytest.raises(Corrupt, match="more than its 1000 bytes"):
        await fetch(handler, start=100, validator='"one"')


async def test_b7_a_body_that_ends_early_is_never_taken_for_whole():
    async def half(request):
        headers = {"Content-Range": "bytes 100-999/1000", "ETag": '"one"'}
        response = server.StreamResponse(status=206, headers=headers)
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(bytes(450))
        return response

    with pytest.raises(OriginUnavailable, match="ended at byte 550 of 1000"):
        await fetch(half, start=100, validator='"one"')


async def test_b7_without_any_length_the_size_is_unknown_and_the_caller_judges():
    async def close(writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await writer.drain()

    async with (
        raw(close) as host,
        reaching(host) as web,
        HttpsOrigin(web).open("x", Source(url=f"http://{host}/x")) as stream,
    ):
        assert stream.offer.size is None
        assert [chunk async for chunk in stream.chunks()] == [b"half"]


async def test_b8_a_length_of_20_tb_is_offered_before_any_byte_is_read():
    async def huge(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20000000000000\r\n\r\n")
        await writer.drain()

    async with raw(huge) as host, reaching(host) as web:
        assert (await HttpsOrigin(web).describe("x", Source(url=f"http://{host}/x"))).size == 20_000_000_000_000


async def test_b9_a_web_page_is_not_a_model():
    with pytest.raises(Corrupt, match="web page"):
        await fetch(answering(Content_Type="text/html; charset=utf-8"))


async def test_b10_a_compressed_bomb_is_refused_unread():
    async def handler(_request):
        return server.Response(body=gzip.compress(bytes(1 << 20)), headers={"Content-Encoding": "gzip"})

    with pytest.raises(Corrupt, match="compressed"):
        await fetch(handler)


@pytest.mark.parametrize(("status", "asked"), [(429, "7"), (503, "7"), (429, "-1"), (503, "1000000000")])
async def test_b11_the_wait_that_is_asked_for_is_handed_on(status, asked):
    with pytest.raises(OriginUnavailable) as caught:
        await fetch(answering(status, Retry_After=asked))
    assert caught.value.retry_after == {"7": 7, "-1": None, "1000000000": 3600}[asked]


async def test_b13_an_expired_signature_means_ask_again_at_the_original_address():
    shelf = Shelf(b"0123456789")
    valid = {"sig": "1"}

    async def cdn(request):
        if request.query["sig"] != valid["sig"]:
            return server.Response(status=403)
        return await shelf(request)

    async def home(_request):
        return server.Response(status=302, headers={"Location": f"http://{away}/x?sig={tickets.pop(0)}"})

    tickets = ["1", "1", "2"]
    async with served(cdn) as away, served(home) as host, reaching(host, away) as web:
        origin, source = HttpsOrigin(web), Source(url=f"http://{host}/x")
        offer = await origin.describe("x", source)
        valid["sig"] = "2"
        with pytest.raises(OriginUnavailable, match="no longer valid"):
            async with origin.open("x", source, start=5, validator=offer.validator):
                pass
        async with origin.open("x", source, start=5, validator=offer.validator) as stream:
            assert [chunk async for chunk in stream.chunks()] == [b"56789"]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_host_that_wants_a_token_which_we_cannot_have(status):
    with pytest.raises(NotPublic, match="put another address") as caught:
        await fetch(answering(status))
    assert isinstance(caught.value, NotAuthorized)


async def test_a_host_that_wants_one_of_our_tokens_names_it(authority):
    async with (
        served(answering(401), authority.server("127.0.0.1")) as host,
        reaching(
            host, credentials=Credentials(hosts={"HF_TOKEN": frozenset({host})}), ca_file=authority.ca_file
        ) as web,
    ):
        with pytest.raises(NotAuthorized, match="Set HF_TOKEN"):
            await HttpsOrigin(web).describe("x", Source(url=f"https://{host}/x"))


async def test_another_refusal_says_what_to_look_at():
    with pytest.raises(Refused, match="Check the download address"):
        await fetch(answering(451))


@pytest.mark.parametrize("status", [401, 403, 404, 418, 429, 500, 204])
async def test_k12_no_secret_and_no_second_line_is_in_a_message(status):
    async with served(answering(status)) as host, reaching(host) as web:
        credentials = Credentials(tokens={"HF_TOKEN": SecretStr(CANARY)})
        assert CANARY not in repr(credentials)
        with pytest.raises(Exception) as caught:
            await HttpsOrigin(web).describe("a\nb\x1b[31m", Source(url=f"http://{host}/x?token={CANARY}"))
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value)
    assert str(caught.value).isprintable()


async def test_k2_the_name_that_a_server_gives_is_nowhere_in_the_offer():
    headers = {"Content_Disposition": 'attachment; filename="../../../etc/cron.d/x"'}
    assert await fetch(answering(**headers)) == b"bytes"


def test_an_address_without_its_query():
    assert (
        without_query("https://civitai.com/api/download/models/1?token=x")
        == "https://civitai.com/api/download/models/1"
    )
