"""What machines told, read in the browser back to the oldest."""

from __future__ import annotations

import pytest
from playwright.async_api import Locator, expect

from model_manager.facts.event import Unknown
from tests.fleet.conftest import Join
from tests.fleet.stage import Client, Player, files
from tests.fleet.ui.browser import PATIENCE, Person, browsing

pytestmark = pytest.mark.needs("chromium")

MANY = 1_300


async def talkative(fleet: Client, join: Join) -> Player:
    """A machine that said hello, and then much else, numbered from 0."""
    machine = join("m1")
    await machine.begin(*files("a.safetensors"))
    for number in range(MANY):
        machine.teller.tell(Unknown(kind="strange.news", data={"n": f"news {number}."}))
    await machine.tell()
    await fleet.until(
        "/events?limit=1", lambda body: body["items"] and body["items"][0]["data"] == {"n": f"news {MANY - 1}."}
    )
    return machine


def lines(person: Person) -> Locator:
    return person.page.locator("main ol > li")


async def older(person: Person, count: int) -> None:
    """By the keyboard, until so many are drawn."""
    button = person.page.get_by_role("button", name="Load older events")
    await button.focus()
    await person.page.keyboard.press("Enter")
    await expect(lines(person)).to_have_count(count, timeout=PATIENCE)


async def test_events_are_read_back_to_the_oldest_and_a_page_never_holds_more_than_it_can_bear(
    fleet: Client, join: Join
) -> None:
    machine = await talkative(fleet, join)
    async with browsing(fleet.url) as person:
        page = person.page
        await person.open("/ui/events")
        await expect(lines(person)).to_have_count(200, timeout=PATIENCE)
        await older(person, 400)
        await expect(page.locator("li:focus")).to_contain_text(f"news {MANY - 201}.", timeout=PATIENCE)
        for count in (600, 800, 1000):
            await older(person, count)
        assert "before=" not in page.url
        await page.get_by_role("button", name="Load older events").click()
        await expect(lines(person).last).to_contain_text(f"news {MANY - 1200}.", timeout=PATIENCE)
        await expect(lines(person)).to_have_count(1000)
        await expect(lines(person).first).to_contain_text(f"news {MANY - 201}.")
        notice = page.locator("main .notice")
        await expect(notice).to_contain_text("Events before")
        assert "before=" in page.url
        machine.teller.appear(*files("late.safetensors"))
        await machine.tell()
        await expect(notice).to_contain_text("1 event came meanwhile.", timeout=PATIENCE)
        await page.reload()
        await expect(lines(person)).to_have_count(200, timeout=PATIENCE)
        await expect(lines(person).first).to_contain_text(f"news {MANY - 201}.")
        first = (await fleet.get("/events?after=0-0&limit=50"))["items"]
        await person.open(f"/ui/events?before={first[-1]['id']}")
        await person.sees("These are the oldest that are kept.")
        await expect(lines(person)).to_have_count(49)
        await expect(lines(person).last).to_contain_text("machine began")
        assert await person.barriers() == []
        await page.get_by_role("button", name="To the newest").click()
        await expect(lines(person).first).to_contain_text("late.safetensors", timeout=PATIENCE)
        assert "before=" not in page.url
        assert person.wrong == []


async def test_filters_find_what_is_far_back_and_stay_in_the_address(fleet: Client, join: Join) -> None:
    await talkative(fleet, join)
    await join("m2").begin(*files("b.safetensors"))
    await fleet.until("/machines", lambda body: body["total"] == 2)
    async with browsing(fleet.url) as person:
        page = person.page
        await person.open("/ui/events")
        await page.get_by_label("Kind").select_option("machine began")
        await expect(lines(person)).to_have_count(2, timeout=PATIENCE)
        await page.get_by_label("Machine, its whole id").fill("m1")
        await expect(lines(person)).to_have_count(1, timeout=PATIENCE)
        await page.wait_for_url("**/ui/events?kind=machine.hello&machine_id=m1")
        await page.reload()
        await expect(lines(person)).to_have_count(1, timeout=PATIENCE)
        await expect(page.get_by_label("Machine, its whole id")).to_have_value("m1")
        await expect(page.get_by_label("Kind")).to_have_value("machine.hello")
        await page.get_by_label("Kind").select_option("disk is low")
        await person.sees("Nothing was told that fits.")
        await person.open("/ui/events?before=nonsense")
        await expect(page.locator("main [role=alert]")).to_contain_text("before", timeout=PATIENCE)
        await page.get_by_role("button", name="To the newest").click()
        await expect(lines(person)).to_have_count(200, timeout=PATIENCE)
