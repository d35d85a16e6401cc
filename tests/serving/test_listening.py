from __future__ import annotations

import os
import signal

import pytest
from aiohttp import web

from model_manager.errors import BadSetting
from model_manager.serving.listening import listening, until_signalled


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
