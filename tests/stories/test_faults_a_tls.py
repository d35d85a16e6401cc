"""A network that cuts, closes and bends connections over TLS, in the middle of records as it comes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from tests.stories.bringing import MODEL, STORED, TAIL, Bringing, Wish

pytestmark = pytest.mark.parametrize("origin", ["TLS"], indirect=True)

Ends = Callable[[asyncio.StreamWriter, bytes], bytes]
"""What becomes of the bytes behind a cut; it may end the connection."""


def reset(to: asyncio.StreamWriter, _rest: bytes) -> bytes:
    to.transport.abort()
    return b""


def close(to: asyncio.StreamWriter, _rest: bytes) -> bytes:
    """As if it were the end: TLS has not said goodbye."""
    to.close()
    return b""


def bend(_to: asyncio.StreamWriter, rest: bytes) -> bytes:
    return bytes([rest[0] ^ 1]) + rest[1:]


class Relay:
    """Between the machine and its origin; the nth connection that brings so much is cut behind the nth number of bytes."""

    def __init__(self, port: int, ready: Callable[[], bool], cuts: list[int], end: Ends) -> None:
        self._port, self._ready, self._cuts, self._end = port, ready, cuts, end
        self.done = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._up(reader, ours))
                both.create_task(self._down(theirs, writer))
        except* ConnectionError:
            pass  # one of the two sides has gone, and the other goes now
        finally:
            for side in (writer, ours):
                side.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came = 0
        while data := await reader.read(1 << 16):
            if self._cuts and came + len(data) > self._cuts[0]:
                at = self._cuts.pop(0) - came
                writer.write(data[:at])
                await writer.drain()
                while not self._ready():
                    await asyncio.sleep(0.01)
                self.done += 1
                data = self._end(writer, data[at:])
            if writer.is_closing():
                break
            came += len(data)
            writer.write(data)
            await writer.drain()
        await writer.wait_closed() if writer.is_closing() else None
        raise ConnectionResetError


@asynccontextmanager
async def relayed(bringing: Bringing, cuts: list[int], end: Ends) -> AsyncIterator[tuple[Relay, str]]:
    """A relay to the origin, and its address. The first cut waits until STORED bytes are on the disk."""
    relay = Relay(urlsplit(bringing.origin.url).port or 0, lambda: bringing.stored() >= STORED, cuts, end)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    try:
        yield relay, f"localhost:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.mark.parametrize("end", [reset, close, bend], ids=lambda end: end.__name__)
async def test_a1_b7_what_breaks_in_the_middle_of_a_record_goes_on_where_it_was(bringing: Bringing, end: Ends) -> None:
    """A reset, a close without goodbye, a bit that is not as it was sent: never an end, never a wrong byte, nothing paid twice."""
    dice = random.Random()
    cuts = [dice.randrange(5_000_000, 5_300_000) for _ in range(1)] + [
        dice.randrange(100_000, 600_000) for _ in range(3)
    ]
    told = str(cuts)
    async with relayed(bringing, cuts, end) as (relay, host):
        bringing.origin.put("/a.safetensors", MODEL)
        await bringing.bring(
            Wish(url=f"https://{host}/a.safetensors"), MODEL_MANAGER_ALLOW_HOSTS=f"{host},{bringing.origin.host}"
        )
        await bringing.brought()
        assert relay.done >= 2, told
        assert bringing.origin.sent["/a.safetensors"] <= len(MODEL) + relay.done * TAIL, told
