from __future__ import annotations

import asyncio

import pytest

from model_manager.errors import Corrupt, OriginUnavailable
from model_manager.facts.model import Source
from model_manager.sources.memory import Drop, Fail, Fine, FlakyOrigin, Flip, Hang, Surplus, Swap, Thing

URL = "http://memory/x"
DATA = bytes(range(256)) * 1000


async def read(origin: FlakyOrigin, **where) -> bytes:
    async with origin.open("x", Source(url=URL), **where) as stream:
        return b"".join([chunk async for chunk in stream.chunks()])


def flaky(*script) -> FlakyOrigin:
    return FlakyOrigin({URL: Thing(data=DATA, etag='"one"')}, script)


async def test_the_script_is_played_once_and_then_all_is_well():
    origin = flaky(Drop(after=1000), Fine())
    with pytest.raises(OriginUnavailable):
        await read(origin)
    assert await read(origin) == DATA
    assert await read(origin) == DATA
    assert origin.opened == [(URL, 0)] * 3


async def test_what_went_over_is_counted():
    origin = flaky(Drop(after=1000))
    with pytest.raises(OriginUnavailable):
        await read(origin)
    await read(origin, start=1000, validator='"one"')
    assert origin.sent == len(DATA)


async def test_a_failure_is_raised_as_it_is():
    error = OriginUnavailable(host="memory", name="x", why="it answered 429", retry_after=3)
    with pytest.raises(OriginUnavailable) as caught:
        await read(flaky(Fail(error=error)))
    assert caught.value is error


async def test_b16_a_flipped_byte_comes_under_the_right_length():
    data = await read(flaky(Flip(at=70_000)))
    assert len(data) == len(DATA)
    assert [at for at in range(len(data)) if data[at] != DATA[at]] == [70_000]


async def test_b4_a_swapped_object_starts_over():
    origin = flaky(Swap(thing=Thing(data=b"new", etag='"two"')))
    assert await read(origin, start=2, validator='"one"') == b"new"


async def test_b6_surplus_bytes_are_corrupt():
    with pytest.raises(Corrupt):
        await read(flaky(Surplus(extra=1)))


async def test_a2_a_hanging_body_hangs_until_somebody_loses_patience():
    async with flaky(Hang(after=70_000)).open("x", Source(url=URL)) as stream:
        chunks = stream.chunks()
        assert await anext(chunks) + await anext(chunks) == DATA[:70_000]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(chunks), 0.05)
