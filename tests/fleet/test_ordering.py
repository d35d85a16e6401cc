from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from model_manager.bus.keys import Keys
from model_manager.bus.orders import ordered
from model_manager.facts.event import OrderAnswered
from model_manager.facts.identity import MachineId
from model_manager.facts.order import STALE, Order
from model_manager.fleet import ordering as module
from model_manager.fleet.ordering import Ordering
from tests.bus.servers import Server
from tests.bus.telling import Teller
from tests.fleet.conftest import Join
from tests.fleet.made import Now, looked, told, view
from tests.fleet.stage import Client, Player, served, settings_for


async def received(redis: Redis, machine_id: str) -> list[Any]:
    async with asyncio.timeout(20):
        return [each.order for each in await anext(ordered(redis, Keys(), MachineId(machine_id), every=0.05))]


async def joined(fleet: Client, join: Join, *names: str) -> list[Player]:
    players = [join(name) for name in names]
    for player in players:
        await player.begin()
    await fleet.until("/machines", lambda body: body["total"] == len(names))
    return players


def answer(order: str, state: str, **more: Any) -> OrderAnswered:
    return OrderAnswered(**{"order": order, "what": "scan", "state": state, "files": 0, "why": ""} | more)


async def test_a_machine_is_asked_and_its_answers_are_seen(fleet: Client, join: Join, redis: Redis) -> None:
    (m1,) = await joined(fleet, join, "m1")
    given = await fleet.post("/machines/m1/verify", {"order": "mine", "files": ["loras/a.pt"]}, 202)
    assert given == {"order": "mine", "what": "verify", "machines": ["m1"]}
    assert await received(redis, "m1") == [Order(id="mine", what="verify", files=("loras/a.pt",))]
    status = await fleet.get("/orders/mine")
    assert (status["counts"]["waiting"], status["items"][0]["state"]) == (1, "waiting")
    m1.teller.tell(answer("mine", "begun", files=1))
    m1.teller.tell(answer("mine", "done", files=1, why="1 not what they were: loras/a.pt"))
    await m1.tell()
    status = await fleet.until("/orders/mine", lambda body: body["counts"]["done"] == 1)
    assert status["items"][0]["why"] == "1 not what they were: loras/a.pt"
    assert status["files"] == ["loras/a.pt"]


async def test_without_a_body_the_order_gets_an_id(fleet: Client, join: Join, redis: Redis) -> None:
    await joined(fleet, join, "m1")
    headers = {"Authorization": "Bearer a-token-for-writes"}
    async with fleet.session.post(f"{fleet.url}/machines/m1/scan", headers=headers) as got:
        body = await got.json()
        assert got.status == 202
    assert [each.id for each in await received(redis, "m1")] == [body["order"]]


async def test_a_group_is_asked_whole_or_not_at_all_and_all_are_those_that_are_there(
    fleet: Client, join: Join, redis: Redis
) -> None:
    players = await joined(fleet, join, "m1", "m2", "m3")
    await fleet.post("/orders", {"what": "scan", "machines": ["m1", "m9"]}, 404)
    assert await received(redis, "m1") == []
    await players[2].bye()
    await fleet.until("/machines?state=away", lambda body: body["total"] == 1)
    given = await fleet.post("/orders", {"what": "reload", "all": True, "order": "x"}, 202)
    assert given["machines"] == ["m1", "m2"]
    assert await received(redis, "m2") == [Order(id="x", what="reload")]
    assert await received(redis, "m3") == []


