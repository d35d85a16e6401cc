"""Origins whose body is not the promised one: too long, too short, a page, a bomb, a flipped byte, headers without end."""

from __future__ import annotations

import asyncio
import gzip
import shutil
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.stories.bringing import MODEL, OTHER, TAIL, Bringing, Wish
from tests.stories.machine import safetensors
from tests.stories.origin import CHUNK, Behaviour, Reply, Request, Thing, scripted

SMALL = safetensors(400_000, 14)

pytestmark = pytest.mark.parametrize("origin", ["plain", "TLS"], indirect=True)


def answering(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    """Always this answer."""

    async def behave(request: Request, thing: Thing, reply: Reply) -> None:
        await reply.head(
            status, {"Content-Length": str(len(body)), **{k.replace("_", "-"): v for k, v in headers.items()}}
        )
        await reply.raw(body)

    return behave


async def endless(request: Request, thing: Thing, reply: Reply) -> None:
    """Chunks for ever: the model, then zeros."""
    await reply.head(200, {"Transfer-Encoding": "chunked"})
    data = thing.data
    while True:
        for at in range(0, len(data), CHUNK):
            piece = data[at : at + CHUNK]
            await reply.raw(f"{len(piece):x}\r\n".encode())
            await reply.body(piece)
            await reply.raw(b"\r\n")
        data = bytes(1 << 20)


async def surplus(request: Request, thing: Thing, reply: Reply) -> None:
    """More than the announced length. HTTP ends the answer there: the rest must not become another one."""
    await reply.head(200, {"Content-Length": str(len(thing.data)), "ETag": str(thing.etag)})
    await reply.body(thing.data + b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx" * 100)


async def test_b6_more_bytes_than_announced_and_bytes_without_end(bringing: Bringing) -> None:
    """With a length in the catalog the end is exact; with a hash and a rough length it is that and a quarter and 16 MiB."""
    third = safetensors(6_000_000, 15)
    rough = {"fileSize": "6MB"}
    await bringing.bring(
        Wish(name="a", behaviour=scripted(endless), pinned=False, more={"fileSize": len(MODEL)}),
        Wish(name="b", served=OTHER, right=OTHER, behaviour=scripted(endless), more=rough),
        Wish(name="c", served=third, right=third, behaviour=scripted(surplus)),
    )
    await bringing.brought()
    assert bringing.origin.sent["/a.safetensors"] < 2 * len(MODEL) + 2 * TAIL
    assert bringing.origin.sent["/b.safetensors"] < len(OTHER) + 1.25 * len(OTHER) + 4 * TAIL + 3 * TAIL
    assert any("does not end" in why for why in bringing.reasons("a"))
    assert any("does not end" in why for why in bringing.reasons("b"))


async def test_b7_a_body_that_ends_early_is_never_final(bringing: Bringing) -> None:
    """Short of its Content-Length; without one, but short of the catalog's length, of its hash, or of its own header."""
    third, fourth = safetensors(6_000_000, 16), safetensors(6_000_000, 17)

    async def short(request: Request, thing: Thing, reply: Reply) -> None:
        await reply.head(200, {"Content-Length": str(len(thing.data)), "ETag": str(thing.etag)})
        await reply.body(thing.data[:3_000_000])

    async def half(request: Request, thing: Thing, reply: Reply) -> None:
        await reply.head(200, {"Connection": "close"})
        await reply.body(thing.data[:3_000_000])

    await bringing.bring(
        Wish(name="a", behaviour=scripted(short)),
        Wish(
            name="b", served=OTHER, right=OTHER, behaviour=scripted(half), pinned=False, more={"fileSize": len(OTHER)}
        ),
        Wish(name="c", served=third, right=third, behaviour=scripted(half)),
        Wish(name="d", served=fourth, right=fourth, behaviour=scripted(half), pinned=False),
    )
    await bringing.brought()
    assert "it ended" in bringing.reasons("a")[0] or "broke" in bringing.reasons("a")[0]
    assert "its hash is" in bringing.reasons("c")[0]
    assert "its header describes 6000000 bytes, the file has 3000000" in bringing.reasons("d")[0]


async def test_b8_a_length_of_20_tb_is_refused_before_the_first_byte(bringing: Bringing) -> None:
    async def huge(request: Request, thing: Thing, reply: Reply) -> None:
        await reply.head(200, {"Content-Length": str(20 * 10**12), "ETag": str(thing.etag)})
        await reply.body(thing.data)

    before = shutil.disk_usage(bringing.home).free
    await bringing.bring(
        Wish(name="a", behaviour=huge), Wish(name="b", served=SMALL, right=SMALL, behaviour=huge, pinned=False)
    )
    for name in "ab":
        await bringing.until_told("needs 20000000000000 above the floor", name)
    assert bringing.stored("a") == bringing.stored("b") == 0
    assert before - shutil.disk_usage(bringing.home).free < 1_000_000_000
    bringing.origin.behaviours.clear()
    bringing.machine.ask("/reload", "POST")
    await bringing.brought()


async def test_b9_a_page_with_status_200_is_no_model(bringing: Bringing) -> None:
    page, limited = b"<!DOCTYPE html><html>Sign in</html>" + b" " * 2000, b'{"error": "rate limited"}'
    await bringing.bring(
        Wish(name="a", behaviour=answering(200, page, Content_Type="text/html; charset=utf-8")),
        Wish(name="b", served=OTHER, right=OTHER, behaviour=answering(200, page), pinned=False),
        Wish(name="c", served=SMALL, right=SMALL, behaviour=answering(200, limited, Content_Type="application/json"), pinned=False),
    )  # fmt: skip
    await bringing.until_told("a web page came instead of a file", "a", "failed")
    await bringing.until_told("it is a web page", "b", "failed")
    await bringing.until_told("it is a JSON answer", "c", "failed")
    assert bringing.machine.files() == {}
    assert {name: bringing.origin.asked[f"/{name}.safetensors"] for name in "abc"} == dict.fromkeys("abc", 2)
    assert "it is a JSON answer" in str(bringing.machine.ask("/ready")[1]["reasons"])
    bringing.origin.behaviours.clear()
    bringing.machine.ask("/reload", "POST")
    await bringing.brought()


async def test_b10_a_compressed_bomb_is_refused(bringing: Bringing) -> None:
    bomb = gzip.compress(bytes(200_000_000))
    await bringing.bring(
        Wish(name="a", behaviour=answering(200, bomb, Content_Encoding="gzip")),
        Wish(name="b", served=OTHER, right=OTHER, behaviour=answering(200, bomb, Content_Encoding="br")),
        Wish(name="c", served=SMALL, right=SMALL, behaviour=answering(200, bomb, Transfer_Encoding="gzip")),
    )
    for name in "ab":
        await bringing.until_told("compressed on the way", name, "failed")
    await bringing.machine.until(lambda: len(bringing.reasons("c")) > 1, "the third is refused")
    assert bringing.machine.files() == {}
    bringing.origin.behaviours.clear()
    bringing.machine.ask("/reload", "POST")
    await bringing.brought()


async def test_b11_retry_after_is_honoured_with_a_cap_and_spread(bringing: Bringing) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=900), usegmt=True)
    said = {"a": "100", "b": date, "c": "1000000000", "d": "-5", "e": "100", "f": "100", "g": "100"}
    statuses = {"a": 429, "b": 503, "c": 429, "d": 503, "e": 429, "f": 429, "g": 429}
    wishes = [
        Wish(name=name, served=(data := safetensors(300_000, 30 + n)), right=data, behaviour=answering(statuses[name], Retry_After=wait))
        for n, (name, wait) in enumerate(said.items())
    ]  # fmt: skip
    began = datetime.now(UTC)
    await bringing.bring(*wishes)
    told = {name: await bringing.until_told(f"it answered {statuses[name]}", name) for name in said}
    after = (datetime.now(UTC) - began).total_seconds()
    wait = {name: (datetime.fromisoformat(now["retry_at"]) - began).total_seconds() for name, now in told.items()}
    assert 100 <= wait["a"] <= 125 + after
    assert 850 <= wait["b"] <= 1125 + after
    assert 3600 <= wait["c"] <= 4500 + after
    assert wait["d"] <= 15 + after
    assert len({told[name]["retry_at"] for name in "aefg"}) == 4
    assert all(bringing.origin.asked[f"/{name}.safetensors"] == 1 for name in "abcefg")
    bringing.origin.behaviours.clear()
    bringing.machine.ask("/reload", "POST")
    await bringing.brought()


