from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from model_manager.agent.holdings.verifying import Verifying
from model_manager.agent.orders import obeying as module
from model_manager.agent.orders.obeying import Found, Hands, Obeying
from model_manager.bus.connection import connect
from model_manager.bus.keys import Keys
from model_manager.bus.orders import Received, ordered, send, settle
from model_manager.errors import BadOrder, BusUnavailable
from model_manager.facts.event import ModelChanged, OrderAnswered
from model_manager.facts.identity import MachineId
from model_manager.facts.order import STALE, Order
from tests.agent.stage import Stage, running, turns, until
from tests.bus.servers import Server
from tests.stories.machine import safetensors

SCAN, RELOAD = Order(id="s", what="scan"), Order(id="r", what="reload")
VERIFY = Order(id="v", what="verify")
DATA, ROTTEN = safetensors(5000), safetensors(5000, 9)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AGAIN", "BREATH", "LOOK"):
        monkeypatch.setattr(module, name, 0.01)


class Desk:
    """Where orders come in, and what the hands did."""

    def __init__(self, scene: Stage, *connections: Sequence[Sequence[Received] | BusUnavailable]) -> None:
        self.scene = scene
        self.connections = list(connections)
        self.settled: list[str] = []
        self.away = False
        self.scans = self.reloads = self.stops = 0
        self.replies: dict[str, bytes] = {}
        self.refusal = ""
        self.verifying = Verifying(scene.board, scene.shelves, scene.readers)
        hands = Hands(
            scan=self._scan,
            verify=self.verifying.ask,
            verified=lambda: self.verifying.finished,
            reload=self._reload,
            find=self._find,
            stop=self._stop,
        )
        self.obeying = Obeying(scene.board, scene.shelves, hands, self._orders, self._settle, self._reply)

    async def _find(self, order: Order, files: Sequence[str], missing: Sequence[str]) -> Found:
        return Found(
            body=f"{len(files)} {len(missing)}".encode(), files=len(files), why=self.refusal, refused=bool(self.refusal)
        )

    def _stop(self) -> None:
        self.stops += 1

    async def _reply(self, order: str, body: bytes) -> None:
        if self.away:
            raise BusUnavailable(why="away")
        self.replies[order] = body

    def _scan(self) -> None:
        self.scans += 1

    def _reload(self) -> str:
        self.reloads += 1
        return self.refusal

    async def _orders(self) -> AsyncIterator[tuple[Received, ...]]:
        for batch in self.connections.pop(0) if self.connections else ():
            if isinstance(batch, BusUnavailable):
                raise batch
            yield tuple(batch)
        await until(lambda: self.connections)
        raise BusUnavailable(why="the next connection")

    async def _settle(self, entries: Sequence[str]) -> None:
        if self.away:
            raise BusUnavailable(why="away")
        self.settled += entries

    async def answers(self) -> list[tuple[str, str]]:
        return [(each.order, each.state) for each in await self.scene.told(OrderAnswered)]

    async def until_answered(self, *answers: tuple[str, str]) -> None:
        async def answered() -> bool:
            return await self.answers() == list(answers)

        await until(answered)


def got(*orders: Order | BadOrder, age: float = 1.0) -> list[Received]:
    return [Received(f"{number}-0", age, order) for number, order in enumerate(orders, 1)]


async def test_a_reload_is_done_at_once_and_a_refused_one_says_why(scene: Stage) -> None:
    desk = Desk(scene, [got(RELOAD)])
    async with running(desk.obeying.run):
        await desk.until_answered(("r", "done"))
        desk.refusal = "a restart is needed"
        desk.connections.append([got(Order(id="r2", what="reload"))])
        await desk.until_answered(("r", "done"), ("r2", "refused"))
    assert (await scene.told(OrderAnswered))[1].why == "a restart is needed"
    assert (desk.reloads, desk.settled) == (2, ["1-0", "1-0"])


