"""The change feed of a catalog, as it is read."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from model_manager.errors import CatalogUnavailable
from model_manager.sources.catalog_feed import MAX_EVENT, Heard, heard

HERE = b"id: e-1\nevent: here\ndata: {}\n\n"


async def read(*pieces: bytes) -> list[Heard]:
    async def arriving() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return [each async for each in heard(arriving(), "catalog:80")]


def change(data: bytes) -> bytes:
    return b"id: e-2\nevent: change\ndata: " + data + b"\n\n"


async def test_however_it_is_cut_it_says_the_same() -> None:
    stream = (
        b": here\n\nretry: 5\n\n"
        + HERE
        + change(b'{"kind":"workflow","id":"w1","name":"w"}')
        + b"id: e-3\nevent: gap\ndata: {}\n\n"
    )
    whole = await read(stream)
    assert whole == [
        Heard(cursor="e-1", subjects=frozenset()),
        Heard(cursor="e-2", subjects=frozenset({"w1", "w"})),
        Heard(cursor="e-3", subjects=None),
    ]
    assert await read(*(stream[at : at + 1] for at in range(len(stream)))) == whole
    assert await read(stream.replace(b"\n", b"\r\n")) == whole


async def test_an_import_or_an_unknown_kind_may_be_anything() -> None:
    for data in (b'{"kind":"catalog","id":""}', b'{"kind":"licence","id":"x"}', b"[]", b'{"kind":"model","id":5}'):
        assert (await read(change(data)))[0].subjects is None


async def test_events_of_a_later_version_are_passed_over() -> None:
    assert await read(b"id: e-1\nevent: weather\ndata: {}\n\n", HERE) == [Heard(cursor="e-1", subjects=frozenset())]


@pytest.mark.parametrize(
    "stream",
    [
        b"event: here\ndata: {}\n\n",
        b"id: " + b"x" * 101 + b"\nevent: here\ndata: {}\n\n",
        b"id: \xff\nevent: here\ndata: {}\n\n",
        change(b"{"),
        b"x" * (MAX_EVENT + 1),
    ],
    ids=["no cursor", "long cursor", "no text", "no JSON", "endless"],
)
async def test_f3_what_is_no_feed_of_ours_is_refused(stream: bytes) -> None:
    with pytest.raises(CatalogUnavailable):
        await read(stream)
