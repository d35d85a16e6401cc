"""Notices over HTTP: the history in pages, and live."""

from __future__ import annotations

import asyncio
from pathlib import Path

from model_manager.facts.notice import Rule
from model_manager.fleet.notices.bulletin import Bulletin
from model_manager.fleet.notices.ledger import Said
from tests.fleet.alarms import scene
from tests.fleet.conftest import Join
from tests.fleet.stage import Client, files

NEW = {"name": "new ones", "kind": "model.appeared", "gather": 0, "cooldown": 0}


async def based(fleet: Client, join: Join) -> None:
    """A machine, and a rule that knows what it holds."""
    await join("m1").begin(*files("old.pt"))
    await fleet.until("/models", lambda body: body["total"] == 1)
    made = await fleet.post("/notifications/rules", NEW, 201)
    for _ in range(2):
        await fleet.post(f"/notifications/rules/{made['rule']['id']}/test", {})


async def heard(fleet: Client, headers: dict[str, str], count: int) -> list[str]:
    """Ids, as they come."""
    found: list[str] = []
    async with asyncio.timeout(20), fleet.session.get(f"{fleet.url}/notifications/stream", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        async for line in answer.content:
            if line.startswith(b"id: "):
                found.append(line.decode().split()[1])
                if len(found) == count:
                    break
    return found


async def test_the_history_is_read_in_pages_and_by_what_is_asked(fleet: Client, join: Join) -> None:
    await based(fleet, join)
    page = await fleet.get("/notifications?limit=1")
    assert ([each["id"] for each in page["items"]], page["before"]) == ([2], 2)
    assert [each["id"] for each in (await fleet.get("/notifications?before=2"))["items"]] == [1]
    assert [each["id"] for each in (await fleet.get("/notifications?after=1"))["items"]] == [2]
    assert (await fleet.get("/notifications?kind=disk.low"))["items"] == []
    assert (await fleet.get("/notifications?delivery=none"))["items"][0]["edge"] == "test"


async def test_a_listener_goes_on_where_it_was_cut_off(fleet: Client, join: Join) -> None:
    await based(fleet, join)
    assert await heard(fleet, {"Last-Event-ID": "0"}, 2) == ["1", "2"]
    async with asyncio.TaskGroup() as group:
        live = group.create_task(heard(fleet, {"Last-Event-ID": "1"}, 2))
        (rule,) = (await fleet.get("/notifications/rules"))["items"]
        await fleet.post(f"/notifications/rules/{rule['id']}/test", {})
    assert live.result() == ["2", "3"]


async def test_a_header_that_is_no_number_of_ours_is_refused(fleet: Client) -> None:
    await fleet.get("/notifications/stream", 400, {"Last-Event-ID": "1-0"})


async def test_what_is_too_old_goes(tmp_path: Path) -> None:
    async with scene(tmp_path) as stage:
        rule = Rule(id="r", name="n", kind="disk.low")
        for _ in range(2):
            await stage.ledger.tell(Said(rule=rule, edge="test", text="", count=0, subjects=()))
            stage.now.seconds += 86_400
        bulletin = Bulletin(stage.ledger, 1.5)
        await bulletin._forget()
        assert [each.id for each in await stage.ledger.notices(0, 9)] == [2]
