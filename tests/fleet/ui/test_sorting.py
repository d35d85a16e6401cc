"""Models in the order that a person wants: cards and table, by mouse and keyboard, and kept in the address."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.fleet.conftest import Join
from tests.fleet.stage import Client, files
from tests.fleet.ui.browser import PATIENCE, browsing

pytestmark = pytest.mark.needs("chromium")

SIZES = {"a.safetensors": 300, "b.safetensors": 100, "c.safetensors": 200}
NAMES = [f"loras/{name}" for name in SIZES]


async def held(fleet: Client, join: Join) -> None:
    """c.safetensors is on two machines, the others on one."""
    for machine, names in (("m1", SIZES), ("m2", ["c.safetensors"])):
        entries = [each for name in names for each in files(name, size=1_000_000 * SIZES[name])]
        await join(machine).begin(*entries)
    await fleet.until("/models", lambda body: [each["machines"] for each in body["items"]] == [1, 1, 2])


async def shows(page: Page, *letters: str) -> None:
    """The models in this order, wherever each is drawn."""
    links = page.locator(".rows-body a, .card.model > a")
    await expect(links).to_have_count(len(letters), timeout=PATIENCE)
    for at, letter in enumerate(letters):
        await expect(links.nth(at)).to_contain_text(f"{letter}.safetensors", timeout=PATIENCE)


async def test_cards_stand_in_the_order_that_was_chosen_and_the_address_keeps_it(fleet: Client, join: Join) -> None:
    await held(fleet, join)
    async with browsing(fleet.url) as person:
        page = person.page
        await person.open("/ui/models")
        await shows(page, "a", "b", "c")
        await page.get_by_label("Sort").select_option("largest first")
        await shows(page, "a", "c", "b")
        assert "sort=-size" in page.url
        await page.reload()
        await shows(page, "a", "c", "b")
        await page.get_by_label("Sort").select_option("on most machines first")
        await shows(page, "c", "a", "b")
        await page.get_by_label("Name or folder").fill("safetensors")
        await person.sees("3 found")
        await shows(page, "c", "a", "b")
        await page.go_back()
        await shows(page, "a", "c", "b")
        await person.open("/ui/models?sort=nonsense")
        await shows(page, "a", "b", "c")
        assert person.wrong == []


async def test_a_tables_headers_sort_by_keyboard_and_say_how(fleet: Client, join: Join) -> None:
    await held(fleet, join)
    async with browsing(fleet.url) as person:
        page, keys = person.page, person.page.keyboard
        await person.open("/ui/models?as=table")
        await shows(page, "a", "b", "c")
        name, size = (page.get_by_role("columnheader", name=each, exact=True) for each in ("Model", "Size"))
        await expect(name).to_have_attribute("aria-sort", "ascending")
        await expect(size).to_have_attribute("aria-sort", "none")
        await size.get_by_role("button").focus()
        await keys.press("Enter")
        await shows(page, "a", "c", "b")
        await expect(size).to_have_attribute("aria-sort", "descending")
        await expect(name).to_have_attribute("aria-sort", "none")
        await expect(size.get_by_role("button")).to_be_focused()
        await keys.press("Space")
        await shows(page, "b", "c", "a")
        await expect(size).to_have_attribute("aria-sort", "ascending")
        await expect(size.get_by_role("button")).to_be_focused()
        assert page.url.endswith("sort=size")
        assert await person.barriers() == []
        await page.go_back()
        await shows(page, "a", "c", "b")
        await page.get_by_role("columnheader", name="Machines").get_by_role("button").click()
        await shows(page, "c", "a", "b")
        await page.get_by_label("Sort").select_option("most copies first")
        await expect(page.get_by_role("columnheader", name="Copies")).to_have_attribute("aria-sort", "descending")
        await name.get_by_role("button").click()
        await shows(page, "a", "b", "c")
        assert "sort=" not in page.url
        assert person.wrong == []


async def test_another_order_begins_at_the_top_and_any_part_of_it_can_be_jumped_to(fleet: Client, join: Join) -> None:
    many = [each for n in range(900) for each in files(f"m-{n:04d}.safetensors", size=1_000_000 + n)]
    await join("m1").begin(*many)
    await fleet.until("/models", lambda body: body["total"] == 900)
    async with browsing(fleet.url) as person:
        page, rows = person.page, person.page.locator(".rows")
        await person.open("/ui/models?as=table")
        await person.sees("m-0000.safetensors")
        await rows.evaluate("(box) => { box.scrollTop = 20000; }")
        await person.sees("m-0500.safetensors")
        await page.get_by_role("columnheader", name="Size").get_by_role("button").click()
        await person.sees("m-0899.safetensors")
        assert await rows.evaluate("(box) => box.scrollTop") == 0
        await rows.evaluate("(box) => { box.scrollTop = box.scrollHeight; }")
        await person.sees("m-0000.safetensors")
        assert await page.locator("[role=row]").count() < 60
