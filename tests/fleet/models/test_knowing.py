"""A model's own page: what the fleet has, and what its machine adds."""

from __future__ import annotations

from typing import Any

from tests.bus.servers import Server
from tests.fleet.conftest import Join
from tests.fleet.replying import described, replying
from tests.fleet.stage import Client, files

SAID: dict[str, Any] = {
    "hashes": {"sha256": "ab" * 32, "blake3": "cd" * 32},
    "told": [
        {"field": "name", "value": "<img src=x onerror=alert(1)>", "teller": "civitai api", "at": "t"},
        {"field": "name", "value": "mine", "teller": "forge", "at": "t"},
        {"field": 7},
        None,
    ],
    "claims": [{"algorithm": "sha256", "hex": "ef" * 32, "who": "a1111"}],
    "sources": [{"kind": "civitai", "url": "https://civitai.com/api/download/models/1"}],
    "needed_by": ["workflow:flux"],
    "first_seen": "2026-01-01T00:00:00Z",
}


async def live(fleet: Client, join: Join) -> None:
    await join("m1").begin(*files("a.pt"))
    await fleet.until("/machines/m1", lambda body: body["machine"]["state"] == "live")
    await fleet.until("/search", lambda body: body["total"] == 1)


async def test_every_tellers_word_stands_in_the_order_of_belief(fleet: Client, join: Join, shared: Server) -> None:
    await live(fleet, join)
    async with replying(shared.url, "m1", lambda order: described(order, **SAID)):
        known = await fleet.get("/model-details/loras/a.pt")
    assert [each["teller"] for each in known["told"]] == ["forge", "civitai api"]
    assert known["hashes"] == {"sha256": "ab" * 32, "autov2": "ab" * 5, "blake3": "cd" * 32}
    assert (known["machine_id"], known["needed_by"], known["sources"][0]["kind"]) == (
        "m1",
        ["workflow:flux"],
        "civitai",
    )
    assert known["files"][0]["machine_id"] == "m1"


async def test_a_machine_that_says_nothing_takes_nothing_away(fleet: Client, join: Join, shared: Server) -> None:
    await live(fleet, join)
    async with replying(shared.url, "m1", lambda order: {"files": [], "missing": list(order.files)}):
        known = await fleet.get("/model-details/loras/a.pt")
    assert (known["machine_id"], known["why"]) == (None, "m1 does not hold it any more")
    assert known["hashes"]["sha256"] == "ab" * 32
    await fleet.get("/model-details/loras/none.pt", 404)
