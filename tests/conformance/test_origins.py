"""What every origin keeps: one suite for the network, its two stores, and the one in memory."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from model_manager.errors import Corrupt, NotFound, OriginUnavailable, RangeBeyond
from model_manager.facts.model import Source
from model_manager.facts.transfer import Offer
from model_manager.sources.civitai import CivitaiOrigin
from model_manager.sources.https import HttpsOrigin
from model_manager.sources.huggingface import HuggingFaceOrigin
from model_manager.sources.memory import FlakyOrigin, MemoryOrigin, Thing
from model_manager.sources.origin import Origin, Stream, strong
from tests.sources.bowl import Bowl
from tests.sources.serving import Shelf, reaching, served

DATA = hashlib.sha256(b"seed").digest() * 10_000
OTHER = hashlib.sha256(b"other").digest() * 10_000


@dataclass
class Rig:
    """An origin with one object, and how to change that object behind its back."""

    origin: Origin
    source: Source
    missing: Source
    change: Callable[[bytes, str | None], None]
    no_ranges: Callable[[], None]

    async def read(self, **where) -> tuple[Offer, bytes]:
        async with self.origin.open("x.safetensors", self.source, **where) as stream:
            return stream.offer, b"".join([chunk async for chunk in stream.chunks()])


@asynccontextmanager
async def in_memory(kind: type[MemoryOrigin]) -> AsyncIterator[Rig]:
    url = "http://memory/x"
    things = {url: Thing(data=DATA, etag='"one"', pieces=True)}

    def change(data: bytes, etag: str | None) -> None:
        things[url] = Thing(data=data, etag=etag, pieces=True)

    def no_ranges() -> None:
        things[url] = Thing(data=DATA, etag='"one"', ranges=False)

    origin = FlakyOrigin(things, []) if kind is FlakyOrigin else MemoryOrigin(things)
    yield Rig(origin, Source(url=url), Source(url="http://memory/y"), change, no_ranges)


@asynccontextmanager
async def on_the_network(kind: type[HttpsOrigin]) -> AsyncIterator[Rig]:
    shelf = Shelf(DATA)

    def change(data: bytes, etag: str | None) -> None:
        shelf.data, shelf.etag = data, etag

    def no_ranges() -> None:
        shelf.ranges = False

    async def handler(request):
        from aiohttp import web

        return web.Response(status=404) if request.path == "/missing" else await shelf(request)

    async with served(handler) as host, reaching(host) as web:
        origin = kind(web) if kind is HttpsOrigin else kind(web, hosts=frozenset({host}))
        source, missing = Source(url=f"http://{host}/a/b/x"), Source(url=f"http://{host}/missing")
        yield Rig(origin, source, missing, change, no_ranges)


RIGS = {
    "memory": lambda: in_memory(MemoryOrigin),
    "flaky": lambda: in_memory(FlakyOrigin),
    "https": lambda: on_the_network(HttpsOrigin),
    "huggingface": lambda: on_the_network(HuggingFaceOrigin),
    "civitai": lambda: on_the_network(CivitaiOrigin),
}


@pytest.fixture(params=RIGS)
async def rig(request):
    async with RIGS[request.param]() as made:
        yield made


async def test_it_claims_its_own_addresses_only(rig):
    assert rig.origin.claims(rig.source.url)
    assert not rig.origin.claims("file:///etc/passwd")


async def test_the_whole_object_comes_with_its_offer(rig):
    offer, data = await rig.read()
    assert data == DATA
    assert (offer.start, offer.size, offer.validator) == (0, len(DATA), '"one"')


async def test_b17_describe_says_what_open_offers(rig):
    offer = await rig.origin.describe("x.safetensors", rig.source)
    assert (offer.start, offer.size, offer.validator) == (0, len(DATA), '"one"')


@pytest.mark.parametrize("start", [1, 70_000, len(DATA) - 1])
async def test_it_goes_on_where_we_were(rig, start):
    offer, data = await rig.read(start=start, validator='"one"', size=len(DATA))
    assert (offer.start, offer.size) == (start, len(DATA))
    assert data == DATA[start:]


async def test_b1_an_origin_without_ranges_starts_over_and_says_so(rig):
    rig.no_ranges()
    offer, data = await rig.read(start=100, validator='"one"')
    assert offer.start == 0
    assert data == DATA


async def test_b4_an_object_that_changed_is_never_continued(rig):
    rig.change(OTHER, '"two"')
    offer, data = await rig.read(start=100, validator='"one"', size=len(DATA))
    assert (offer.start, offer.validator) == (0, '"two"')
    assert data == OTHER


@pytest.mark.parametrize("validator", [None, 'W/"one"', ""])
async def test_b5_nothing_is_continued_without_a_strong_proof(rig, validator):
    offer, data = await rig.read(start=100, validator=validator)
    assert offer.start == 0
    assert data == DATA


async def test_a_pinned_object_is_continued_without_a_proof(rig):
    rig.change(DATA, None)
    offer, data = await rig.read(start=100, size=len(DATA), pinned=True)
    assert (offer.start, data) == (100, DATA[100:])


async def test_b3_a_pinned_object_of_another_length_is_not_continued(rig):
    with pytest.raises(Corrupt):
        await rig.read(start=100, size=len(DATA) + 1, pinned=True)


async def test_what_is_poured_is_what_is_read(rig):
    for start in (0, 100):
        async with rig.origin.open("x.safetensors", rig.source, start=start, validator='"one"') as stream:
            bowl = Bowl()
            await stream.pour(bowl)
        assert bowl.data == DATA[start:]


async def test_a_sink_that_has_enough_ends_a_pour(rig):
    async with rig.origin.open("x.safetensors", rig.source) as stream:
        bowl = Bowl(1234)
        await stream.pour(bowl)
    assert bowl.data == DATA[:1234]


async def test_parts_are_of_the_object_that_was_offered(rig):
    async with rig.origin.open("x.safetensors", rig.source) as stream:
        bowl = Bowl()
        await stream.parts.pour(1000, 70_000, bowl)
        assert bowl.data == DATA[1000:70_000]
        few = Bowl(10)
        await stream.parts.pour(1000, 70_000, few)
        assert few.data == DATA[1000:1010]


async def test_b4_no_part_of_another_object_is_ever_mixed_in(rig):
    async with rig.origin.open("x.safetensors", rig.source) as stream:
        rig.change(OTHER, '"two"')
        bowl = Bowl()
        with pytest.raises(Corrupt):
            await stream.parts.pour(1000, 2000, bowl)
    assert not bowl.data


async def test_no_parts_are_offered_without_a_proof(rig):
    rig.change(DATA, 'W/"one"')
    async with rig.origin.open("x.safetensors", rig.source) as stream:
        assert stream.parts is None


async def test_b5_a_weak_etag_is_not_offered_as_a_proof(rig):
    rig.change(DATA, 'W/"one"')
    assert (await rig.origin.describe("x.safetensors", rig.source)).validator is None


async def test_b3_an_object_of_another_length_under_the_same_etag_is_corrupt(rig):
    with pytest.raises(Corrupt):
        await rig.read(start=100, validator='"one"', size=len(DATA) + 1)


@pytest.mark.parametrize("beyond", [0, 5])
async def test_b15_an_object_that_ends_where_we_are_says_its_length(rig, beyond):
    with pytest.raises(RangeBeyond) as caught:
        await rig.read(start=len(DATA) + beyond, validator='"one"')
    assert caught.value.size == len(DATA)


async def test_an_object_that_is_not_there(rig):
    with pytest.raises(NotFound):
        await rig.origin.describe("x.safetensors", rig.missing)


async def test_a_reader_may_leave_early(rig):
    async with rig.origin.open("x.safetensors", rig.source) as stream:
        assert DATA.startswith(await anext(stream.chunks()))
    assert (await rig.read())[1] == DATA


async def test_no_chunk_is_larger_than_a_mebibyte(rig):
    rig.change(bytes(5 << 20), '"big"')
    async with rig.origin.open("x.safetensors", rig.source) as stream:
        sizes = [len(chunk) async for chunk in stream.chunks()]
    assert sum(sizes) == 5 << 20
    assert max(sizes) <= 1 << 20


async def test_the_failures_of_the_readers_own_block_are_not_touched(rig):
    with pytest.raises(OSError, match="disk is full"):
        async with rig.origin.open("x.safetensors", rig.source):
            raise OSError(28, "disk is full")


def stream(size: int | None, *pieces: bytes, start: int = 0) -> Stream:
    async def body():
        for piece in pieces:
            yield piece

    return Stream("x.safetensors", Offer(size=size, validator=None, promise=None, start=start, host="h"), body())


async def read(stream: Stream) -> bytes:
    return b"".join([chunk async for chunk in stream.chunks()])


async def test_a_stream_of_the_offered_length_is_read_whole():
    assert await read(stream(5, b"ab", b"cde")) == b"abcde"
    assert await read(stream(5, b"de", start=3)) == b"de"
    assert await read(stream(None, b"whatever")) == b"whatever"


async def test_b6_more_bytes_than_offered_are_never_handed_on():
    chunks = stream(3, b"ab", b"cd").chunks()
    assert await anext(chunks) == b"ab"
    with pytest.raises(Corrupt, match="more than its 3 bytes"):
        await anext(chunks)


async def test_b7_fewer_bytes_than_offered_are_unfinished():
    with pytest.raises(OriginUnavailable, match="it ended at byte 4 of 6"):
        await read(stream(6, b"de", start=2))


@pytest.mark.parametrize(
    ("etag", "proves"),
    [('"abc"', True), ('W/"abc"', False), (None, False), ("", False), ('""', False), ("abc", False), ('"a"b"', False),
     ('"a\r\nX: y"', False), ('"ä"', False), ('"' + "x" * 600 + '"', False)],
)  # fmt: skip
def test_b5_only_a_quoted_strong_etag_proves_anything(etag, proves):
    assert strong(etag) is proves