async def test_a_scan_is_done_when_one_that_began_after_it_has_ended(scene: Stage) -> None:
    board = scene.board
    board.scan_started, board.scan_finished = "now", ""
    desk = Desk(scene, [got(SCAN)])
    async with running(desk.obeying.run):
        await desk.until_answered(("s", "begun"))
        board.counters.scans += 1
        await turns()
        assert (await desk.answers(), desk.settled) == ([("s", "begun")], [])
        board.counters.scans += 1
        await desk.until_answered(("s", "begun"), ("s", "done"))
        await until(lambda: desk.settled == ["1-0"])
    assert desk.scans == 1


async def test_a_hundred_orders_of_a_kind_are_one_look_and_each_is_answered(scene: Stage) -> None:
    orders = [Order(id=f"o{number}", what="scan") for number in range(100)]
    desk = Desk(scene, [got(*orders)])
    async with running(desk.obeying.run):
        await until(lambda: desk.scans)
        scene.board.counters.scans += 1
        await until(lambda: len(desk.settled) == 100)
    assert desk.scans == 1
    assert sorted(await desk.answers()) == sorted((o.id, s) for o in orders for s in ("begun", "done"))


async def test_repeats_of_one_id_are_one_order_and_all_are_settled(scene: Stage) -> None:
    desk = Desk(scene, [got(SCAN, SCAN)], [got(SCAN)])
    async with running(desk.obeying.run):
        await until(lambda: not desk.connections)
        await desk.until_answered(("s", "begun"))
        scene.board.counters.scans += 1
        await until(lambda: {"1-0", "2-0"} <= set(desk.settled))
        desk.connections.append([got(SCAN)])
        await until(lambda: desk.settled[-1:] == ["1-0"] and len(desk.settled) >= 3)
    assert await desk.answers() == [("s", "begun"), ("s", "done")]
    assert desk.scans == 1


async def test_an_order_that_waited_too_long_is_dropped_and_told(scene: Stage) -> None:
    desk = Desk(scene, [got(SCAN, age=STALE + 1)])
    async with running(desk.obeying.run):
        await desk.until_answered(("s", "dropped"))
        await until(lambda: desk.settled == ["1-0"])
    assert desk.scans == 0


async def test_k10_what_cannot_be_read_is_told_under_its_id_if_it_has_one(scene: Stage, logged: list[str]) -> None:
    bad = [BadOrder(id="x", why="no such thing"), BadOrder(id="a\nb", why="its id")]
    desk = Desk(scene, [got(*bad), [Received("", 0.0, BadOrder(id="", why="a string stood there"))]])
    async with running(desk.obeying.run):
        await desk.until_answered(("x", "refused"))
        await until(lambda: desk.settled == ["1-0", "2-0"])
        await until(lambda: sum("cannot be read" in line for line in logged) == 3)
    assert not [line for line in logged if "\n" in line.strip()]


async def test_e1_an_outage_loses_no_order_and_does_none_twice(scene: Stage) -> None:
    away = BusUnavailable(why="refused")
    desk = Desk(scene, [away], [got(SCAN), away])
    desk.away = True
    async with running(desk.obeying.run):
        await desk.until_answered(("s", "begun"))
        scene.board.counters.scans += 1
        await desk.until_answered(("s", "begun"), ("s", "done"))
        desk.away = False
        desk.connections.append([got(SCAN)])
        await until(lambda: desk.settled == ["1-0"])
    assert (desk.scans, len(await desk.answers())) == (1, 2)


async def test_c12_a_verification_says_what_it_found(scene: Stage) -> None:
    held = await scene.holds("vae/a.safetensors", DATA)
    await scene.holds("vae/b.safetensors", DATA)
    await scene.holds("loras/new.safetensors", DATA, hashed=False, evidence=None)
    file = scene.put("vae/a.safetensors", ROTTEN)
    os.utime(file, ns=(held.fingerprint.mtime_ns, held.fingerprint.mtime_ns))
    desk = Desk(scene, [got(VERIFY)])
    async with running(desk.obeying.run, desk.verifying.run):
        await desk.until_answered(("v", "begun"), ("v", "done"))
    begun, done = await scene.told(OrderAnswered)
    assert (begun.files, done.files) == (2, 2)
    assert done.why == "1 not what they were: vae/a.safetensors; 1 not read yet, which comes by itself"
    assert not (await scene.told(ModelChanged))[0].models[0].verified