def flipping(at: int) -> Behaviour:
    async def behave(request: Request, thing: Thing, reply: Reply) -> None:
        wrong = thing.data[:at] + bytes([thing.data[at] ^ 1]) + thing.data[at + 1 :]
        await reply.honest(request, Thing(wrong, thing.etag))

    return behave


async def test_b16_a_flipped_byte_is_found_and_a_second_one_is_a_failure(bringing: Bringing) -> None:
    """Right length, right ETag. Once: fetched again. Always: failed after two, and not a loop; a reload tries once more."""
    await bringing.bring(
        Wish(name="a", behaviour=scripted(flipping(3_000_000))),
        Wish(name="b", served=OTHER, right=OTHER, behaviour=flipping(5_999_999)),
    )
    await bringing.until_told("its hash is", "b", "failed")
    await bringing.machine.until(lambda: "checkpoints/a.safetensors" in bringing.machine.files(), "a healed")
    await asyncio.sleep(2)
    assert bringing.origin.asked["/b.safetensors"] == 2
    assert bringing.origin.sent == {"/a.safetensors": 2 * len(MODEL), "/b.safetensors": 2 * len(OTHER)}
    assert "checkpoints/b.safetensors" not in bringing.machine.files()
    assert not bringing.machine.ready()
    bringing.origin.behaviours.clear()
    bringing.machine.ask("/reload", "POST")
    await bringing.brought()


