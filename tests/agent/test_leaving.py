from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_manager.agent import leaving as module
from model_manager.agent.leaving import Leaving
from tests.agent.stage import until

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Exit codes instead of exits; and the signals of the test's own process as they were."""
    codes: list[int] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}
    monkeypatch.setattr(module.os, "_exit", codes.append)
    monkeypatch.setattr(module, "LEAVE", 3600)
    yield codes
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_d8_a_signal_asks_to_stop_however_often_it_comes(tmp_path: Path, number: int) -> None:
    leaving = Leaving(tmp_path / "ready.json")
    with leaving.listening():
        for _ in range(3):
            os.kill(os.getpid(), number)
        await asyncio.wait_for(leaving.asked.wait(), 10)
    os.kill(os.getpid(), number)
    await asyncio.sleep(0.01)


async def test_d8_a_hangup_reloads_and_does_not_stop(tmp_path: Path) -> None:
    leaving, rung = Leaving(tmp_path / "ready.json"), asyncio.Event()
    with leaving.listening():
        leaving.reload = rung.set
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.wait_for(rung.wait(), 10)
    assert not leaving.asked.is_set()


async def test_d8_whatever_hangs_the_readiness_is_withdrawn_and_we_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: list[int]
) -> None:
    ready = tmp_path / "ready.json"
    ready.write_text("{}")
    monkeypatch.setattr(module, "LEAVE", 0.02)
    Leaving(ready).ask()
    await until(lambda: ended)
    assert ended == [0]
    assert not ready.exists()


async def test_a_beginning_is_broken_off_without_a_complaint(tmp_path: Path) -> None:
    leaving = Leaving(tmp_path / "ready.json")
    asyncio.get_running_loop().call_later(0.01, leaving.ask)
    async with leaving.beginning():
        await asyncio.sleep(60)
    async with leaving.beginning():
        await asyncio.sleep(60)


async def test_a_timeout_that_is_not_ours_is_no_stop(tmp_path: Path) -> None:
    leaving = Leaving(tmp_path / "ready.json")
    with pytest.raises(TimeoutError):
        async with leaving.beginning():
            raise TimeoutError
    async with leaving.beginning():
        done = True
    assert done
