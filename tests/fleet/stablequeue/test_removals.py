"""Removing through the aggregator: who is asked for which file, and what becomes of it."""

from __future__ import annotations

from typing import Any

from model_manager.facts.order import Order
from tests.bus.servers import Server
from tests.fleet.conftest import Join
from tests.fleet.replying import replying
from tests.fleet.stage import TOKEN, Client, files

PATH = "/api/v1/models/delete-from-disk"
NAMED = {"local_path": "/models/loras/", "filename": "a.pt"}


def gone(order: Order) -> dict[str, Any]:
    dry = "confirm" not in order.options
    return {
        "files": [{"type": "model", "path": each} for each in order.files],
        "refused": [],
        "missing": [],
        "bytes": 5,
        "dry": dry,
        "until": "" if dry else "2026-01-08T00:00:00+00:00",
    }


async def delete(fleet: Client, body: Any, status: int = 200, token: str | None = TOKEN) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with fleet.session.delete(fleet.url + PATH, json=body, headers=headers) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)


async def live(fleet: Client, join: Join, *machines: str) -> None:
    for machine in machines:
        await join(machine).begin(*files("a.pt"), *files("a.pt", folder="vae"))
        await fleet.until(f"/machines/{machine}", lambda body: body["machine"]["state"] == "live")
    await fleet.until("/search", lambda body: body["total"] == 2 and body["items"][0]["machines"] == len(machines))


async def test_every_machine_is_asked_for_its_own_path_and_only_by_confirm_to_do_it(
    fleet: Client, join: Join, shared: Server
) -> None:
    await live(fleet, join, "m1", "m2")
    async with replying(shared.url, "m1", gone) as one, replying(shared.url, "m2", gone) as two:
        said = await delete(fleet, NAMED)
        assert (said["dry_run"], len(said["deletedFiles"]), said["bytes"], said["modelRemovedFromDatabase"]) == (
            True,
            2,
            10,
            False,
        )
        assert [(each.what, each.files, each.options) for each in (*one, *two)] == [
            ("remove", ("/models/loras/a.pt",), frozenset())
        ] * 2
        done = await delete(fleet, {**NAMED, "confirm": True, "force": True, "machines": ["m2"]})
        assert (done["dry_run"], done["modelRemovedFromDatabase"], len(one)) == (False, False, 1)
        assert two[-1].options == {"confirm", "force"}
        await fleet.post("/api/v1/models/restore", {"order": done["order"]})
        assert (two[-1].what, two[-1].files, len(one)) == ("restore", (done["order"],), 1)


async def test_what_a_machine_refuses_stands_among_the_errors_and_its_words_on_one_line(
    fleet: Client, join: Join, shared: Server
) -> None:
    await live(fleet, join, "m1")
    refused = {"files": [], "refused": [{"path": "/models/loras/a.pt", "why": "required\n\x1b[31m"}], "bytes": 0}
    async with replying(shared.url, "m1", lambda _: refused):
        said = await delete(fleet, {**NAMED, "confirm": True})
    assert (said["deletedFiles"], said["modelRemovedFromDatabase"]) == ([], False)
    assert said["errors"][0]["why"].isprintable()


async def test_k9_what_cannot_be_meant_or_has_no_token_removes_nothing(
    fleet: Client, join: Join, shared: Server
) -> None:
    await live(fleet, join, "m1")
    async with replying(shared.url, "m1", gone) as heard:
        await delete(fleet, NAMED, 401, token=None)
        await delete(fleet, {"filename": "a.pt"}, 409)
        await delete(fleet, {"filename": "none.pt"}, 404)
        await delete(fleet, {**NAMED, "confirm": "yes"}, 400)
        await delete(fleet, {**NAMED, "paths": ["/etc/passwd"]}, 400)
        await delete(fleet, {"local_path": "/etc", "filename": "a.pt"}, 404)
        await delete(fleet, {**NAMED, "machines": ["m9"]}, 404)
        await fleet.post("/api/v1/models/restore", {"order": "../x"}, 400)
        await fleet.post("/api/v1/models/restore", {"order": "unknown"}, 404)
        assert heard == []
