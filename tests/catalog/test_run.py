"""The catalog as a program."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import aiohttp
import pytest

from model_manager.catalog.run import AT_ONCE, _at_work, _warmed, opened, run, serve
from model_manager.catalog.server import Rules
from model_manager.catalog.storage.postgres_looking import CONNECTIONS
from model_manager.catalog.storage.sqlite import SqliteDatabase
from model_manager.errors import BadSetting, CatalogUnavailable
from model_manager.serving.listening import answered
from tests.catalog.conftest import fresh


async def _health(url: str) -> dict[str, object]:
    async with aiohttp.ClientSession(url) as session, session.get("/health") as response:
        return dict((await response.json())["data"])


async def test_a_missing_database_is_served_as_an_empty_catalog(tmp_path: Path) -> None:
    async with serve(tmp_path / "c.sqlite") as url:
        health = await _health(url)
    assert (health["state"], health["models"], health["workflows"], health["collections"]) == ("empty", 0, 0, 0)
    assert (tmp_path / "c.sqlite").is_file()


async def test_records_replace_what_was_there(tmp_path: Path) -> None:
    async with serve(tmp_path / "c.sqlite", records={"workflows": [{"name": "a"}, {"name": "b"}]}):
        pass
    async with serve(tmp_path / "c.sqlite", records={"workflows": [{"name": "c"}]}) as url:
        assert (await _health(url))["workflows"] == 1


async def test_an_address_that_is_taken_is_a_setting_to_correct(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadSetting, match=f"127.0.0.1:{port} cannot be listened on"):
            async with serve(tmp_path / "c.sqlite", port=port):
                pass


async def test_a_database_that_is_none_is_refused_before_anything_listens(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(BadSetting):
        async with serve(tmp_path / "c.sqlite"):
            pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_d8_it_stops_at_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    urls: list[str] = []

    def started(url: str) -> None:
        urls.append(url)
        os.kill(os.getpid(), number)

    async with asyncio.timeout(20):
        await run(tmp_path / "c.sqlite", "127.0.0.1", 0, rules=Rules(), started=started)
    with pytest.raises(aiohttp.ClientConnectionError):
        await _health(urls[0])


@pytest.mark.parametrize("readable", [True, False])
async def test_answers_come_whether_or_not_the_file_can_be_read_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readable: bool
) -> None:
    tried, told = asyncio.Event(), asyncio.Event()
    urls: list[str] = []

    async def warm(database: SqliteDatabase) -> None:
        tried.set()
        if not readable:
            raise CatalogUnavailable(host="the file", why="its disk fails", retry_after=1.0)
        await asyncio.Event().wait()

    def started(url: str) -> None:
        urls.append(url)
        told.set()

    monkeypatch.setattr(SqliteDatabase, "warm", warm)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(run(tmp_path / "c.sqlite", "127.0.0.1", 0, rules=Rules(), started=started))
        await told.wait()
        await tried.wait()
        assert (await _health(urls[0]))["models"] == 0
        os.kill(os.getpid(), signal.SIGTERM)


async def test_who_asks_first_waits_for_no_connection_to_the_database(postgres: str) -> None:
    async with (
        fresh(postgres) as url,
        opened(url) as store,
        _at_work(store, Rules()) as application,
        answered(application) as own,
    ):
        await _warmed(own)
        assert len(store.database._looking._free) == AT_ONCE == CONNECTIONS  # type: ignore[attr-defined]


async def test_an_address_that_is_taken_is_said_as_it_is_while_the_file_is_read(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(BadSetting, match="cannot be listened on"):
        await run(tmp_path / "c.sqlite", "127.0.0.1", taken.getsockname()[1], rules=Rules())
