"""Changes, as they come and as they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import orjson
import pytest

from model_manager.catalog.incoming.loading import load
from model_manager.catalog.storage import writing

from .conftest import RECORDS, Client, asking, model

Event = tuple[str, str, dict[str, object]]


@asynccontextmanager
async def listening(client: Client, **headers: str) -> AsyncIterator[AsyncIterator[Event]]:
    """(id, event, data) as they come."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    timeout = aiohttp.ClientTimeout(total=60)
    async with client.session.get("/changes/stream", headers=sent, timeout=timeout) as response:
        assert response.status == 200
        yield _events(response.content)


async def _events(stream: aiohttp.StreamReader) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in stream:
        if line.strip():
            name, _, value = line.decode().strip().partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield fields["id"], fields["event"], orjson.loads(fields["data"])
            fields = {}


async def test_changes_are_told_from_a_cursor_on_and_only_once(each_client: Client) -> None:
    begin = (await each_client.data("/changes"))["next"]
    await each_client.put("/models/a", model("a.pt"))
    await each_client.put("/workflows/w", {"name": "w", "models": ["a.pt"]})
    first = await each_client.data(f"/changes?since={begin}&limit=1")
    assert [(each["kind"], each["action"], each["id"]) for each in first["changes"]] == [("model", "created", "a")]
    assert (first["more"], first["gap"]) == (True, False)
    rest = await each_client.data(f"/changes?since={first['next']}")
    assert [each["name"] for each in rest["changes"]] == ["w"]
    assert (await each_client.data(f"/changes?since={rest['next']}"))["changes"] == []
    assert "who" not in rest["changes"][0]


async def test_a_cursor_of_another_database_or_of_the_future_is_a_gap(each_client: Client) -> None:
    now = (await each_client.data("/changes"))["next"]
    epoch, _, seq = now.partition("-")
    for cursor in (f"00000000-{seq}", f"{epoch}-{int(seq) + 5}"):
        answer = await each_client.data(f"/changes?since={cursor}")
        assert (answer["gap"], answer["next"], answer["changes"]) == (True, now, [])


async def test_who_listens_hears_of_a_change_at_once(client: Client) -> None:
    async with asyncio.timeout(30), listening(client) as events:
        assert (await anext(events))[1] == "here"
        await client.put("/models/a", model("a.pt"))
        cursor, event, told = await anext(events)
        assert (event, told["id"], told["cursor"]) == ("change", "a", cursor)


async def test_who_comes_back_hears_what_was_missed(client: Client) -> None:
    cursor = (await client.data("/changes"))["next"]
    await client.put("/models/a", model("a.pt"))
    async with asyncio.timeout(30), listening(client, Last_Event_ID=cursor) as events:
        assert (await anext(events))[2]["id"] == "a"
    async with asyncio.timeout(30), listening(client, Last_Event_ID="00000000-1") as events:
        assert (await anext(events))[1] == "gap"
    async with client.session.get("/changes/stream", headers={"Last-Event-ID": "x"}) as refused:
        assert refused.status == 400


async def test_what_another_process_writes_is_heard_too(tmp_path: Path) -> None:
    file = tmp_path / "c.sqlite"
    async with asking(file, RECORDS) as client, asyncio.timeout(30), listening(client) as events:
        await anext(events)
        await load(file, {"workflows": [{"name": "late"}]})
        assert (await anext(events))[2]["name"] == "late"


async def test_whoever_listens_is_sent_home_when_the_server_stops(tmp_path: Path) -> None:
    async with asyncio.timeout(30):
        session = aiohttp.ClientSession()
        async with asking(tmp_path / "c.sqlite", RECORDS) as client:
            url = str(client.session._base_url)
            response = await session.get(f"{url.rstrip('/')}/changes/stream")
            await response.content.readline()
        assert isinstance(await response.content.read(), bytes)
        await session.close()


async def test_only_so_many_changes_are_kept_and_who_comes_later_is_told_of_the_gap(
    address: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "SWEEP", 1)
    async with asking(address, RECORDS, kept=4) as each_client:
        await _only_the_last_four_are_kept(each_client)


async def _only_the_last_four_are_kept(each_client: Client) -> None:
    begin = (await each_client.data("/changes"))["next"]
    for n in range(8):
        await each_client.put(f"/models/m{n}", model(f"{n}.pt"))
    answer = await each_client.data(f"/changes?since={begin}")
    assert (answer["gap"], answer["changes"]) == (True, [])
    epoch, _, seq = answer["next"].partition("-")
    kept = await each_client.data(f"/changes?since={epoch}-{int(seq) - 4}")
    assert (kept["gap"], [each["id"] for each in kept["changes"]]) == (False, ["m4", "m5", "m6", "m7"])
    assert len((await each_client.ask("GET", "/audit?limit=1000"))[1]["data"]) == 4
