"""What happens to Redis, to machines and to the network, as the served fleet shows it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from model_manager.bus.connection import connect
from model_manager.bus.publishing import Bus, Busy, NeedsSnapshot
from model_manager.facts.event import AssignmentChanged
from model_manager.facts.identity import MachineId
from model_manager.serving import listening
from tests.bus.servers import Server
from tests.fleet.conftest import Join
from tests.fleet.stage import TOKEN, Client, Player, files, served, settings_for

EVIL = "<script>alert(1)</script>\n\x1b[2J'\"javascript:alert(1)"


@pytest.fixture
async def admin(own: Server) -> AsyncIterator[Redis]:
    client = connect(own.url)
    yield client
    await client.aclose()


def quick(own: Server, state: Path) -> Any:
    return served(settings_for(own.url, state, MODEL_MANAGER_HEARTBEAT_SECONDS="0.2"))


async def test_e2_a_hung_redis_holds_up_no_answer_and_is_caught_up_with(
    own: Server, admin: Redis, tmp_path: Path
) -> None:
    player = Player(admin, "m1")
    await player.begin(*files("a.safetensors"))
    async with quick(own, tmp_path) as client:
        await client.exact()
        own.freeze()
        try:
            for path in ("/fleet", "/machines", "/who-has?name=a.safetensors", "/metrics"):
                began = time.monotonic()
                async with client.session.get(client.url + path) as answer:
                    assert answer.status == 200
                assert time.monotonic() - began < 8, "it waited for Redis, which is given up after ten"
            await client.until("/machines", lambda body: body["items"][0]["state"] == "stale")
        finally:
            own.thaw()
        player.teller.appear(*files("b.safetensors"))
        await player.tell()
        await client.until("/who-has?name=b.safetensors", lambda body: body["total"] == 1)
        await client.exact()


async def test_e3_what_a_failover_lost_comes_again_and_nothing_flips(own: Server, admin: Redis, tmp_path: Path) -> None:
    player = Player(admin, "m1")
    await player.begin(*files("a.safetensors"))
    kept = {key: await admin.dump(key) for key in await admin.keys("*")}
    async with quick(own, tmp_path) as client:
        await client.exact()
        player.teller.appear(*files("b.safetensors"))
        await player.tell()
        await client.until("/machines/m1/models", lambda body: body["total"] == 2)
        await admin.flushall()
        for key, value in kept.items():
            await admin.restore(key, 0, value)
        answer = await player.bus.beat(player.teller.beat(), {})
        assert isinstance(answer, NeedsSnapshot)
        await player.bus.snapshot(player.teller.snapshot(), player.teller.entries)
        player.teller.appear(*files("c.safetensors"))
        await player.tell()
        found = await client.until("/machines/m1/models", lambda body: body["total"] == 3)
        assert [each["name"] for each in found["items"]] == ["a.safetensors", "b.safetensors", "c.safetensors"]


async def test_e4_a_flushed_redis_makes_nobody_vanish_and_all_come_back(
    own: Server, admin: Redis, tmp_path: Path
) -> None:
    players = [Player(admin, f"m{number}") for number in range(3)]
    for player in players:
        await player.begin(*files("a.safetensors"))
    async with quick(own, tmp_path) as client:
        await client.until("/machines?state=live", lambda body: body["total"] == 3)
        await admin.flushall()
        away = await client.until("/machines", lambda body: all(each["state"] != "live" for each in body["items"]))
        assert away["total"] == 3
        for player in players:
            await player.bus.beat(player.teller.beat(), {})
            await player.bus.snapshot(player.teller.snapshot(), player.teller.entries)
        await client.until("/machines?state=live", lambda body: body["total"] == 3)
        await client.until("/who-has?name=a.safetensors", lambda body: body["total"] == 3)


async def test_e5_a_full_redis_is_read_and_who_cannot_write_says_so(own: Server, admin: Redis, tmp_path: Path) -> None:
    await Player(admin, "m1").begin(*files("a.safetensors"))
    async with quick(own, tmp_path) as client:
        await client.exact()
        await admin.config_set("maxmemory", "1")
        problem = await client.post("/machines/m1/scan", {}, 503)
        assert "out of memory" in problem["detail"]
        assert (await client.get("/who-has?name=a.safetensors"))["total"] == 1
        await admin.config_set("maxmemory", "0")
        await client.post("/machines/m1/scan", {}, 202)


async def test_e6_e8_a_stream_that_is_none_is_said_and_the_view_stays(
    own: Server, admin: Redis, tmp_path: Path
) -> None:
    await Player(admin, "m1").begin(*files("a.safetensors"))
    async with quick(own, tmp_path) as client:
        await client.exact()
        await admin.set("model_manager:events", "garbage")
        await client.until("/health", lambda body: body["redis"]["away"] is not None)
        assert (await client.get("/models"))["total"] == 1
        await admin.delete("model_manager:events")
        await client.exact()


async def test_e7_a_password_that_was_changed_is_said_without_it_and_mends(
    own: Server, admin: Redis, tmp_path: Path
) -> None:
    await admin.execute_command("ACL", "SETUSER", "fleet", "on", ">hunter2", "~*", "&*", "+@all")
    await Player(admin, "m1").begin(*files("a.safetensors"))
    url = f"unix://fleet:hunter2@{own.socket}"
    async with served(settings_for(url, tmp_path, MODEL_MANAGER_HEARTBEAT_SECONDS="0.2")) as client:
        await client.exact()
        await admin.execute_command("ACL", "SETUSER", "fleet", "resetpass", ">changed")
        await admin.execute_command("CLIENT", "KILL", "USER", "fleet")
        health = await client.until("/health", lambda body: body["redis"]["away"] is not None)
        assert "hunter2" not in json.dumps(health)
        assert (await client.get("/models"))["total"] == 1
        await admin.execute_command("ACL", "SETUSER", "fleet", "resetpass", ">hunter2")
        await client.exact()


@pytest.mark.parametrize("kind", ["string", "json", "lie"])
async def test_e8_garbage_in_the_keys_of_one_machine_concerns_nobody_else(
    fleet: Client, join: Join, redis: Redis, kind: str
) -> None:
    player = join("m1")
    await player.begin(*files("a.safetensors"))
    await join("m2").begin(*files("a.safetensors"))
    await fleet.until("/who-has?name=a.safetensors", lambda body: body["total"] == 2)
    if kind == "string":
        for key in ("machine:m1:models", "machine:m1:model_manager", "machine:m1:model_progress"):
            await redis.set(key, "foo")
    else:
        broken = {"json": "{", "lie": '{"loras": [{"path": "/x"}]}'}[kind]
        await redis.hset("machine:m1:models", mapping={"models": broken, "epoch": "9" * 14, "digest": "zz"})
        await redis.hset("machine:m1:model_manager", "disks", "{")
        await redis.hset("machine:m1:model_progress", "total", "[")
    player.teller.restart()
    player.teller.outbox.clear()
    await redis.xadd("model_manager:events", {"machine_id": "m1", "epoch": "x", "kind": "\xff"})
    await fleet.until("/machines/m2", lambda body: body["machine"]["state"] == "live")
    assert (await fleet.get("/machines/m2/models"))["total"] == 1
    await fleet.get("/machines/m1")
    await fleet.get("/fleet")
    await fleet.until("/health", lambda body: body["state"] == "ok")


async def test_i5_a_second_installation_of_one_id_changes_nothing_that_is_shown(
    fleet: Client, join: Join, redis: Redis
) -> None:
    player = join("m1")
    await player.begin(*files("a.safetensors"))
    known = await fleet.until("/machines/m1", lambda b: b["machine"]["models"] == 1 and b["machine"]["state"] == "live")
    before = known["machine"]
    rival = Bus(redis, MachineId("m1"), "elsewhere", "", 10_000, 60.0)
    for _ in range(5):
        told = replace(player.teller.beat(), installation="elsewhere", host="rival", epoch=player.teller.epoch + 5)
        assert isinstance(await rival.beat(told, {}), Busy)
    after = (await fleet.get("/machines/m1"))["machine"]
    assert {name: after[name] for name in ("host", "epoch", "models")} == {
        name: before[name] for name in ("host", "epoch", "models")
    }


async def test_i6_l7_a_thousand_machines_with_clocks_of_their_own_and_records_of_a_later_release(
    own: Server, admin: Redis, tmp_path: Path
) -> None:
    teller = Player(admin, "m0").teller
    times = ("1970-01-01T00:00:00Z", "2099-12-31T23:59:59Z", "yesterday", "")
    model = {"path": "/m/a.pt", "folder": "vae", "name": "a.pt", "size": 5, "hash": "", "verified": False, "evidence": "", "mood": "good"}  # fmt: skip
    digest = "0" * 32
    await Player(admin, "sample").beat()
    lease: dict[Any, Any] = await admin.hgetall("machine:sample:model_manager")
    await admin.delete("machine:sample:model_manager", "model_manager:alive")
    until = (int((await admin.time())[0]) + 60) * 1000
    async with admin.pipeline(transaction=False) as pipe:
        for number in range(1_000):
            name = f"m{number}"
            said = {**lease, b"machine_id": name, b"at": times[number % 4], b"schema": "17", b"colour": "blue"}
            pipe.hset(f"machine:{name}:model_manager", mapping=said)
            pipe.zadd("model_manager:alive", {name: until})
            inventory = {
                "epoch": teller.epoch,
                "seq": 1,
                "digest": digest,
                "models": "{}",
                "last_updated": times[number % 4],
            }
            pipe.hset(f"machine:{name}:models", mapping=inventory)
        await pipe.execute()
    async with served(settings_for(own.url, tmp_path)) as client:
        await client.exact()
        counts = (await client.get("/fleet"))["machines"]
        assert (counts["total"], counts["live"], counts["unsure"]) == (1_000, 1_000, 0)
        later = {
            "machine_id": "m0",
            "instance": "i",
            "epoch": str(teller.epoch),
            "seq": "2",
            "at": "",
            "digest": digest,
        }
        await admin.xadd("model_manager:events", {**later, "kind": "model.dreamt_of", "data": json.dumps({"models": [model]}), "v": "9"})  # fmt: skip
        await client.until("/machines/m0", lambda body: body["machine"]["seq"] == 2 and not body["machine"]["unsure"])
        told = (await client.get("/events?after=0-0&kind=model.dreamt_of"))["items"]
        assert told[0]["data"]["models"][0]["mood"] == "good"


async def test_k8_k12_what_machines_say_is_data_and_no_page(fleet: Client, join: Join) -> None:
    player = join("m1")
    await player.begin(*files(f"{EVIL}.safetensors"))
    player.teller.tell(
        AssignmentChanged(
            generation="g", workflows=(EVIL,), collections=(EVIL,), models=(), required=0, problems=(EVIL,)
        )
    )
    await player.tell()
    await fleet.until("/machines/m1", lambda body: body["machine"]["seq"] == player.teller.seq)
    for path in (
        "/models",
        "/machines/m1",
        "/machines/m1/models",
        "/events?after=0-0",
        "/nowhere/<script>",
        "/metrics",
    ):
        async with fleet.session.get(fleet.url + path) as answer:
            text = await answer.text()
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
            assert answer.content_type in ("application/json", "application/problem+json", "text/plain")
            assert "\x1b" not in text
            assert answer.content_type == "text/plain" or "\n" not in text


async def test_k9_pages_of_others_read_and_write_nothing(fleet: Client) -> None:
    token = {"Authorization": f"Bearer {TOKEN}"}
    for headers in ({"Origin": "https://evil.test"}, {"Origin": "null"}, {"Host": "evil.test"}):
        for method, path in (("GET", "/machines"), ("POST", "/orders"), ("OPTIONS", "/orders")):
            async with fleet.session.request(method, fleet.url + path, headers={**token, **headers}) as answer:
                assert answer.status in (403, 405)
                assert "Access-Control-Allow-Origin" not in answer.headers
    for path in ("/orders", "/assignments", "/machines/m1/scan"):
        plain = token | {"Content-Type": "text/plain"}
        async with fleet.session.post(fleet.url + path, data=b'{"what": "scan", "all": true}', headers=plain) as answer:
            assert answer.status == 415


async def raw(client: Client, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(client.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(request)
    await writer.drain()
    return reader, writer


async def test_k9_a_body_of_a_gigabyte_is_refused_before_it_comes(fleet: Client) -> None:
    head = f"POST /orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    reader, writer = await raw(fleet, f"{head}Content-Length: 1000000000\r\n\r\n".encode() + b" " * 300_000)
    async with asyncio.timeout(20):
        assert b" 413 " in await reader.readline()
    writer.close()


async def test_k9_many_who_send_a_letter_at_a_time_hold_up_nobody_and_are_sent_away(
    shared: Server, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "IDLE_SECONDS", 0.5)
    async with served(settings_for(shared.url, tmp_path)) as client:
        slow = [await raw(client, b"GET /machines HTTP/1.1\r\nHost: loc") for _ in range(200)]
        await client.get("/machines")
        async with asyncio.timeout(60):
            assert await asyncio.gather(*(reader.read() for reader, _ in slow)) == [b""] * 200
        for _, writer in slow:
            writer.close()