@pytest.mark.parametrize("name", ["vae/a.safetensors", "a.safetensors", "the path"])
async def test_a_file_is_called_by_its_path_or_by_its_name(scene: Stage, name: str) -> None:
    held = await scene.holds("vae/a.safetensors", DATA)
    await scene.holds("vae/b.safetensors", DATA)
    order = Order(id="v", what="verify", files=(held.file if name == "the path" else name, "loras/none.pt"))
    desk = Desk(scene, [got(order)])
    async with running(desk.obeying.run, desk.verifying.run):
        await desk.until_answered(("v", "begun"), ("v", "done"))
    done = (await scene.told(OrderAnswered))[1]
    assert (done.files, done.why) == (1, "1 not here: loras/none.pt")


async def test_a_verification_of_nothing_is_refused(scene: Stage) -> None:
    desk = Desk(scene, [got(Order(id="v", what="verify", files=("x",)))])
    async with running(desk.obeying.run):
        await desk.until_answered(("v", "refused"))
        await until(lambda: desk.settled == ["1-0"])
    assert (await scene.told(OrderAnswered))[0].why == "1 not here: x"


async def test_what_is_remembered_is_bounded(scene: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 3)
    desk = Desk(scene, [got(*(Order(id=f"o{number}", what="reload") for number in range(10)))])
    async with running(desk.obeying.run):
        await until(lambda: len(desk.settled) == 10)
    assert len(desk.obeying._known) <= 3


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server("valkey")
    yield made
    made.close()


@asynccontextmanager
async def listening(scene: Stage, redis: Redis) -> AsyncIterator[Desk]:
    desk, machine = Desk(scene), MachineId("m1")
    listen: Callable[[], Any] = lambda: ordered(redis, Keys(), machine, every=0.05)  # noqa: E731
    desk.obeying._orders = listen
    desk.obeying._settle = lambda entries: settle(redis, Keys(), machine, entries)
    async with running(desk.obeying.run):
        yield desk


async def test_a_flood_through_a_real_server_ends_with_an_empty_stream(scene: Stage, server: Server) -> None:
    redis, keys = connect(server.url), Keys()
    async with listening(scene, redis) as desk:
        for number in range(150):
            await redis.xadd(keys.orders("m1"), {"order": f"g{number}", "what": "?" * 100})
        await send(redis, keys, [MachineId("m1")], RELOAD)

        async def empty() -> bool:
            return await redis.xlen(keys.orders("m1")) == 0 and desk.reloads == 1

        await until(empty)
    assert ("r", "done") in await desk.answers()
    await redis.aclose()


async def test_what_is_found_is_replied_and_only_what_changed_something_is_told(scene: Stage) -> None:
    asked = Order(id="d", what="describe", files=("x.pt",))
    desk = Desk(scene, [got(asked, Order(id="x", what="remove", files=("x.pt",), options=frozenset({"confirm"})))])
    async with running(desk.obeying.run):
        await desk.until_answered(("x", "done"))
        await until(lambda: len(desk.settled) == 2)
    assert desk.replies == {"d": b"0 1", "x": b"0 1"}


async def test_a_reply_that_cannot_be_given_is_an_order_that_is_answered(scene: Stage) -> None:
    desk = Desk(scene, [got(Order(id="x", what="remove", files=("x.pt",)))])
    desk.refusal = "it is required"
    desk.away = True
    async with running(desk.obeying.run):
        await desk.until_answered(("x", "refused"))
    assert desk.replies == {}


async def test_a_stop_ends_the_scans_that_were_asked_for(scene: Stage) -> None:
    desk = Desk(scene, [got(SCAN), got(Order(id="e", what="stop"))])
    async with running(desk.obeying.run):
        await until(lambda: desk.stops)

        async def answered() -> bool:
            return sorted(await desk.answers()) == [("e", "done"), ("s", "begun"), ("s", "dropped")]

        await until(answered)
    assert (desk.stops, desk.scans) == (1, 1)
