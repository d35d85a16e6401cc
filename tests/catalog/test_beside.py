from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from model_manager.catalog import beside as module
from model_manager.catalog.beside import Dealing, Where, leading, led
from model_manager.errors import BadSetting

HERE = Where("127.0.0.1", 0, "PORT")
SAYS = """
import os, socket, sys
leader = socket.socket(fileno=0)
open(sys.argv[1], "a").write(f"{os.getpid()}\\n")
leader.send(b"r")
while True:
    told, found, _, _ = socket.recv_fds(leader, 1, 1)
    if not told:
        break
    with socket.socket(fileno=found[0]) as connection:
        connection.send(str(os.getpid()).encode())
"""
"""It notes its process, answers each connection with it, and ends with whoever began it."""


class Own(asyncio.Protocol):
    """Answers each connection with our own process."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(str(os.getpid()).encode())
        transport.close()


async def noted(file: Path, count: int) -> list[int]:
    async with asyncio.timeout(30):
        while True:
            lines = file.read_text().splitlines() if file.exists() else []
            if len(lines) >= count:
                return [int(pid) for pid in lines]
            await asyncio.sleep(0.02)


async def gone(pid: int) -> None:
    async with asyncio.timeout(30):
        while Path(f"/proc/{pid}").exists():
            await asyncio.sleep(0.02)


async def answering(url: str) -> int:
    """Which process answers the next connection."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    async with asyncio.timeout(30):
        told = await reader.read()
    writer.close()
    return int(told)


async def shared(url: str, processes: set[int]) -> None:
    """Wait until all of these have their share."""
    async with asyncio.timeout(30):
        while {await answering(url) for _ in range(len(processes))} != processes:
            await asyncio.sleep(0.02)


async def test_each_takes_its_turn_is_started_again_and_ends_with_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    file = tmp_path / "noted"
    commands = [(sys.executable, "-c", SAYS, str(file))] * 2
    async with leading(commands, os.environ)(Own, HERE, asyncio.Event()) as url:
        first, second = await noted(file, 2)
        await shared(url, {os.getpid(), first, second})
        assert Counter([await answering(url) for _ in range(30)]) == {os.getpid(): 10, first: 10, second: 10}
        os.kill(first, signal.SIGKILL)
        third = (await noted(file, 3))[2]
        assert third not in (first, second)
        await shared(url, {os.getpid(), third, second})
    await gone(second)
    await gone(third)


async def test_a_process_that_takes_nothing_any_more_is_passed_over() -> None:
    ours, theirs = socket.socketpair()
    dealing = Dealing(Own)
    with ours, theirs, dealing.to(ours):
        ours.setblocking(False)
        theirs.close()
        for _ in range(4):
            one, other = socket.socketpair()
            with one:
                await dealing._dealt(other)
                async with asyncio.timeout(10):
                    assert await asyncio.get_running_loop().sock_recv(one, 20) == str(os.getpid()).encode()


async def test_an_address_that_is_taken_is_a_setting_to_correct() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadSetting, match=f"PORT: 127.0.0.1:{port} cannot be listened on"):
            async with leading((), {})(Own, Where("127.0.0.1", port, "PORT"), asyncio.Event()):
                pass


async def test_who_is_led_answers_what_it_is_dealt_and_stops_when_the_leader_is_gone() -> None:
    leader, ours = socket.socketpair()
    before = os.dup(0)
    os.dup2(ours.fileno(), 0)
    try:
        stop = asyncio.Event()
        async with led(Own, HERE, stop), asyncio.timeout(10):
            assert leader.recv(1) == b"r"
            one, other = socket.socketpair()
            socket.send_fds(leader, [b"c"], [other.fileno()])
            other.close()
            one.setblocking(False)
            assert await asyncio.get_running_loop().sock_recv(one, 20) == str(os.getpid()).encode()
            one.close()
            assert not stop.is_set()
            leader.close()
            await stop.wait()
    finally:
        os.dup2(before, 0)
        os.close(before)
        ours.close()


async def test_three_processes_serve_one_catalog_and_none_survives_a_kill_of_the_first(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("model-manager")
    environ = {
        **os.environ,
        "MODEL_MANAGER_STATE_DIR": str(tmp_path),
        "MODEL_MANAGER_CATALOG_PROCESSES": "3",
        "MODEL_MANAGER_CATALOG_TOKENS": "ann=12345678",
    }
    environ.pop("DATABASE_URL", None)
    process = await asyncio.create_subprocess_exec(
        program, "catalog", "serve", "--port", "0", env=environ, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            url = (await process.stderr.readline()).decode().split()[-1]
            others = await _children(process.pid, 2)
            await _served_by_all(url)
    finally:
        process.kill()
        await process.wait()
    for each in others:
        await gone(each)


async def _children(pid: int, count: int) -> list[int]:
    while True:
        found = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        if len(found) >= count:
            return found
        await asyncio.sleep(0.05)


async def _served_by_all(url: str) -> None:
    """What one process takes in, every connection finds, whichever process has it; until each of them was asked."""
    record = {"id": "m", "name": "m.safetensors", "saveTo": "models/vae", "downloadUrl": "https://a.example/m"}
    mine = {"Authorization": "Bearer 12345678"}
    machine = {"machine_id": "m1", "tokens": ["HF_TOKEN"]}
    async with (
        aiohttp.ClientSession(url) as session,
        session.post("/models", json=record, headers=mine) as answer,
        session.post("/models/validate-auth", json=machine) as told,
    ):
        assert (answer.status, told.status) == (201, 200), await answer.text()
    asked: set[str] = set()
    while len(asked) < 3:
        async with aiohttp.ClientSession(url) as session:
            async with session.get("/models/name/m.safetensors") as answer:
                assert answer.status == 200
            async with session.get("/models/validate-auth?machine_id=m1") as answer:
                assert (await answer.json())["data"]["asked"] == "m1"
            async with session.get("/metrics") as answer:
                asked.add(_process(await answer.text()))


def _process(metrics: str) -> str:
    return next(line for line in metrics.splitlines() if line.startswith("model_manager_catalog_process{"))
