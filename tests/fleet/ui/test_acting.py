"""What people do at the pages: they look while things change, search, and give orders."""

from __future__ import annotations

import pytest
from playwright.async_api import expect
from redis.asyncio import Redis

from tests.fleet.conftest import Join
from tests.fleet.stage import Client, files
from tests.fleet.ui.browser import PATIENCE, browsing
from tests.fleet.ui.hostile import moving

pytestmark = pytest.mark.needs("chromium")


async def test_what_changes_is_seen_without_loading_the_page_again(fleet: Client, join: Join) -> None:
    machine = join("m1")
    async with browsing(fleet.url) as person:
        await person.open("/ui/")
        await person.sees("No machine is here")
        await machine.begin(*files("a.safetensors"), flux=False)
        await person.sees("1 workflow not ready")
        await machine.beat(flux=True)
        await person.sees("The gate is open.")
        await machine.move(moving("b.safetensors"))
        await person.sees("1 at 2.00 MB/s, 10 s left")
        await machine.bye()
        await person.sees("away")
        assert person.wrong == []


async def test_events_come_as_they_are_told_and_can_be_filtered(fleet: Client, join: Join) -> None:
    machine = join("m1")
    await machine.begin(*files("a.safetensors"))
    async with browsing(fleet.url) as person:
        await person.open("/ui/events")
        await person.sees("machine began")
        machine.teller.appear(*files("late.safetensors"))
        await machine.tell()
        await person.sees("loras/late.safetensors")
        await person.page.get_by_label("Kind").select_option("machine.hello")
        await expect(person.page.locator("main ol li")).to_have_count(1, timeout=PATIENCE)
        assert "kind=machine.hello" in person.page.url
        await person.page.reload()
        await expect(person.page.locator("main ol li")).to_have_count(1, timeout=PATIENCE)


async def test_writes_ask_for_the_token_once_and_again_when_it_is_refused(
    fleet: Client, redis: Redis, join: Join
) -> None:
    await join("m1").begin(*files("a.safetensors"))
    await fleet.until("/machines", lambda body: body["total"] == 1)
    async with browsing(fleet.url) as person:
        await person.open("/ui/")
        await person.page.get_by_label("Choose m1").check()
        await person.page.get_by_role("button", name="Verify").click()
        await person.gives_the_token("wrong")
        await expect(person.page.get_by_text("That token was refused.")).to_be_visible(timeout=PATIENCE)
        await person.gives_the_token()
        await person.hears("Verify was handed to 1 machine.")
        await person.page.get_by_role("button", name="Reload").click()
        await person.hears("Reload was handed to 1 machine.")
        given = {fields[b"what"] for _, fields in await redis.xrange("machine:m1:orders")}
        assert given >= {b"verify", b"reload"}
        kept = await person.page.evaluate("() => [localStorage.length, Object.values(sessionStorage).length]")
        assert kept == [1, 1]


async def test_an_assignment_reaches_the_machines_that_were_chosen(fleet: Client, redis: Redis, join: Join) -> None:
    for name in ("m1", "m2", "m3"):
        await join(name).begin(*files("a.safetensors"))
    await fleet.until("/machines", lambda body: body["total"] == 3)
    async with browsing(fleet.url) as person:
        await person.open("/ui/")
        await person.page.get_by_label("Choose m1").check()
        await person.page.get_by_label("Choose m3").check()
        await person.page.get_by_role("button", name="Assign").click()
        await person.page.get_by_label("Workflows, one a line").fill("flux\nsdxl")
        await person.page.locator("dialog").get_by_role("button", name="Assign").click()
        await person.gives_the_token()
        await person.hears("Handed to 2 machines.")
        pushed = [bool(await redis.exists(f"machine:{name}:assignment")) for name in ("m1", "m2", "m3")]
        assert pushed == [True, False, True]


async def test_a_search_finds_as_a_person_types_and_is_an_address(fleet: Client, join: Join) -> None:
    await join("m1").begin(*files(*(f"set/model-{n:04d}.safetensors" for n in range(900)), "needle.safetensors"))
    await fleet.until("/models", lambda body: body["total"] == 901)
    async with browsing(fleet.url) as person:
        await person.open("/ui/models?as=table")
        await person.sees("901 found")
        drawn = await person.page.locator("[role=row]").count()
        assert drawn < 60
        await person.page.locator(".rows").evaluate("(box) => { box.scrollTop = box.scrollHeight; }")
        await person.sees("model-0899.safetensors")
        await person.page.get_by_label("Name or folder").press_sequentially("needl")
        await person.sees("1 found")
        await person.sees("needle.safetensors")
        assert "q=needl" in person.page.url
        await person.page.get_by_role("link", name="loras/needle.safetensors").click()
        await expect(person.page.locator("h1")).to_have_text("loras/needle.safetensors", timeout=PATIENCE)
        await person.sees("Only one machine has it")
        await person.page.go_back()
        await person.sees("1 found")


async def test_everything_can_be_done_from_the_keyboard(fleet: Client, join: Join) -> None:
    await join("m1").begin(*files("a.safetensors", "b.safetensors"))
    await fleet.until("/models", lambda body: body["total"] == 2)
    async with browsing(fleet.url) as person:
        page, keys = person.page, person.page.keyboard
        await person.open("/ui/")
        await keys.press("Tab")
        assert await page.evaluate("() => document.activeElement.textContent") == "Skip to content"
        await keys.press("Enter")
        assert await page.evaluate("() => document.activeElement.id") == "main"
        await page.get_by_role("link", name="Models", exact=True).focus()
        await keys.press("Enter")
        await expect(page.locator("h1:focus")).to_have_text("Models", timeout=PATIENCE)
        await page.get_by_role("link", name="Matrix", exact=True).focus()
        await keys.press("Enter")
        await person.sees("b.safetensors")
        await page.locator(".cell[tabindex='0']").focus()
        await keys.press("ArrowDown")
        await keys.press("Enter")
        await expect(page.get_by_role("dialog", name="loras/b.safetensors")).to_be_visible(timeout=PATIENCE)
        await keys.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0, timeout=PATIENCE)
        assert await page.evaluate("() => document.activeElement.className.includes('cell')")
        assert person.wrong == []


async def test_the_theme_is_the_systems_until_a_person_chooses(fleet: Client) -> None:
    async with browsing(fleet.url, color_scheme="dark") as person:
        ground = "() => getComputedStyle(document.documentElement).backgroundColor"
        await person.open("/ui/")
        dark = await person.page.evaluate(ground)
        await person.page.get_by_role("button", name="Theme: system").click()
        await expect(person.page.locator("html")).to_have_attribute("data-theme", "light", timeout=PATIENCE)
        light = await person.page.evaluate(ground)
        assert dark != light
        await person.page.reload()
        await expect(person.page.get_by_role("button", name="Theme: light")).to_be_visible(timeout=PATIENCE)
        assert await person.page.evaluate(ground) == light
