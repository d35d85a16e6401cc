from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from model_manager.catalog import beside as module
from model_manager.catalog.beside import leading, led

SAYS = "import os, sys; open(sys.argv[1], 'a').write(f'{os.getpid()} {sys.argv[2]}\\n'); sys.stdin.read()"
"""It notes its process and what it was told, and ends with whoever began it."""


async def noted(file: Path, count: int) -> list[tuple[int, str]]:
    async with asyncio.timeout(30):
        while True:
            lines = file.read_text().splitlines() if file.exists() else []
            if len(lines) >= count:
                return [(int(pid), url) for pid, url in (line.split() for line in lines)]
            await asyncio.sleep(0.02)


async def gone(pid: int) -> None:
    async with asyncio.timeout(30):
        while Path(f"/proc/{pid}").exists():
            await asyncio.sleep(0.02)


async def test_each_is_told_the_address_is_started_again_and_ends_with_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    file = tmp_path / "noted"
    commands = [lambda url: (sys.executable, "-c", SAYS, str(file), url)] * 2
    async with leading(commands, os.environ)("http://127.0.0.1:9", asyncio.Event()):
        first, second = await noted(file, 2)
        assert {first[1], second[1]} == {"http://127.0.0.1:9"}
        os.kill(first[0], signal.SIGKILL)
        third = (await noted(file, 3))[2]
        assert third[0] not in (first[0], second[0])
    await gone(second[0])
    await gone(third[0])


async def test_who_is_led_stops_when_the_leader_is_gone() -> None:
    reading, writing = os.pipe()
    before = os.dup(0)
    os.dup2(reading, 0)
    try:
        stop = asyncio.Event()
        async with led("", stop):
            await asyncio.sleep(0)
            assert not stop.is_set()
            os.close(writing)
            async with asyncio.timeout(10):
                await stop.wait()
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(reading)


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
    """What one process takes in, every connection finds, whichever process has it."""
    record = {"id": "m", "name": "m.safetensors", "saveTo": "models/vae", "downloadUrl": "https://a.example/m"}
    mine = {"Authorization": "Bearer 12345678"}
    async with (
        aiohttp.ClientSession(url) as session,
        session.post("/models", json=record, headers=mine) as answer,
    ):
        assert answer.status in (200, 201), await answer.text()
    for _ in range(20):
        async with aiohttp.ClientSession(url) as session, session.get("/models/name/m.safetensors") as answer:
            assert answer.status == 200
