"""Models that a machine is asked to fetch: from the request's addresses, or from those that are known."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from model_manager.facts.order import Order
from tests.bus.servers import Server
from tests.fleet.conftest import Join
from tests.fleet.replying import described, replying
from tests.fleet.stage import Client, files, served, settings_for
from tests.sources.serving import Shelf
from tests.sources.serving import served as serving
from tests.stories.machine import Machine, safetensors, sha256

SHA = "ab" * 32
URL = "https://models.example/x.safetensors"
MODEL = {"path": "loras/x.safetensors", "sources": [URL], "hash": f"sha256:{SHA}", "size": 5}


def wants(order: Order) -> Any:
    return {"wanted": len(order.files)} if order.what == "fetch" else described(order)


@pytest.fixture
async def fleet(redis: Redis, shared: Server, tmp_path: Path, join: Join) -> AsyncIterator[Client]:
    """With one machine that holds a LoRA."""
    await join("m1").begin(*files("here.pt"))
    more = {"MODEL_MANAGER_ALLOW_HOSTS": "mirror.lan"}
    async with served(settings_for(shared.url, tmp_path, **more)) as client:
        await client.exact()
        await client.until("/machines/m1", lambda body: body["machine"]["state"] == "live")
        await client.until("/search", lambda body: body["total"] == 1)
        yield client


async def test_a_workflows_own_address_reaches_the_machine_as_it_was_judged(fleet: Client, shared: Server) -> None:
    async with replying(shared.url, "m1", wants) as heard:
        told = await fleet.post("/machines/m1/fetch", {"models": [MODEL]})
    assert told["items"] == [{"machine_id": "m1", "accepted": True, "why": ""}]
    assert told["models"] == [{"path": "loras/x.safetensors", "sources": [URL], "hash": f"sha256:{SHA}", "teller": ""}]
    (order,) = heard
    assert (order.what, json.loads(order.files[0])) == ("fetch", MODEL)


async def test_a_page_about_a_file_becomes_the_file_and_a_token_goes(fleet: Client, shared: Server) -> None:
    page = {"path": "vae/a.pt", "sources": ["https://huggingface.co/o/r/blob/main/a.pt", f"{URL}?token=secret"]}
    async with replying(shared.url, "m1", wants):
        told = await fleet.post("/machines/m1/fetch", {"models": [page]})
    assert told["models"][0]["sources"] == ["https://huggingface.co/o/r/resolve/main/a.pt", URL]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x", "http://169.254.169.254/latest", "https://user:pw@example.com/x", "http://[::1]/x", "http://0x7f.1/x",
        "file:///etc/passwd", "javascript:alert(1)", "ftp://example.com/x", "http://10.0.0.1/x", "//example.com/x", "", "x\ny", 7,
    ],
)  # fmt: skip
async def test_k4_an_address_that_leads_inside_is_refused_before_anybody_is_asked(
    fleet: Client, shared: Server, url: Any
) -> None:
    async with replying(shared.url, "m1", wants) as heard:
        await fleet.post("/machines/m1/fetch", {"models": [{"path": "loras/x.pt", "sources": [url]}]}, 400)
    assert heard == []


async def test_a_private_mirror_that_is_allowed_by_name_is_fetched_from(fleet: Client, shared: Server) -> None:
    async with replying(shared.url, "m1", wants):
        await fleet.post("/machines/m1/fetch", {"models": [{"path": "a/x.pt", "sources": ["http://mirror.lan/x"]}]})


@pytest.mark.parametrize(
    "path", ["../x.pt", "/etc/x.pt", "loras/../../x", "x.pt", "loras/\u202ex", "loras/CON", "", None, 5]
)
async def test_k1_a_place_that_could_leave_the_shelves_is_refused(fleet: Client, path: Any) -> None:
    await fleet.post("/machines/m1/fetch", {"models": [{"path": path, "sources": [URL]}]}, 400)


async def test_nobody_is_sent_where_nothing_is_known(fleet: Client, shared: Server) -> None:
    async with replying(shared.url, "m1", wants) as heard:
        refused = await fleet.post("/machines/m1/fetch", {"models": [{"path": "loras/unknown.pt"}]}, 409)
        assert refused["type"].endswith("no-source")
        assert "Add it to the catalog" in refused["detail"]
        offers = await fleet.get("/sources?model=loras/unknown.pt")
        assert (offers["sources"], "Add it to the catalog" in offers["why"]) == ([], True)
    assert [order.what for order in heard] == []


async def test_a_machine_that_holds_it_knows_where_it_came_from(fleet: Client, shared: Server, join: Join) -> None:
    await join("m2").begin()
    await fleet.until("/machines?state=live", lambda body: body["total"] == 2)
    known = {"sources": [{"kind": "url", "url": URL}, {"kind": "url", "url": "javascript:x"}, 7]}
    async with replying(shared.url, "m1", lambda order: described(order, **known)):
        offers = await fleet.get("/sources?model=loras/here.pt")
        assert [(each["url"], each["teller"], each["taken"]) for each in offers["sources"]] == [(URL, "index", True)]
        async with replying(shared.url, "m2", wants) as heard:
            told = await fleet.post("/machines/m2/fetch", {"models": [{"path": "loras/here.pt"}]})
    assert (told["models"][0]["teller"], told["models"][0]["hash"]) == ("index", offers["hash"])
    assert json.loads(heard[0].files[0])["sources"] == [URL]


async def test_what_a_machine_says_against_it_is_given_on(fleet: Client, shared: Server) -> None:
    async with replying(shared.url, "m1", lambda order: {"error": "the disk is full"}):
        refused = await fleet.post("/machines/m1/fetch", {"models": [MODEL]}, 409)
        assert "the disk is full" in refused["detail"]
        told = await fleet.post("/fetch", {"machines": ["m1"], "models": [MODEL]})
    assert (told["items"][0]["accepted"], "the disk is full" in told["items"][0]["why"]) == (False, True)


async def test_of_a_group_each_answers_for_itself(fleet: Client, shared: Server, join: Join) -> None:
    await join("m2").begin()
    await fleet.until("/machines?state=live", lambda body: body["total"] == 2)
    async with (
        replying(shared.url, "m1", wants),
        replying(shared.url, "m2", lambda order: {"error": "no"}),
    ):
        told = await fleet.post("/fetch", {"all": True, "models": [MODEL]})
    assert [(each["machine_id"], each["accepted"]) for each in told["items"]] == [("m1", True), ("m2", False)]


@pytest.mark.parametrize(
    "body",
    [
        {}, {"models": []}, {"models": "x"}, {"models": [7]}, {"models": [{**MODEL, "x": 1}]}, {"models": [{**MODEL, "hash": "zz"}]},
        {"models": [MODEL], "force": True}, {"models": [{**MODEL, "sources": [URL] * 6}]}, {"models": [MODEL] * 201},
        {"models": [{**MODEL, "sources": [f"https://e.example/{n}{'x' * 1500}" for n in range(4)]}]},
    ],
)  # fmt: skip
async def test_k9_a_request_that_is_misspelt_is_refused(fleet: Client, body: Any) -> None:
    await fleet.post("/machines/m1/fetch", body, 400)


async def test_k9_it_needs_the_token_and_a_machine_that_is_known(fleet: Client) -> None:
    await fleet.post("/machines/m1/fetch", {"models": [MODEL]}, 401, token=None)
    await fleet.post("/fetch", {"all": True, "models": [MODEL]}, 401, token=None)
    await fleet.post("/machines/nobody/fetch", {"models": [MODEL]}, 404)
    await fleet.get("/sources?model=../x", 400)


async def test_a_real_machine_fetches_what_only_a_workflow_knows_and_refuses_what_it_may_not(
    redis: Redis, shared: Server, tmp_path: Path
) -> None:
    data, home = safetensors(60_000), Path("/tmp") / f"mm-{sha256(str(tmp_path).encode())[:12]}"
    async with serving(Shelf(data)) as host:
        machine = Machine(home, "http://127.0.0.1:9", {"REDIS_URL": shared.url, "MODEL_MANAGER_ALLOW_HOSTS": host})
        machine.store.mkdir(parents=True)
        machine.start()
        more = {"MODEL_MANAGER_ALLOW_HOSTS": f"{host},127.0.0.1:9"}
        try:
            async with served(settings_for(shared.url, tmp_path / "fleet", **more)) as fleet:
                await fleet.until("/machines", lambda body: [each["state"] for each in body["items"]] == ["live"])
                model = {"path": "loras/new/x.safetensors", "sources": [f"http://{host}/x"], "hash": sha256(data)}
                told = await fleet.post("/machines/m1/fetch", {"models": [model]})
                assert told["items"][0]["accepted"]
                await fleet.until("/search", lambda body: body["items"] and body["items"][0]["verified"])
                assert (machine.store / "loras/new/x.safetensors").read_bytes() == data
                inside = {"path": "loras/y.safetensors", "sources": ["http://127.0.0.1:9/y"]}
                refused = await fleet.post("/machines/m1/fetch", {"models": [inside]}, 409)
                assert "private network" in refused["detail"]
        finally:
            machine.kill()
            shutil.rmtree(home, ignore_errors=True)
