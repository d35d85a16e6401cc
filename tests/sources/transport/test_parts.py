from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web as server
from pydantic import SecretStr

from model_manager.errors import Corrupt, OriginUnavailable
from model_manager.facts.model import Source
from model_manager.sources.credentials import Credentials
from model_manager.sources.https import HttpsOrigin
from model_manager.sources.huggingface import HuggingFaceOrigin
from model_manager.sources.origin import Stream
from model_manager.sources.transport.web import web as client
from tests.sources.bowl import Bowl
from tests.sources.serving import SOON, Shelf, reaching, served

DATA = hashlib.sha256(b"seed").digest() * 10_000
SIZE = len(DATA)
CANARY = "hf_CANARY123"
GOOD = {"ETag": '"one"', "Content-Range": f"bytes 100-199/{SIZE}"}


@asynccontextmanager
async def opened(handler, **where) -> AsyncIterator[Stream]:
    async with (
        served(handler) as host,
        reaching(host) as web,
        HttpsOrigin(web).open("x", Source(url=f"http://{host}/x"), **where) as stream,
    ):
        yield stream


async def part(answer: server.Response | None = None, headers=GOOD, status: int = 206, size: int = 100) -> Bowl:
    """Bytes 100 to 200, where the server offers the object first and then answers like this."""
    bowl = Bowl()

    async def handler(request):
        if "Want-Content-Digest" not in request.headers:
            return await Shelf(DATA)(request)
        return answer or server.Response(status=status, headers=headers, body=DATA[100 : 100 + size])

    async with opened(handler) as stream:
        await stream.parts.pour(100, 200, bowl)
    return bowl


