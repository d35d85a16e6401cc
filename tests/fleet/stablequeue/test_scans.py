"""The scan's counters, from what machines tell."""

from __future__ import annotations

import asyncio
import json

from tests.fleet.conftest import Join
from tests.fleet.stage import Client, files

AT = "/api/v1/models/scan"


async def begin(fleet: Client, join: Join, *machines: str) -> list[object]:
    players = []
    for machine in machines:
        player = join(machine)
        await player.begin(*files("a.pt"))
        players.append(player)
    for machine in machines:
        await fleet.until(f"/machines/{machine}", lambda body: body["machine"]["state"] == "live")
    return players


async def test_a_scan_is_idle_then_runs_and_one_that_was_stopped_says_so(fleet: Client, join: Join) -> None:
    assert (await fleet.get(AT))["state"] == "idle"
    await begin(fleet, join, "m1", "m2")
    given = await fleet.post(AT, {}, 202)
    state = await fleet.get(AT)
    assert (state["state"], state["order"], [each["state"] for each in state["machines"]]) == (
        "running", given["order"], ["waiting", "waiting"],
    )  # fmt: skip
    await fleet.post(f"{AT}/stop", None, 401, token=None)
    said = await fleet.post(f"{AT}/stop", None)
    assert said["message"] == "2 machines were asked to stop."
    assert (await fleet.get(AT))["state"] == "stopping"


async def test_what_is_live_is_said_once_for_each_change(fleet: Client, join: Join) -> None:
    await begin(fleet, join, "m1")
    async with asyncio.timeout(20), fleet.session.get(f"{fleet.url}{AT}/progress") as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        assert (await stream.content.readline()) == b"event: scan_complete\n"
        assert json.loads((await stream.content.readline())[6:])["state"] == "idle"
        await fleet.post(AT, {"machines": ["m1"]}, 202)
        await stream.content.readline()
        assert (await stream.content.readline()) == b"event: scan_progress\n"
        assert json.loads((await stream.content.readline())[6:])["stats"]["total"] == 1