async def test_the_same_id_is_the_same_order_and_nothing_else(fleet: Client, join: Join) -> None:
    await joined(fleet, join, "m1")
    for _ in range(2):
        await fleet.post("/machines/m1/scan", {"order": "x"}, 202)
    problem = await fleet.post("/machines/m1/reload", {"order": "x"}, 409)
    assert "another id" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "'order' and 'what'"),
        ({"what": "explode", "machines": ["m1"]}, "none of scan, verify, reload"),
        ({"what": "scan", "machines": ["m1"], "files": ["x"]}, "without files"),
        ({"what": "verify", "machines": ["m1"], "files": "x"}, "no list of names"),
        ({"what": "scan"}, "'machines' must be a list"),
        ({"what": "scan", "machines": []}, "1 to 1000"),
        ({"what": "scan", "all": "yes"}, "true or false"),
        ({"what": "scan", "all": True, "machines": ["m1"]}, "exclude each other"),
        ({"what": "scan", "machines": ["m1"], "order": "a b"}, "its id"),
        ({"what": "scan", "machines": ["m1"], "order": 5}, "are texts"),
        ({"what": "scan", "machines": ["m1"], "mode": "add"}, "unknown fields: mode"),
    ],
)  # fmt: skip
async def test_what_is_misspelt_is_refused_whole(
    fleet: Client, join: Join, redis: Redis, body: dict[str, Any], word: str
) -> None:
    await joined(fleet, join, "m1")
    body = body or {"machines": ["m1"]}
    problem = await fleet.post("/orders", body, 400)
    assert word.lower() in problem["detail"].lower()
    assert await received(redis, "m1") == []


async def test_nobody_to_ask_is_said(fleet: Client) -> None:
    await fleet.post("/orders", {"what": "scan", "all": True}, 404)
    await fleet.get("/orders/unheard", 404)


async def test_orders_need_the_token(fleet: Client) -> None:
    for path in ("/orders", "/machines/m1/scan", "/machines/m1/verify", "/machines/m1/reload"):
        await fleet.post(path, {"what": "scan", "all": True}, 401, token="wrong")
        await fleet.get(path, 405)


async def test_e1_while_redis_is_away_nothing_is_promised(own: Server, tmp_path: Any) -> None:
    from model_manager.bus.connection import connect

    async with served(settings_for(own.url, tmp_path)) as client:
        redis = connect(own.url)
        await Player(redis, "m1").begin()
        await client.until("/machines", lambda body: body["total"] == 1)
        await redis.aclose()
        own.kill()
        await client.post("/machines/m1/scan", {}, 503)


def made(now: Now) -> tuple[Ordering, list[Order]]:
    seen, sent = view(now), list[Order]()
    seen.heard(looked(Teller("m1").beat(), Teller("m2").beat()))

    async def send(machines: Any, order: Order) -> None:
        sent.append(order)

    return Ordering(seen, send, now), sent


def asked(order: str) -> dict[str, Any]:
    return {"order": order, "cursor": None, "limit": 100}


async def test_who_does_not_take_it_up_in_time_has_dropped_it() -> None:
    now = Now()
    ordering, _ = made(now)
    await ordering.many({"what": "scan", "machines": ["m1", "m2"], "order": "x"})
    teller = Teller("m2")
    ordering.hear(told([teller.tell(answer("x", "begun"))]))
    now.seconds += STALE + 1
    states = {each.machine_id: each.state for each in (await ordering.status(asked("x"))).items}
    assert states == {"m1": "dropped", "m2": "begun"}


async def test_a_stream_that_repeats_itself_takes_nothing_back() -> None:
    ordering, _ = made(Now())
    await ordering.one("m1", "scan", {"order": "x"})
    teller = Teller("m1")
    begun, done = teller.tell(answer("x", "begun")), teller.tell(answer("x", "done"))
    ordering.hear(told([begun, done, begun]))
    assert (await ordering.status(asked("x"))).items[0].state == "done"


async def test_answers_to_orders_of_others_are_known_too_and_what_is_remembered_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 2)
    ordering, _ = made(Now())
    teller = Teller("m1")
    ordering.hear(told([teller.tell(answer(f"o{number}", "done")) for number in range(5)]))
    assert (await ordering.status(asked("o4"))).total == 1
    assert len(ordering._placed) == 2
