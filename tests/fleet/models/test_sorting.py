"""The order of lists, and their pages."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model_manager.fleet.models import sorting as module
from model_manager.fleet.models.sorting import ALL, SORTS, Chosen, Sorting, order_of, page_of
from model_manager.fleet.registry import number_of
from model_manager.serving.asking import Param
from model_manager.serving.problems import Answer
from tests.fleet.conftest import Join
from tests.fleet.made import hold
from tests.fleet.models.test_traits import Scene
from tests.fleet.stage import TOKEN, Client, files

CURSOR = Param(name="cursor", help="", kind="cursor")
ASKED: dict[str, Any] = {"sort": None, "descending": None}
ORDERS = [(sort, descending) for sort in ("name", *SORTS) for descending in (False, True)]


async def three(fleet: Client, join: Join) -> None:
    await join("m1").begin(*files("a.pt", size=5), *files("b.pt", size=9), *files("c.pt", size=5))
    await join("m2").begin(*files("c.pt", size=5))
    await fleet.until("/models", lambda body: body["total"] == 3 and body["items"][2]["machines"] == 2)


@pytest.mark.parametrize("path", ["/models", "/search"])
async def test_lists_are_shown_in_the_order_that_is_asked_for(fleet: Client, join: Join, path: str) -> None:
    await three(fleet, join)
    expected = {
        "sort=name": "abc", "sort=name&descending=true": "cba", "sort=size": "acb", "sort=size&descending=true": "bac",
        "sort=bytes&descending=true": "cba", "sort=copies": "abc", "sort=machines&descending=true": "cab",
        "sort=used&descending=true": "abc", "sort=added": "abc", "sort=size&q=c": "c", "sort=size&descending=false&single=true": "ab",
    }  # fmt: skip
    for asked, names in expected.items():
        found = await fleet.get(f"{path}?{asked}")
        assert "".join(row["name"][0] for row in found["items"]) == names, asked
        assert found["total"] == len(names)


async def test_what_a_filter_leaves_is_in_order_too(fleet: Client, join: Join) -> None:
    await three(fleet, join)
    for name in "ab":
        path = f"{fleet.url}/api/v1/models/{number_of(f'loras/{name}.pt')}/fields"
        told = {"civitai_model_base": "SDXL"}
        async with fleet.session.put(path, json=told, headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
            assert answer.status == 200
    found = await fleet.get("/models?base=SDXL&sort=size&descending=true")
    assert [row["name"] for row in found["items"]] == ["b.pt", "a.pt"]


@pytest.mark.parametrize("asked", ["sort=colour", "sort=", "descending=true", "sort=size&descending=yes"])
async def test_k9_an_order_that_is_none_is_refused(fleet: Client, asked: str) -> None:
    for path in ("/models", "/search"):
        await fleet.get(f"{path}?{asked}", 400)


async def test_k9_a_cursor_of_another_order_is_refused(fleet: Client, join: Join) -> None:
    await three(fleet, join)
    cursors = {
        asked: (await fleet.get(f"/models?limit=1&{asked}"))["next"] for asked in ("", "sort=size", "sort=bytes")
    }
    for asked, cursor in cursors.items():
        for other in cursors:
            same = asked == other
            await fleet.get(f"/models?limit=1&cursor={cursor}&{other}", 200 if same else 400)
    await fleet.get(f"/models?sort=size&descending=true&cursor={cursors['sort=size']}", 400)
    assert (await fleet.get(f"/models?sort=name&cursor={cursors['']}"))["total"] == 3


class Pages(Scene):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.sorting = Sorting(self.view, self.traits)

    async def chosen(self, sort: str, descending: bool) -> Chosen:
        asked = {"sort": sort, "descending": descending}
        await self.sorting.prepared(asked)
        await self.traits.current()
        chosen = self.sorting.ordered(self.view.order(), asked, ALL)
        return replace(chosen, places=list(chosen.places))  # it is brought up to date where it is


@pytest.mark.parametrize(("sort", "descending"), ORDERS)
async def test_pages_have_every_model_once_in_order(tmp_path: Path, sort: str, descending: bool) -> None:
    scene, chance = Pages(tmp_path), random.Random(5)
    for machine in range(3):
        held = [each for n in range(30) if chance.random() < 0.7 for each in files(f"{n}.pt", size=n % 4)]
        hold(scene.view, f"m{machine}", *held)
    for n in range(0, 30, 4):
        scene.registry.lore.learn(f"loras/{n}.pt", "", [], 0.0, f"2020-01-0{1 + n % 3}T00:00:00Z")
    for limit in (1, 7, 100):
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = page_of(await scene.chosen(sort, descending), cursor, limit, str)
            seen += page.items
            if page.next is None:
                break
            cursor = CURSOR.read(page.next)
        assert tuple(seen) == tuple((await scene.chosen(sort, descending)).places)
        assert sorted(seen) == list(scene.view.order())
    await scene.close()


@pytest.mark.parametrize(("sort", "descending"), ORDERS)
async def test_what_comes_and_goes_meanwhile_moves_no_page(tmp_path: Path, sort: str, descending: bool) -> None:
    scene = Pages(tmp_path)
    hold(scene.view, "m1", *(each for n in range(10, 40) for each in files(f"{n}.pt", size=n)))
    before = await scene.chosen(sort, descending)
    first = page_of(before, None, 10, str)
    gone, come = first.items[3:6], [f"{n}.pt" for n in (1, 99)]
    kept = [place for place in before.places if place not in gone]
    hold(scene.view, "m1", *(each for place in kept for n in [place[6:-3]] for each in files(f"{n}.pt", size=int(n))),
         *(each for name in come for each in files(name, size=int(name[:-3]))))  # fmt: skip
    assert first.next is not None
    second = page_of(await scene.chosen(sort, descending), CURSOR.read(first.next), 10, str)
    assert [place for place in second.items if place[6:] not in come][:5] == list(before.places[10:15])
    await scene.close()


async def test_what_changes_while_models_are_put_into_order_stands_where_it_belongs(tmp_path: Path) -> None:
    scene = Pages(tmp_path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "PIECE", 4)
        hold(scene.view, "m1", *(each for n in range(50) for each in files(f"{n}.pt", size=n)))
        await scene.traits.current()
        async with asyncio.TaskGroup() as group:
            making = group.create_task(scene.sorting.prepared({"sort": "size", "descending": True}))
            for turn in range(5):
                await asyncio.sleep(0)
                held = [each for n in range(turn, 52) for each in files(f"{n}.pt", size=(7 * n + turn) % 50)]
                hold(scene.view, "m1", *held)
                await scene.traits.current()
            await making
    found = await scene.chosen("size", True)
    rows = scene.view.rows()
    assert list(found.places) == sorted(rows, key=lambda place: (-rows[place].size, place))
    await scene.close()


def test_a_direction_of_nothing_is_refused() -> None:
    assert order_of(ASKED) is None
    assert order_of({"sort": "size", "descending": None}) == ("size", False)
    with pytest.raises(Answer, match="sort"):
        order_of({"sort": None, "descending": False})
