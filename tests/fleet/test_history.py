"""Events in pages and live: without a hole, and honest where there is one."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from model_manager.bus.connection import connect
from model_manager.facts.event import DownloadStarted, Envelope, Unknown
from model_manager.fleet import history, telling
from tests.bus.servers import Server
from tests.fleet.conftest import Join
from tests.fleet.stage import Client, Player, files, served, settings_for

STARTED = DownloadStarted(folder="vae", name="a.safetensors", url="", total=5, resumed_at=0, attempt=1)


async def heard(answer: aiohttp.ClientResponse, count: int) -> list[tuple[str, str, Any]]:
    """(id, event, data) of the next events."""
    found: list[tuple[str, str, Any]] = []
    fields: dict[str, str] = {}
    async with asyncio.timeout(20):
        while len(found) < count:
            line = (await answer.content.readline()).decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
                fields = {}
    return found


async def test_events_come_live_with_their_place_in_the_stream(fleet: Client, join: Join) -> None:
    async with fleet.session.get(f"{fleet.url}/events/stream") as answer:
        assert answer.content_type == "text/event-stream"
        assert await answer.content.readline() == b"retry: 2000\n"
        await join("m1").begin(*files("a.safetensors"))
        events = await heard(answer, 3)
    assert [kind for _, kind, _ in events] == ["machine.hello", "model.appeared", "inventory.snapshot"]
    identity, _, body = events[1]
    assert (body["id"], body["machine_id"], body["seq"]) == (identity, "m1", 2)
    assert body["data"]["models"][0]["name"] == "a.safetensors"


async def test_who_hears_of_an_event_finds_it_in_the_view(fleet: Client, join: Join) -> None:
    machine = join("m1")
    await machine.begin()
    await fleet.until("/machines", lambda body: body["total"] == 1)
    async with fleet.session.get(f"{fleet.url}/events/stream?kind=model.appeared") as answer:
        await answer.content.readline()
        for number in range(20):
            machine.teller.appear(*files(f"{number}.safetensors"))
            await machine.tell()
            await heard(answer, 1)
            assert (await fleet.get(f"/who-has?name={number}.safetensors"))["total"] == 1


@pytest.mark.parametrize("kept", [telling.KEPT, 1], ids=["from memory", "from Redis"])
async def test_e9_a_listener_goes_on_where_it_was_cut_off(
    kept: int, shared: Server, join: Join, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "KEPT", kept)
    machine = join("m1")
    async with served(settings_for(shared.url, tmp_path)) as fleet:
        await fleet.exact()
        await machine.begin()
        first = (await fleet.until("/events?limit=1000", lambda body: len(body["items"]) == 2))["items"][0]["id"]
        for number in range(30):
            machine.teller.appear(*files(f"{number}.safetensors"))
        await machine.tell()
        async with fleet.session.get(f"{fleet.url}/events/stream", headers={"Last-Event-ID": first}) as answer:
            events = await heard(answer, 31)
            machine.teller.appear(*files("after.safetensors"))
            await machine.tell()
            events += await heard(answer, 1)
    assert [body["seq"] for _, _, body in events] == list(range(2, 34))


async def test_e9_what_was_trimmed_is_said_to_be_lost(fleet: Client, join: Join, redis: Redis) -> None:
    machine = join("m1")
    await machine.begin()
    for number in range(5):
        machine.teller.appear(*files(f"{number}.safetensors"))
    await machine.tell()
    body = await fleet.until("/events?limit=1000", lambda body: len(body["items"]) == 7)
    await redis.xtrim("model_manager:events", minid=body["items"][5]["id"], approximate=False)
    async with fleet.session.get(f"{fleet.url}/events/stream", headers={"Last-Event-ID": "1-0"}) as answer:
        gap, *events = await heard(answer, 3)
    assert gap[1] == "gap"
    assert gap[2]["lost"] is True
    assert [body["seq"] for _, _, body in events] == [6, 7]


async def test_history_is_paged_and_filtered(fleet: Client, join: Join) -> None:
    for name in ("m1", "m2"):
        await join(name).begin(*files("a.safetensors"))
    await fleet.until("/events?limit=1000", lambda body: len(body["items"]) == 6)
    seen, after = [], "0-0"
    while True:
        page = await fleet.get(f"/events?after={after}&limit=2")
        if not page["items"]:
            break
        seen += [(each["machine_id"], each["seq"]) for each in page["items"]]
        after = page["next"]
    assert seen == [(name, seq) for name in ("m1", "m2") for seq in (1, 2, 3)]
    rare = await fleet.get("/events?after=0-0&machine_id=m2&kind=machine.hello")
    assert [(each["machine_id"], each["kind"]) for each in rare["items"]] == [("m2", "machine.hello")]
    last = await fleet.get("/events?limit=1&kind=model.appeared")
    assert [each["machine_id"] for each in last["items"]] == ["m2"]
    await fleet.get("/events?after=nonsense", 400)


async def test_history_is_read_backwards_to_its_beginning(fleet: Client, join: Join) -> None:
    for name in ("m1", "m2"):
        await join(name).begin(*files("a.safetensors"))
    await fleet.until("/events?limit=1000", lambda body: len(body["items"]) == 6)
    seen: list[tuple[str, int]] = []
    page = await fleet.get("/events?limit=2")
    while page["items"]:
        assert page["next"] == page["items"][-1]["id"]
        seen[:0] = [(each["machine_id"], each["seq"]) for each in page["items"]]
        if page["older"] is None:
            break
        page = await fleet.get(f"/events?limit=2&before={page['older']}")
    assert seen == [(name, seq) for name in ("m1", "m2") for seq in (1, 2, 3)]
    assert (await fleet.get("/events?limit=1000"))["older"] is None
    await fleet.get("/events?before=nonsense", 400)
    both = await fleet.get("/events?before=9-9&after=0-0", 400)
    assert "'before' cannot be given together with 'after'" in both["detail"]


async def test_what_is_rare_is_found_far_back_and_a_look_that_was_not_enough_says_where_it_ended(
    fleet: Client, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("m1", "m2"):
        await join(name).begin(*files("a.safetensors"))
    await fleet.until("/events?limit=1000", lambda body: len(body["items"]) == 6)
    monkeypatch.setattr(history, "AT_ONCE", 2)
    found = await fleet.get("/events?machine_id=m1&kind=machine.hello")
    assert [(each["machine_id"], each["kind"]) for each in found["items"]] == [("m1", "machine.hello")]
    assert found["older"] is None
    monkeypatch.setattr(history, "SCANNED", 2)
    monkeypatch.setattr(history, "LOOKS", 1)
    short = await fleet.get("/events?machine_id=m1&kind=machine.hello")
    assert short["items"] == []
    again = await fleet.get(f"/events?machine_id=m1&kind=machine.hello&before={short['older']}")
    last = await fleet.get(f"/events?machine_id=m1&kind=machine.hello&before={again['older']}")
    assert (again["items"], [each["kind"] for each in last["items"]]) == ([], ["machine.hello"])


async def test_what_was_told_of_one_model_is_found_alone_and_among_others(fleet: Client, join: Join) -> None:
    machine = join("m1")
    await machine.begin(*files("a.safetensors", "b.safetensors"))
    machine.teller.tell(replace(STARTED, folder="loras"))
    machine.teller.tell(STARTED)
    machine.teller.vanish(*files("b.safetensors"))
    await machine.tell()
    await fleet.until("/events?limit=1000", lambda body: len(body["items"]) == 6)
    told = await fleet.get("/events?model=loras%2Fa.safetensors")
    assert [each["kind"] for each in told["items"]] == ["model.appeared", "model.download.started"]
    forward = await fleet.get("/events?model=loras%2Fb.safetensors&after=0-0")
    assert [each["kind"] for each in forward["items"]] == ["model.appeared", "model.vanished"]
    assert (await fleet.get("/events?model=loras%2Fc.safetensors"))["items"] == []


async def test_a_redis_that_is_away_is_no_empty_past(own: Server, tmp_path: Path) -> None:
    async with served(settings_for(own.url, tmp_path)) as fleet:
        await fleet.exact()
        own.kill()
        problem = await fleet.get("/events?before=9-9", 503)
        assert "Redis" in problem["detail"]


async def test_a_stream_header_that_is_no_id_is_refused(fleet: Client) -> None:
    problem = await fleet.get("/events/stream", 400, headers={"Last-Event-ID": "x"})
    assert "Last-Event-ID" in problem["detail"]


async def test_l7_without_redis_lately_told_events_come_from_memory(own: Server, tmp_path: Path) -> None:
    redis = connect(own.url)
    async with served(settings_for(own.url, tmp_path)) as client:
        await client.exact()
        await Player(redis, "m1").begin(*files("a.safetensors"))
        body = await client.until("/events?limit=10", lambda body: len(body["items"]) == 3)
        await client.until("/machines", lambda body: body["items"] and body["items"][0]["models"] == 1)
        own.kill()
        await client.until("/health", lambda body: body["state"] == "away")
        later = await client.get(f"/events?after={body['items'][0]['id']}")
        assert [each["seq"] for each in later["items"]] == [2, 3]
        problem = await client.get("/events?after=1-0", 503)
        assert problem["detail"].startswith("Redis is not available")
    await redis.aclose()


async def test_one_listener_too_many_is_told_so(fleet: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "LISTENERS", 1)
    async with fleet.session.get(f"{fleet.url}/events/stream") as answer:
        assert answer.status == 200
        assert (await fleet.get("/events/stream", 503))["type"].endswith("too-many-listeners")


async def test_who_is_too_slow_is_sent_away_with_a_word(
    fleet: Client, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "BEHIND", 0)
    async with fleet.session.get(f"{fleet.url}/events/stream") as answer:
        await answer.content.readline()
        await join("m1").begin()
        assert [kind for _, kind, _ in await heard(answer, 1)] == ["behind"]
        assert await answer.content.read() == b""


def test_k12_a_kind_of_a_stranger_breaks_no_line() -> None:
    evil = Unknown(kind="a\ndata: {}\n\n", data={"text": "\x1b[2J\n"})
    told = Envelope(machine_id="m", instance="i", epoch=1, seq=1, at="", digest="", event=evil)
    frame = history._frame("1-0", told)
    assert frame.count(b"\n") == 4
    assert frame.endswith(b"\n\n")