async def test_a_part_is_asked_for_by_its_range_and_proven_by_the_etag():
    shelf = Shelf(DATA)
    async with opened(shelf.__call__) as stream:
        bowl = Bowl()
        await stream.parts.pour(1000, 51_000, bowl)
        assert stream.parts.host == "127.0.0.1"
    assert bowl.data == DATA[1000:51_000]
    asked = shelf.seen[-1]
    assert (asked["Range"], asked["If-Range"], asked["Want-Content-Digest"]) == (
        "bytes=1000-50999",
        '"one"',
        "sha-256=1",
    )
    assert asked["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("secure", [False, True])
async def test_many_parts_at_once_make_the_whole(authority, secure):
    tls, step = authority.server("127.0.0.1") if secure else None, SIZE // 8
    async with (
        served(Shelf(DATA).__call__, tls) as host,
        reaching(host, ca_file=authority.ca_file) as web,
        HttpsOrigin(web).open("x", Source(url=f"http{'s' if secure else ''}://{host}/x")) as stream,
    ):
        bowls = [Bowl(step), *(Bowl() for _ in range(7))]
        async with asyncio.TaskGroup() as group:
            group.create_task(stream.pour(bowls[0]))
            for number in range(1, 8):
                group.create_task(stream.parts.pour(number * step, (number + 1) * step, bowls[number]))
    assert b"".join(bowl.data for bowl in bowls) == DATA


async def test_a_sink_that_has_enough_ends_a_part_early():
    async with opened(Shelf(DATA).__call__) as stream:
        bowl = Bowl(500)
        await stream.parts.pour(100, SIZE, bowl)
    assert bowl.data == DATA[100:600]


async def test_parts_are_offered_for_the_middle_too():
    async with opened(Shelf(DATA).__call__, start=100, validator='"one"') as stream:
        bowl = Bowl()
        await stream.parts.pour(50, 60, bowl)
    assert bowl.data == DATA[50:60]


@pytest.mark.parametrize(
    "shelf",
    [Shelf(DATA, etag='W/"one"'), Shelf(DATA, etag=None), Shelf(DATA, headers={"Accept-Ranges": "none"})],
    ids=["a weak etag", "no etag", "no ranges by its own word"],
)
async def test_no_parts_where_nothing_proves_them(shelf):
    async with opened(shelf.__call__) as stream:
        assert stream.parts is None


async def test_no_parts_where_a_range_was_answered_with_the_whole():
    async with opened(Shelf(DATA, ranges=False).__call__, start=100, validator='"one"') as stream:
        assert (stream.offer.start, stream.parts) == (0, None)


async def test_no_parts_without_a_length():
    async def chunked(request):
        response = server.StreamResponse(headers={"ETag": '"one"'})
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(DATA)
        return response

    async with opened(chunked) as stream:
        assert stream.parts is None
        bowl = Bowl()
        await stream.pour(bowl)
    assert bowl.data == DATA


async def test_no_parts_through_a_proxy():
    async with (
        served(Shelf(DATA).__call__) as host,
        client(Credentials(), proxy=f"http://{host}", timeouts=SOON) as web,
        HttpsOrigin(web).open("x", Source(url="http://models.example.com/x")) as stream,
    ):
        assert stream.parts is None


@pytest.mark.parametrize(
    "lie",
    [{"ETag": '"two"'}, {"ETag": ""}, {"ETag": 'W/"one"'}, {"Content-Range": f"bytes 100-199/{SIZE + 1}"}, {"Content-Range": "bytes 100-199/*"},
     {"Content-Range": f"bytes 0-99/{SIZE}"}, {"Content-Range": f"bytes 101-200/{SIZE}"}, {"Content-Range": ""},
     {"Content-Encoding": "gzip"}, {"Content-Type": "text/html"}],
)  # fmt: skip
async def test_b4_a_part_of_another_object_is_corrupt(lie):
    with pytest.raises(Corrupt):
        await part(headers=GOOD | lie)


async def test_b2_more_than_the_part_is_corrupt():
    with pytest.raises(Corrupt, match="bytes up to 300"):
        await part(headers=GOOD | {"Content-Range": f"bytes 100-299/{SIZE}"}, size=200)


@pytest.mark.parametrize("status", [200, 204, 416])
async def test_b1_an_answer_that_is_no_part_is_another_object(status):
    with pytest.raises(Corrupt, match="another object"):
        await part(headers={"ETag": '"two"'}, status=status, size=0 if status == 204 else 100)


async def test_b1_a_server_that_gives_the_whole_instead_is_not_asked_for_parts_again():
    shelf = Shelf(DATA, ranges=False)
    async with served(shelf.__call__) as host, reaching(host) as web:
        origin, source = HttpsOrigin(web), Source(url=f"http://{host}/x")
        async with origin.open("x", source) as stream:
            with pytest.raises(OriginUnavailable, match="it gives the whole where a part was asked for"):
                await stream.parts.pour(100, 200, Bowl())
        async with origin.open("x", source) as stream:
            assert stream.parts is None


async def test_a_server_may_send_less_than_the_part_and_then_it_broke_off():
    bowl = Bowl()

    async def handler(request):
        if "Want-Content-Digest" not in request.headers:
            return await Shelf(DATA)(request)
        headers = {"ETag": '"one"', "Content-Range": f"bytes 100-149/{SIZE}"}
        return server.Response(status=206, headers=headers, body=DATA[100:150])

    async with opened(handler) as stream:
        with pytest.raises(OriginUnavailable, match="it ended at byte 150 of 200"):
            await stream.parts.pour(100, 200, bowl)
        assert bowl.data == DATA[100:150]
        await stream.parts.pour(100, 200, Bowl(50))


async def test_a_part_in_chunks_takes_the_slow_road():
    async def handler(request):
        if "Want-Content-Digest" not in request.headers:
            return await Shelf(DATA)(request)
        response = server.StreamResponse(status=206, headers=GOOD)
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(DATA[100:200])
        return response

    bowl = Bowl(step=7)
    async with opened(handler) as stream:
        await stream.parts.pour(100, 200, bowl)
    assert bowl.data == DATA[100:200]


@pytest.mark.parametrize(
    ("status", "why"),
    [(301, "it redirects now"), (403, "does not give it any more"), (404, "does not give it any more"), (500, "it answered 500"),
     (451, "refused a part"), (418, "refused a part")],
)  # fmt: skip
async def test_a_part_that_is_not_given_means_open_again(status, why):
    with pytest.raises(OriginUnavailable, match=why):
        await part(headers={"Location": "http://elsewhere.example.com/"}, status=status)


@pytest.mark.parametrize("status", [429, 503])
async def test_b11_the_wait_that_is_asked_for_is_handed_on(status):
    with pytest.raises(OriginUnavailable) as caught:
        await part(headers={"Retry-After": "7"}, status=status)
    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    ("header", "pin"),
    [({"Content-Digest": f"sha-256=:{b64encode(hashlib.sha256(DATA[100:200]).digest()).decode()}:"}, f"sha256:{hashlib.sha256(DATA[100:200]).hexdigest()}"),
     ({"Content-MD5": b64encode(hashlib.md5(DATA[100:200]).digest()).decode()}, f"md5:{hashlib.md5(DATA[100:200]).hexdigest()}")],
)  # fmt: skip
async def test_the_digest_of_a_part_is_told_to_the_sink(header, pin):
    assert (await part(headers=GOOD | header)).pins == [pin]


async def test_the_digest_of_less_than_the_part_is_not_told():
    digest = {"Content-Digest": f"sha-256=:{b64encode(bytes(32)).decode()}:"}
    bowl = Bowl()

    async def handler(request):
        if "Want-Content-Digest" not in request.headers:
            return await Shelf(DATA)(request)
        headers = {"ETag": '"one"', "Content-Range": f"bytes 100-149/{SIZE}", **digest}
        return server.Response(status=206, headers=headers, body=DATA[100:150])

    async with opened(handler) as stream:
        with pytest.raises(OriginUnavailable):
            await stream.parts.pour(100, 200, bowl)
    assert bowl.pins == []


