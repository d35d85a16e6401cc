"""Origins that answer a resumed download wrongly: bytes of two objects never meet in one file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.stories.bringing import MODEL, OTHER, STORED, TAIL, Bringing, Wish
from tests.stories.machine import safetensors
from tests.stories.origin import CHUNK, Behaviour, Reply, Request, Thing, scripted


def part(first: int, total: str, headers: dict[str, str] | None = None) -> Behaviour:
    """A 206 that says it begins at `first` (of `total`), and does."""

    async def behave(request: Request, thing: Thing, reply: Reply) -> None:
        rest = thing.data[first:]
        said = {"Content-Range": f"bytes {first}-{len(thing.data) - 1}/{total}"} if total else {}
        known = {"ETag": str(thing.etag), "Content-Length": str(len(rest))}
        await reply.head(206, known | said | (headers or {}))
        await reply.body(rest)

    return behave


async def whole(request: Request, thing: Thing, reply: Reply) -> None:
    """A 200 with everything, whatever was asked."""
    await reply.head(200, {"Content-Length": str(len(thing.data)), "ETag": str(thing.etag)})
    await reply.body(thing.data)


async def test_b1_a_200_to_a_range_is_not_appended(bringing: Bringing) -> None:
    await bringing.bring(Wish(behaviour=scripted(bringing.cut(), whole)))
    await bringing.brought()
    first, second = bringing.starts()
    assert (first, second >= STORED) == (0, True)


async def test_b2_a_part_from_another_offset_is_thrown_away(bringing: Bringing) -> None:
    await bringing.bring(Wish(behaviour=scripted(bringing.cut(), part(0, str(len(MODEL))))))
    await bringing.brought()
    assert bringing.starts()[0::2] == [0, 0]
    assert any("bytes from 0 came where bytes from" in why for why in bringing.reasons())


async def test_b3_a_part_with_another_total_or_of_unknown_range_is_thrown_away(bringing: Bringing) -> None:
    async def longer(request: Request, thing: Thing, reply: Reply) -> None:
        await part(request.start, str(len(MODEL) + 4096))(request, thing, reply)

    async def silent(request: Request, thing: Thing, reply: Reply) -> None:
        await part(request.start, "")(request, thing, reply)

    await bringing.bring(
        Wish(name="a", behaviour=scripted(bringing.cut("a"), longer)),
        Wish(name="b", served=OTHER, right=OTHER, behaviour=scripted(bringing.cut("b"), silent)),
    )
    await bringing.brought()
    assert any("had 6000000 before" in why for why in bringing.reasons("a"))
    assert any("a part came that does not say which" in why for why in bringing.reasons("b"))
    assert [bringing.starts("a")[2], bringing.starts("b")[2]] == [0, 0]


async def test_b4_object_changes_mid_resume(bringing: Bringing) -> None:
    """Same length, new strong ETag, and no hash from the catalog: only If-Range tells. One origin ignores If-Range."""

    def swapping(name: str) -> Behaviour:
        async def behave(request: Request, thing: Thing, reply: Reply) -> None:
            await bringing.cut(name)(request, thing, reply)

        return behave

    async def lying(request: Request, thing: Thing, reply: Reply) -> None:
        await part(request.start, str(len(MODEL)))(request, thing, reply)

    await bringing.bring(
        Wish(name="a", right=OTHER, pinned=False, served=MODEL, behaviour=scripted(swapping("a"))),
        Wish(name="b", right=OTHER, pinned=False, served=MODEL, behaviour=scripted(swapping("b"), lying)),
    )
    await asyncio.gather(bringing.until_stored(STORED, "a"), bringing.until_stored(STORED, "b"))
    bringing.origin.things["/a.safetensors"] = bringing.origin.things["/b.safetensors"] = Thing.of(OTHER)
    await bringing.brought()
    assert bringing.starts("a")[1] >= STORED
    assert bringing.starts("b")[1] >= STORED
    assert any("the middle of another object came" in why for why in bringing.reasons("b"))


async def test_b5_object_changes_under_a_weak_etag_or_none(bringing: Bringing) -> None:
    third = safetensors(len(OTHER), 3)  # other bytes than a and b, or it would be linked to them
    await bringing.bring(
        Wish(name="a", right=OTHER, pinned=False, served=MODEL, etag='W/"x"', behaviour=scripted(bringing.cut("a"))),
        Wish(name="b", right=OTHER, pinned=False, served=MODEL, etag=None, behaviour=scripted(bringing.cut("b"))),
        Wish(name="c", right=third, served=MODEL, etag=None, behaviour=scripted(bringing.cut("c"))),
    )
    await asyncio.gather(*(bringing.until_stored(STORED, name) for name in "abc"))
    for name, data, etag in (("a", OTHER, 'W/"x"'), ("b", OTHER, None), ("c", third, None)):
        bringing.origin.things[f"/{name}.safetensors"] = Thing(data, etag)
    await bringing.brought()
    assert [bringing.starts(name) for name in "abc"] == [[0, 0]] * 3


def unended(wrong: Callable[[bytes], bytes] = lambda right: right) -> Behaviour:
    """All bytes in chunks, and the connection breaks where the last, empty chunk belongs. `wrong` spoils the first answer."""

    async def behave(request: Request, thing: Thing, reply: Reply) -> None:
        data = wrong(thing.data) if request.n == 1 else thing.data
        if request.start >= len(thing.data):
            await reply.honest(request, thing)
            return
        said = {"Content-Range": f"bytes {request.start}-{len(data) - 1}/*"} if request.start else {}
        known = {"Transfer-Encoding": "chunked", "ETag": str(thing.etag)}
        await reply.head(206 if request.start else 200, known | said)
        for at in range(request.start, len(data), CHUNK):
            piece = data[at : at + CHUNK]
            await reply.raw(f"{len(piece):x}\r\n".encode())
            await reply.body(piece)
            await reply.raw(b"\r\n")
        await asyncio.sleep(0.3)  # what is not read when the connection breaks is asked for again, which is also right

    return behave


async def test_b15_nothing_is_left_to_send(bringing: Bringing) -> None:
    """A partial of the whole length is hashed and finished; one that is longer, or has the wrong bytes, is thrown away."""
    third = safetensors(6_000_000, 13)

    def flipped(right: bytes) -> bytes:
        return right[:4_000_000] + bytes([right[4_000_000] ^ 1]) + right[4_000_001:]

    await bringing.bring(
        Wish(name="a", behaviour=unended()),
        Wish(name="b", served=OTHER, right=OTHER, behaviour=scripted(unended(lambda right: right + bytes(500_000)))),
        Wish(name="c", served=third, right=third, behaviour=scripted(unended(flipped))),
    )
    await bringing.brought()
    assert bringing.starts("a")[-1] == len(MODEL)
    assert bringing.origin.sent["/a.safetensors"] < len(MODEL) + TAIL
    assert bringing.starts("b")[-1] == 0
    assert bringing.starts("c")[-1] == 0
