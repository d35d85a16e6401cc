from __future__ import annotations

import asyncio
import os
import signal

import pytest
from aiohttp import web

from model_manager.errors import BadSetting
from model_manager.serving.listening import answered, doors, listening, until_signalled


async def test_an_address_that_is_taken_is_a_setting_to_correct() -> None:
    async with listening(web.Application(), "127.0.0.1", 0, "PORT") as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(BadSetting, match=f"PORT: 127.0.0.1:{port} cannot be listened on"):
            async with listening(web.Application(), "127.0.0.1", port, "PORT"):
                pass


async def test_an_address_of_ipv6_is_written_in_brackets() -> None:
    try:
        async with listening(web.Application(), "::1", 0, "PORT") as url:
            assert url.startswith("http://[::1]:")
    except BadSetting:
        pytest.skip("there is no IPv6 here")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_d8_a_signal_ends_the_waiting(number: signal.Signals) -> None:
    with until_signalled() as stop:
        os.kill(os.getpid(), number)
        await stop.wait()


async def test_nobody_takes_in_what_comes_to_doors_until_somebody_does() -> None:
    async with doors("127.0.0.1", 0, "PORT") as (url, (door,)), answered(web.Application()) as answering:
        loop = asyncio.get_running_loop()
        door.setblocking(False)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        connection, _ = await loop.sock_accept(door)
        await loop.connect_accepted_socket(answering, connection)
        async with asyncio.timeout(10):
            assert (await reader.read()).startswith(b"HTTP/1.1 404 ")
        writer.close()


async def test_doors_that_are_taken_are_a_setting_to_correct() -> None:
    async with doors("127.0.0.1", 0, "PORT") as (url, _):
        port = int(url.rpartition(":")[2])
        with pytest.raises(BadSetting, match=f"PORT: 127.0.0.1:{port} cannot be listened on"):
            async with doors("127.0.0.1", port, "PORT"):
                pass
