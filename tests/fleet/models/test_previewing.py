"""Pictures through the aggregator: one order for many, bounded, and never anything but a picture."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Any

from model_manager.facts.order import MOST_SHOWN, Order
from model_manager.fleet.models.previewing import EMPTY, Pictures
from model_manager.fleet.registry import number_of
from tests.bus.servers import Server
from tests.fleet.conftest import Join
from tests.fleet.made import Now
from tests.fleet.replying import described, replying
from tests.fleet.stage import Client, files

PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 100


def shown(data: bytes) -> Any:
    return lambda order: described(order, preview=b64encode(data).decode(), why="")


def at(name: str) -> str:
    return f"/api/v1/models/{number_of(f'loras/{name}')}/preview"


async def live(fleet: Client, join: Join, *names: str) -> None:
    await join("m1").begin(*files(*names))
    await fleet.until("/machines/m1", lambda body: body["machine"]["state"] == "live")
    await fleet.until("/search", lambda body: body["total"] == len(names))


async def test_a_page_of_pictures_costs_few_orders_and_the_second_look_none(
    fleet: Client, join: Join, shared: Server
) -> None:
    names = [f"{number}.pt" for number in range(30)]
    await live(fleet, join, *names)

    async def get(name: str) -> bytes:
        async with fleet.session.get(fleet.url + at(name)) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.read()

    async with replying(shared.url, "m1", shown(PNG)) as heard:
        assert set(await asyncio.gather(*map(get, names))) == {PNG}
        pictures = [order for order in heard if order.options]
        assert max(len(order.files) for order in pictures) == MOST_SHOWN
        assert len(pictures) < len(names) / 2
        assert await get("7.pt") == PNG
        assert len([order for order in heard if order.options]) == len(pictures)
    async with fleet.session.get(fleet.url + at("7.pt")) as answer:
        tag = answer.headers["ETag"]
    async with fleet.session.get(fleet.url + at("7.pt"), headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304


async def test_k8_whatever_a_machine_sends_a_page_is_never_given_on(fleet: Client, join: Join, shared: Server) -> None:
    bad = (b"<html><script>1</script>", b"<?xml version='1.0'?><svg/>", b"")
    await live(fleet, join, *(f"{number}.pt" for number in range(len(bad) + 2)))
    for number, data in enumerate(bad):
        async with replying(shared.url, "m1", shown(data)):
            await fleet.get(at(f"{number}.pt"), 404)
    async with replying(shared.url, "m1", lambda order: described(order, preview="%%%")):
        await fleet.get(at("3.pt"), 404)
    async with replying(shared.url, "m1", lambda _: b"\xff\0"):
        await fleet.get(at("4.pt"), 409)


async def test_nobody_is_asked_for_what_nobody_holds(fleet: Client, join: Join) -> None:
    await fleet.get(at("none.pt"), 404)
    await fleet.post("/api/v1/servers/forge-1/models/sync", {"models": ["loras/a.pt"]})
    assert "No machine that lives" in (await fleet.get(at("a.pt"), 404))["detail"]


class Shelf:
    """A registry of one machine."""

    view: Any = None

    def sha256(self, place: str) -> str:
        return ""

    def holders(self, place: str) -> dict[str, Any]:
        return {"m1": [type("Copy", (), {"path": f"/models/{place}"})]}


class Machine:
    def __init__(self) -> None:
        self.asked = 0

    def holder(self, machines: Any, number: int) -> str:
        return "m1"

    async def ask(self, machine_id: str, what: str, files: Any, options: Any) -> Any:
        self.asked += 1
        return described(Order(id="d", what="describe", files=tuple(files)), preview=b64encode(PNG).decode())


async def test_l6_pictures_take_no_more_room_than_they_may() -> None:
    machine, room = Machine(), 3 * (len(PNG) + EMPTY)
    shelf: Any = Shelf()
    asking: Any = machine
    pictures = Pictures(shelf, asking, Now(), room)
    for number in range(10):
        assert (await pictures.of(f"loras/{number}")).type == "image/png"
    assert [number for number in range(10) if pictures.known(f"loras/{number}")] == [7, 8, 9]
    await pictures.of("loras/9")
    assert machine.asked == 10
    pictures.forget("loras/9")
    await pictures.of("loras/9")
    assert machine.asked == 11
