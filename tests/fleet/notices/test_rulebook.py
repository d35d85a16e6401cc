"""Rules over HTTP: made, changed as they were read, tried out, removed; secrets are told once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from redis.asyncio import Redis

from model_manager.sources.hooks import key_of, signature
from tests.bus.servers import Server
from tests.fleet.conftest import Join
from tests.fleet.stage import TOKEN, Client, files, served, settings_for
from tests.sources.serving import served as hosted

RULES = "/notifications/rules"
SILENT = {"name": "quiet ones", "kind": "machine.silent"}


class Inbox:
    """A receiver of webhooks; `status` of its answers."""

    def __init__(self) -> None:
        self.status = 204
        self.got: list[tuple[Any, bytes]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((request.headers, await request.read()))
        return web.Response(status=self.status)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
async def hooked(redis: Redis, shared: Server, tmp_path: Path, inbox: Inbox) -> AsyncIterator[tuple[Client, str]]:
    """A fleet that may post to the inbox, and its address, in which a secret stands."""
    async with hosted(inbox.take) as host:
        settings = settings_for(shared.url, tmp_path, MODEL_MANAGER_NOTIFY_HOSTS=host)
        async with served(settings) as client:
            await client.exact()
            yield client, f"http://{host}/hook/a-secret-of-the-receiver"


async def send(fleet: Client, method: str, path: str, body: Any, status: int, **headers: str) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}", **headers}
    async with fleet.session.request(method, fleet.url + path, json=body, headers=headers) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None), answer.headers.get("ETag")


async def test_a_rule_is_made_read_changed_and_removed(fleet: Client) -> None:
    made = await fleet.post(RULES, SILENT, 201)
    path = f"{RULES}/{made['rule']['id']}"
    async with fleet.session.get(fleet.url + path) as answer:
        tag = answer.headers["ETag"]
        assert await answer.json() == made["rule"]
    row, newer = await send(fleet, "PUT", path, {**SILENT, "seconds": 60}, 200, **{"If-Match": tag})
    assert (row["seconds"], row["version"]) == (60, 2)
    await send(fleet, "PUT", path, SILENT, 412, **{"If-Match": tag})
    await send(fleet, "DELETE", path, None, 412, **{"If-Match": tag})
    await send(fleet, "DELETE", path, None, 200, **{"If-Match": str(newer)})
    assert (await fleet.get(RULES))["items"] == []
    await fleet.get(path, 404)


async def test_k9_writes_need_a_token(fleet: Client) -> None:
    made = await fleet.post(RULES, SILENT, 201)
    path = f"{RULES}/{made['rule']['id']}"
    await fleet.post(RULES, SILENT, 401, token=None)
    await fleet.post(f"{path}/test", {}, 401, token="wrong")
    for method in ("PUT", "DELETE"):
        async with fleet.session.request(method, fleet.url + path, json=SILENT) as answer:
            assert answer.status == 401


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""}, {"name": "two\nlines"}, {"kind": "weather"}, {"kind": "disk.low"}, {"seconds": 0}, {"seconds": True},
        {"attempts": 1.5}, {"models": "loras/*"}, {"models": [""]}, {"machines": ["x"] * 51}, {"url": "http://127.0.0.1/"},
        {"url": "http://169.254.169.254/latest"}, {"url": "ftp://x.test"}, {"url": 5}, {"secret": "short"}, {"colour": "red"},
        {"enabled": "yes"}, {"below_percent": 101},
    ],
    ids=str,
)  # fmt: skip
async def test_what_cannot_be_meant_is_refused_and_says_what_can(fleet: Client, wrong: dict[str, Any]) -> None:
    problem = await fleet.post(RULES, {**SILENT, **wrong}, 400)
    assert next(iter(wrong)) in problem["detail"] or "below_bytes" in problem["detail"]
    assert (await fleet.get(RULES))["total"] == 0


async def test_a_secret_and_the_address_are_told_to_nobody_afterwards(
    hooked: tuple[Client, str], tmp_path: Path
) -> None:
    fleet, url = hooked
    made = await fleet.post(RULES, {**SILENT, "url": url}, 201)
    path = f"{RULES}/{made['rule']['id']}"
    await fleet.post(f"{path}/test", {})
    row, _ = await send(fleet, "PUT", path, {**SILENT, "name": "renamed"}, 200)
    told = json.dumps([row, await fleet.get(path), await fleet.get(RULES), await fleet.get("/notifications")])
    assert "a-secret-of-the-receiver" not in told
    assert made["secret"] not in told
    assert row["target"] == url.rpartition("/hook")[0]


async def test_a_test_is_delivered_at_once_and_signed(hooked: tuple[Client, str], inbox: Inbox) -> None:
    fleet, url = hooked
    made = await fleet.post(RULES, {**SILENT, "url": url}, 201)
    notice = await fleet.post(f"{RULES}/{made['rule']['id']}/test", {})
    assert (notice["edge"], notice["delivery"]["state"], notice["delivery"]["status"]) == ("test", "delivered", 204)
    ((headers, body),) = inbox.got
    key = key_of(made["secret"])
    assert key
    assert headers["webhook-signature"] == signature(
        key, headers["webhook-id"], int(headers["webhook-timestamp"]), body
    )


async def test_a_delivery_that_failed_is_sent_again_under_its_id(hooked: tuple[Client, str], inbox: Inbox) -> None:
    fleet, url = hooked
    made = await fleet.post(RULES, {**SILENT, "url": url}, 201)
    inbox.status = 500
    notice = await fleet.post(f"{RULES}/{made['rule']['id']}/test", {})
    assert (notice["delivery"]["state"], notice["delivery"]["why"]) == ("waiting", "it answered 500")
    inbox.status = 200
    again = await fleet.post(f"/notifications/{notice['id']}/resend", {})
    assert again["delivery"]["state"] == "delivered"
    assert len({headers["webhook-id"] for headers, _ in inbox.got}) == 1
    await fleet.post("/notifications/999/resend", {}, 404)


async def test_what_happens_in_the_fleet_reaches_a_webhook(
    hooked: tuple[Client, str], inbox: Inbox, join: Join
) -> None:
    fleet, url = hooked
    machine = join("m1")
    await machine.begin(*files("old.pt"))
    await fleet.until("/models", lambda body: body["total"] == 1)
    quick = {"gather": 0, "cooldown": 0, "url": url}
    await fleet.post(RULES, {"name": "new ones", "kind": "model.appeared", **quick}, 201)
    await fleet.post(RULES, {"name": "lost ones", "kind": "model.vanished", **quick}, 201)
    machine.teller.appear(*files("too-early.pt"))  # the rules may not have looked yet, and then it is nothing new
    await machine.tell()
    (old,) = files("old.pt")
    machine.teller.vanish(old)
    for n in range(200):
        machine.teller.appear(*files(f"late-{n}.pt"))
        await machine.tell()
        items = (await fleet.get("/notifications"))["items"]
        if any(each["delivery"]["state"] == "delivered" for each in items):
            break
        await fleet.until("/models", lambda body, n=n: body["total"] >= n + 2)
        await asyncio.sleep(0.1)  # whoever looks for notices may have to wait for its turn first: 20 s of news, then
    done = await fleet.until(
        "/notifications", lambda body: body["items"] and all(each["delivery"]["state"] == "delivered" for each in body["items"])
    )  # fmt: skip
    types = {json.loads(body)["type"] for _, body in inbox.got}
    assert types <= {"model.appeared.begin", "model.vanished.begin"}
    assert len({headers["webhook-id"] for headers, _ in inbox.got}) == len(done["items"])


async def test_null_takes_a_webhook_out_and_leaving_it_out_keeps_it(hooked: tuple[Client, str]) -> None:
    fleet, url = hooked
    made = await fleet.post(RULES, {**SILENT, "url": url}, 201)
    path = f"{RULES}/{made['rule']['id']}"
    kept, _ = await send(fleet, "PUT", path, SILENT, 200)
    assert kept["target"]
    gone, _ = await send(fleet, "PUT", path, {**SILENT, "url": None}, 200)
    assert gone["target"] == ""
    assert (await fleet.post(RULES, {**SILENT, "url": None}, 201))["rule"]["target"] == ""