async def test_b17_what_head_says_counts_for_nothing(bringing: Bringing) -> None:
    async def only_get(request: Request, thing: Thing, reply: Reply) -> None:
        if request.method == "HEAD":
            await reply.head(405, {"Content-Length": "7"})
        else:
            await reply.honest(request, thing)

    await bringing.bring(Wish(behaviour=only_get))
    await bringing.brought()
    assert {request.method for request in bringing.origin.seen} == {"GET"}
    assert bringing.origin.sent["/a.safetensors"] == len(MODEL)


async def test_b18_headers_interim_answers_and_trailers_without_end(bringing: Bringing) -> None:
    third = safetensors(6_000_000, 18)

    async def headers(request: Request, thing: Thing, reply: Reply) -> None:
        await reply.raw(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: " + b"y" * 100_000 + b"\r\n\r\n")

    async def interim(request: Request, thing: Thing, reply: Reply) -> None:
        await reply.raw(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 1000)

    async def trailers(request: Request, thing: Thing, reply: Reply) -> None:
        await reply.head(200, {"Transfer-Encoding": "chunked", "ETag": str(thing.etag)})
        await reply.raw(f"{len(thing.data):x}\r\n".encode())
        await reply.body(thing.data)
        await reply.raw(b"\r\n0\r\n")
        for n in range(100_000):
            await reply.raw(b"X-Trailer-%d: " % n + b"z" * 1000 + b"\r\n")

    await bringing.bring(
        Wish(name="a", behaviour=scripted(headers)),
        Wish(name="b", served=OTHER, right=OTHER, behaviour=scripted(interim, interim)),
        Wish(name="c", served=third, right=third, behaviour=scripted(trailers)),
    )
    await bringing.brought()
    assert [name for name in "abc" if not bringing.reasons(name)] == []
