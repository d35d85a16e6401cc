from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model_manager.bus.assignments import Pushed, pushed
from model_manager.bus.connection import connect
from model_manager.bus.keys import Keys
from model_manager.bus.orders import ordered, settle
from model_manager.facts.event import OrderAnswered
from model_manager.facts.identity import MachineId
from model_manager.facts.model import Assignment
from model_manager.facts.order import Order
from tests.bus.telling import Teller
from tests.cli.conftest import Call
from tests.cli.fleetful import Fleetful
from tests.fleet.stage import TOKEN, Player


@pytest.fixture(scope="module")
def fleetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleetful]:
    with Fleetful(tmp_path_factory.mktemp("state")) as fleet:
        yield fleet


@pytest.fixture(params=["over HTTP", "from Redis"])
def way(request: pytest.FixtureRequest, fleetful: Fleetful, bare: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Both ways must do the same."""
    if request.param == "over HTTP":
        monkeypatch.setenv("MODEL_MANAGER_FLEET_TOKEN", TOKEN)
        return ["--url", fleetful.url]
    monkeypatch.setenv("REDIS_URL", fleetful.redis)
    return []


class Obedient:
    """A machine that answers every order in one way, as a process of its own would."""

    def __init__(self, url: str, name: str, state: str, epoch: int) -> None:
        self.url, self.name, self.state = url, name, state
        self.heard: list[Order] = []
        self.teller = Teller(name, epoch)
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        redis, machine = connect(self.url), MachineId(self.name)
        player = Player(redis, self.name)
        player.teller = self.teller
        await player.begin()
        async for received in self._orders(redis, machine):
            for each in received:
                assert isinstance(each.order, Order)
                self.heard.append(each.order)
                answer = OrderAnswered(
                    order=each.order.id, what=each.order.what, state=self.state, files=0, why="so\x1b[2J"
                )
                self.teller.tell(answer)
                await player.tell()
                await settle(redis, Keys(), machine, [each.entry])
        await redis.aclose()

    async def _orders(self, redis, machine) -> AsyncIterator:
        async for received in ordered(redis, Keys(), machine, every=0.05):
            if self._over.is_set():
                return
            yield received

    def __enter__(self) -> Obedient:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


EPOCHS = iter(range(1_800_000_000_000, 1_900_000_000_000))


@contextmanager
def obedient(fleetful: Fleetful, state: str = "done") -> Iterator[Obedient]:
    with Obedient(fleetful.redis, "m1", state, next(EPOCHS)) as machine:
        yield machine


def test_an_order_is_carried_out_and_said(call: Call, way: list[str], fleetful: Fleetful) -> None:
    with obedient(fleetful) as m1:
        code, out, _ = call("fleet", "verify", "m1", "--file", "loras/a.safetensors", *way)
    assert code == 0
    assert out.splitlines()[1].split()[:2] == ["m1", "done"]
    assert "\x1b" not in out
    assert [(each.what, each.files) for each in m1.heard] == [("verify", ("loras/a.safetensors",))]


def test_a_refusal_is_said_and_a_code(call: Call, way: list[str], fleetful: Fleetful) -> None:
    with obedient(fleetful, "refused"):
        code, out, err = call("fleet", "reload", "m1", *way)
    assert (code, out.splitlines()[1].split()[:2]) == (65, ["m1", "refused"])
    assert "1 of 1 machines did not do it" in err


def test_who_does_not_answer_is_said_and_goes_on(call: Call, way: list[str]) -> None:
    code, out, err = call("fleet", "scan", "m2", "--wait", "0.1", *way)
    assert (code, out.splitlines()[1].split()) == (75, ["m2", "waiting"])
    assert "they go on" in err
    code, out, _ = call("fleet", "scan", "--all", "--wait", "0", "--json", *way)
    assert (code, [each["machine_id"] for each in json.loads(out)["items"]]) == (0, ["m1", "m2"])


def test_an_unknown_machine_and_nobody_are_refused(call: Call, way: list[str]) -> None:
    assert call("fleet", "scan", "m9", *way)[0] == 65
    code, _, err = call("fleet", "scan", *way)
    assert code == 65
    assert "--all" in err


def test_a_group_is_assigned(call: Call, way: list[str], fleetful: Fleetful) -> None:
    name = "by-http" if way else "by-redis"
    code, out, _ = call("fleet", "assign", "m1", "m2", "--workflow", name, "--replace", *way)
    assert (code, out) == (0, "assigned to m1, m2\n")

    async def first() -> object:
        redis = connect(fleetful.redis)
        try:
            return await anext(pushed(redis, Keys(), MachineId("m2")))
        finally:
            await redis.aclose()

    assert asyncio.run(first()) == Pushed(Assignment(workflows=(name,)), "replace")
    assert call("fleet", "assign", "m1", *way)[0] == 65


def test_without_the_token_nothing_is_written(call: Call, fleetful: Fleetful, tmp_path: Path) -> None:
    code, _, err = call("fleet", "scan", "m1", "--url", fleetful.url)
    assert code == 65
    assert "MODEL_MANAGER_FLEET_TOKEN" in err