async def test_b14_parts_come_from_the_store_behind_the_redirect_which_never_sees_the_token(authority):
    store = Shelf(DATA, etag='"store"')
    sha = hashlib.sha256(DATA).hexdigest()
    asked: list[str] = []

    async def front(request):
        asked.append(request.headers.get("Authorization", ""))
        if request.path == "/o/r/resolve/main/x":
            return server.Response(status=307, headers={"Location": "/there"})
        linked = {"X-Linked-Etag": f'"{sha}"', "X-Linked-Size": str(SIZE)}
        return server.Response(status=302, headers={"Location": f"https://{away}/blob?Signature=s", **linked})

    tls = authority.server("127.0.0.1")
    async with served(store.__call__, tls) as away, served(front, tls) as host:
        credentials = Credentials(tokens={"HF_TOKEN": SecretStr(CANARY)}, hosts={"HF_TOKEN": frozenset({host})})
        async with (
            reaching(host, away, credentials=credentials, ca_file=authority.ca_file) as web,
            HuggingFaceOrigin(web, hosts=frozenset({host})).open(
                "x", Source(url=f"https://{host}/o/r/resolve/main/x")
            ) as stream,
        ):
            assert stream.offer.validator == f'"{sha}"'
            bowl = Bowl()
            await stream.parts.pour(7, 70_000, bowl)
            await stream.parts.pour(70_000, SIZE, bowl)
    assert bowl.data == DATA[7:]
    assert asked == [f"Bearer {CANARY}"] * 2
    assert [seen.get("If-Range") for seen in store.seen] == [None, '"store"', '"store"']
    assert all(CANARY not in str(seen) for seen in store.seen)


async def test_a_host_that_may_have_the_token_gets_it_with_every_part(authority):
    shelf = Shelf(DATA)
    async with served(shelf.__call__, authority.server("127.0.0.1")) as host:
        credentials = Credentials(tokens={"HF_TOKEN": SecretStr(CANARY)}, hosts={"HF_TOKEN": frozenset({host})})
        async with (
            reaching(host, credentials=credentials, ca_file=authority.ca_file) as web,
            HttpsOrigin(web).open("x", Source(url=f"https://{host}/x")) as stream,
        ):
            await stream.parts.pour(7, 70, Bowl())
    assert [seen["Authorization"] for seen in shelf.seen] == [f"Bearer {CANARY}"] * 2


async def test_b13_an_expired_signature_in_mid_file_means_open_the_source_again():
    shelf = Shelf(DATA)
    expired = False

    async def cdn(request):
        return server.Response(status=403) if expired else await shelf(request)

    async def home(_request):
        return server.Response(status=302, headers={"Location": f"http://{away}/x?sig={CANARY}"})

    async with (
        served(cdn) as away,
        served(home) as host,
        reaching(host, away) as web,
        HttpsOrigin(web).open("x", Source(url=f"http://{host}/x")) as stream,
    ):
        await stream.parts.pour(7, 70, Bowl())
        expired = True
        with pytest.raises(OriginUnavailable, match="the address it redirected to is no longer valid") as caught:
            await stream.parts.pour(7, 70, Bowl())
    assert CANARY not in str(caught.value)


async def test_parts_use_the_same_connections_again():
    ports = set()
    shelf = Shelf(DATA)

    async def handler(request):
        ports.add(request.transport.get_extra_info("peername")[1])
        return await shelf(request)

    async with opened(handler) as stream:
        for start in range(0, 1000, 100):
            await stream.parts.pour(start, start + 100, Bowl())
    assert len(ports) == 2


async def test_b7_an_answer_that_announces_less_than_the_rest_ended_early():
    async def handler(_request):
        headers = {"ETag": '"one"', "Content-Range": f"bytes 100-149/{SIZE}"}
        return server.Response(status=206, headers=headers, body=DATA[100:150])

    bowl = Bowl()
    async with opened(handler, start=100, validator='"one"') as stream:
        with pytest.raises(OriginUnavailable, match=f"it ended at byte 150 of {SIZE}"):
            await stream.pour(bowl)
    assert bowl.data == DATA[100:150]


async def test_b6_an_answer_that_announces_more_than_there_is_is_not_poured():
    sha = hashlib.sha256(DATA).hexdigest()

    async def front(_request):
        linked = {"X-Linked-Etag": f'"{sha}"', "X-Linked-Size": str(SIZE)}
        return server.Response(status=302, headers={"Location": f"http://{away}/blob", **linked})

    async def store(_request):
        headers = {"Content-Range": f"bytes 100-{SIZE + 99}/*"}
        return server.Response(status=206, headers=headers, body=DATA)

    bowl = Bowl()
    async with served(store) as away, served(front) as host, reaching(host, away) as web:
        origin, source = (
            HuggingFaceOrigin(web, hosts=frozenset({host})),
            Source(url=f"http://{host}/o/r/resolve/main/x"),
        )
        async with origin.open("x", source, start=100, validator=f'"{sha}"') as stream:
            with pytest.raises(Corrupt, match=f"more than its {SIZE} bytes came"):
                await stream.pour(bowl)
    assert not bowl.data
