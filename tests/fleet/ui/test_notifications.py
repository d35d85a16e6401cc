"""Notifications in the browser: rules are made and tried out, notices come live, and strangers' texts stay texts."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import expect
from redis.asyncio import Redis

from tests.bus.servers import Server
from tests.fleet.conftest import Join
from tests.fleet.stage import Client, files, served, settings_for
from tests.fleet.ui.browser import PATIENCE, browsing
from tests.fleet.ui.hostile import XSS
from tests.sources.serving import served as hosted

pytestmark = pytest.mark.needs("chromium")

PAGE = "/ui/notifications"


async def test_a_rule_is_made_tried_out_and_removed_from_the_keyboard(
    redis: Redis, shared: Server, tmp_path: Path
) -> None:
    status = [500]

    async def take(request: web.Request) -> web.Response:
        return web.Response(status=status[0])

    async with hosted(take) as host:
        settings = settings_for(shared.url, tmp_path, MODEL_MANAGER_NOTIFY_HOSTS=host)
        async with served(settings) as fleet, browsing(fleet.url) as person:
            page, keys = person.page, person.page.keyboard
            await person.open(PAGE)
            await person.sees("There is no rule")
            await page.get_by_role("button", name="New rule").focus()
            await keys.press("Enter")
            await page.get_by_label("Name", exact=True).fill("quiet machines")
            await page.get_by_label("Tells when").select_option("machine.silent")
            await page.get_by_label("Only machines like these").fill("gpu-*")
            await page.get_by_label("Webhook, an address").fill(f"http://{host}/hook/private-part")
            assert await person.barriers() == []
            await page.get_by_label("Name", exact=True).focus()
            await keys.press("Enter")
            await person.gives_the_token()
            await expect(page.locator("dialog code")).to_contain_text("whsec_", timeout=PATIENCE)
            await page.get_by_role("button", name="I have it").click()
            await person.sees("a machine is silent longer than 5 min on gpu-*")
            await page.get_by_role("button", name="Test quiet machines").focus()
            await keys.press("Enter")
            await person.hears("The webhook did not take it: it answered 500.")
            await person.sees("on its way")
            status[0] = 204
            await page.get_by_role("button", name="Test quiet machines").click()
            await person.hears("The webhook took it.")
            await person.sees("delivered")
            assert "private-part" not in await page.content()
            await page.get_by_role("button", name="Change quiet machines").click()
            await page.get_by_label("take the webhook out").check()
            await page.get_by_role("button", name="Save").click()
            await expect(page.get_by_role("region", name="Rules")).not_to_contain_text(host, timeout=PATIENCE)
            (rule,) = (await fleet.get("/notifications/rules"))["items"]
            assert not rule["target"]
            assert await person.barriers() == []
            await page.get_by_role("button", name="Remove quiet machines").click()
            await person.sees("There is no rule")
            assert person.wrong == []


async def test_notices_come_live_and_can_be_filtered(fleet: Client, join: Join) -> None:
    machine = join("m1")
    await machine.begin(*files("old.safetensors"))
    await fleet.until("/models", lambda body: body["total"] == 1)
    quick = {"gather": 0, "cooldown": 0}
    new = await fleet.post("/notifications/rules", {"name": "new ones", "kind": "model.appeared", **quick}, 201)
    await fleet.post(f"/notifications/rules/{new['rule']['id']}/test", {})
    async with browsing(fleet.url, color_scheme="dark") as person:
        await person.open(PAGE)
        await person.sees("This is a test of the rule 'new ones'")
        other = await fleet.post("/notifications/rules", {"name": "second", "kind": "machine.silent"}, 201)
        await fleet.post(f"/notifications/rules/{other['rule']['id']}/test", {})
        await person.sees("This is a test of the rule 'second'")
        await person.page.get_by_label("Kind").select_option("machine.silent")
        await expect(person.page.get_by_text("test of the rule 'new ones'")).to_have_count(0, timeout=PATIENCE)
        assert "kind=machine.silent" in person.page.url
        assert await person.barriers() == []
        assert person.wrong == []


async def test_k8_hostile_rules_and_notices_are_texts_and_fit_a_phone(fleet: Client) -> None:
    made = await fleet.post(
        "/notifications/rules", {"name": XSS, "kind": "model.vanished", "models": [XSS], "machines": [XSS]}, 201
    )
    await fleet.post(f"/notifications/rules/{made['rule']['id']}/test", {})
    async with browsing(fleet.url, viewport={"width": 390, "height": 844}, is_mobile=True) as person:
        await person.open(PAGE)
        await person.sees(f"This is a test of the rule '{XSS}'")
        await person.sees(f"on {XSS}")
        assert await person.page.evaluate("() => document.documentElement.scrollWidth") <= 390
        assert await person.barriers() == []
        assert await person.broken_rules() == []
        assert person.wrong == []
