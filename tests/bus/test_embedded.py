from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from redis import exceptions

from model_manager.bus import embedded
from model_manager.bus.connection import connect, translate
from model_manager.bus.embedded import EmbeddedServer
from model_manager.errors import BadSetting, BusUnavailable


async def said(url: str, *command: str) -> object:
    client = connect(url)
    try:
        return await client.execute_command(*command)
    finally:
        await client.aclose()


def processes(directory: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(directory) and "valkey" in process.name():
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


async def until_gone(directory: Path) -> None:
    async with asyncio.timeout(20):
        while processes(directory):
            await asyncio.sleep(0.02)


async def test_it_serves_on_a_private_socket_and_on_no_port(tmp_path: Path) -> None:
    directory = tmp_path / "redis"
    async with EmbeddedServer(directory) as url:
        assert await said(url, "SET", "a", "1")
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        (server,) = processes(directory)
        assert [each for each in server.net_connections("inet") if each.status == "LISTEN"] == []
        assert os.getsid(server.pid) == server.pid
    await until_gone(directory)


async def test_what_was_written_is_there_at_the_next_start(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path) as url:
        await said(url, "SET", "a", "1")
    async with EmbeddedServer(tmp_path) as url:
        assert await said(url, "GET", "a") == b"1"


async def test_d9_a_server_that_was_left_behind_is_adopted_and_stopped_with_us(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path) as first:
        await said(first, "SET", "a", "1")
        (before,) = processes(tmp_path)
        async with EmbeddedServer(tmp_path) as url:
            assert url == first
            assert [each.pid for each in processes(tmp_path)] == [before.pid]
        await until_gone(tmp_path)


async def test_d9_a_dead_socket_is_no_server(tmp_path: Path) -> None:
    (tmp_path / "valkey.sock").touch()
    async with EmbeddedServer(tmp_path) as url:
        assert await said(url, "PING")


async def test_it_is_started_again_when_it_dies(tmp_path: Path) -> None:
    server, heard = EmbeddedServer(tmp_path), []
    async with server as url, asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(server.keep(heard.append))
        (first,) = processes(tmp_path)
        first.kill()
        async with asyncio.timeout(20):
            while True:
                try:
                    assert await said(url, "PING")
                    break
                except (exceptions.RedisError, OSError):
                    await asyncio.sleep(0.02)
        keeping.cancel()
    assert heard == ["the embedded Valkey server had stopped"]
    await until_gone(tmp_path)


async def test_data_that_it_cannot_read_stand_aside(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path) as url:
        await said(url, "SET", "a", "1")
    for file in (tmp_path / "appendonlydir").iterdir():
        file.write_bytes(b"garbage\n")
    async with EmbeddedServer(tmp_path) as url:
        assert await said(url, "GET", "a") is None
    assert (tmp_path / "appendonlydir.unreadable").is_dir()


async def test_a_server_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_binary", lambda: Path("/bin/false"))
    with pytest.raises(BusUnavailable, match="does not start"):
        await EmbeddedServer(tmp_path).__aenter__()


async def test_a_directory_that_is_too_long_or_not_ours_is_a_bad_setting(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="too long"):
        await EmbeddedServer(tmp_path / ("x" * 100)).__aenter__()
    (tmp_path / "file").touch()
    with pytest.raises(BadSetting, match="directory"):
        await EmbeddedServer(tmp_path / "file" / "redis").__aenter__()


def test_a_platform_without_a_server_is_told_to_set_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    with pytest.raises(BadSetting, match="Set REDIS_URL"):
        embedded._binary()


HOLDER = """
import asyncio, sys
from pathlib import Path
from model_manager.bus.embedded import EmbeddedServer
async def main():
    async with EmbeddedServer(Path(sys.argv[1])):
        print("up", flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux")
async def test_it_dies_with_us_even_by_kill_9(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert await asyncio.to_thread(holder.stdout.readline) == b"up\n"
    assert len(processes(tmp_path)) == 1
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    await until_gone(tmp_path)


async def test_a_stop_when_it_is_gone_already_does_not_hang(tmp_path: Path) -> None:
    async with asyncio.timeout(20):
        async with EmbeddedServer(tmp_path) as url:
            for process in processes(tmp_path):
                process.send_signal(signal.SIGINT)
            await until_gone(tmp_path)
            with pytest.raises(BusUnavailable), translate():
                await said(url, "PING")
