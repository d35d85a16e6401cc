"""Every view, with a fleet whose texts are hostile: it does its work, nothing of a stranger runs, and nobody is kept out."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from redis.asyncio import Redis

from tests.fleet.stage import Client
from tests.fleet.ui.browser import Person, browsing
from tests.fleet.ui.hostile import FLOW, NAME, XSS, given_up, hostile, moving

pytestmark = pytest.mark.needs("chromium")

MODEL = quote(f"loras/{NAME}", safe="")
VIEWS = {
    "/ui/": ["m1", XSS, "Machines ready"],
    "/ui/machines/m1": [XSS, NAME, FLOW],
    "/ui/matrix": [NAME, "ready"],
    "/ui/models": [NAME, "3 found"],
    "/ui/models?as=table": [NAME],
    f"/ui/models/{MODEL}": [NAME, "ab" * 32, "2 machines"],
    "/ui/workflows": [FLOW, "flux"],
    f"/ui/workflows/{quote(FLOW, safe='')}": [XSS, "m2"],
    "/ui/jobs?state=dead": ["j1", XSS],
    "/ui/jobs/j1": [XSS, "Payload", "Try again"],
    "/ui/downloads": ["fetching", "30 %"],
    "/ui/events": [XSS, "strange."],
    "/ui/notifications": ["There is no rule"],
    "/ui/doctor": [XSS, "Silent machines"],
}
"""Each view, and what must be read there."""

FOCUSABLE = """() => {
  window.walk = [];
  const note = ({target}) => { const style = getComputedStyle(target);
    window.walk.push([target.dataset.walk ?? '', style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1]); };
  document.addEventListener('focusin', note);
  document.activeElement?.blur();
  return [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')]
    .filter((each) => !each.disabled && each.tabIndex >= 0 && each.checkVisibility({visibilityProperty: true}))
    .map((each, n) => (each.dataset.walk = String(n)));
}"""
THERE = "(names) => names.map((n) => document.querySelector(`[data-walk='${n}']`)?.outerHTML?.slice(0, 200)).filter(Boolean)"


async def played(fleet: Client, redis: Redis) -> None:
    first, _ = await hostile(redis, "m1", "m2")
    await first.move(moving(why=XSS, retry_at=XSS))
    await given_up(redis, fleet, "j1")
    await fleet.until("/machines", lambda body: body["total"] == 2 and body["items"][0]["downloads"])


async def walked(person: Person) -> list[str]:
    """What the keyboard does not come to, and where nobody would see that it is there. Lists that draw what is seen may draw others
    meanwhile: what went is not missed."""
    page = person.page
    wanted = set(await page.evaluate(FOCUSABLE))
    for _ in range(len(wanted) + 5):
        await page.keyboard.press("Tab")
    steps = await page.evaluate("() => window.walk")
    missed: list[str] = await page.evaluate(THERE, sorted(wanted - {name for name, _ in steps}))
    hidden: list[str] = await page.evaluate(THERE, sorted({name for name, outlined in steps if name and not outlined}))
    return [f"not reached: {each}" for each in missed] + [f"focus is not seen: {each}" for each in hidden]


@pytest.mark.parametrize("half", [0, 1])
async def test_k8_every_view_shows_hostile_texts_as_texts_and_is_open_to_everybody(
    fleet: Client, redis: Redis, half: int
) -> None:
    await played(fleet, redis)
    async with browsing(fleet.url, color_scheme="light") as person:
        for path, texts in list(VIEWS.items())[half::2]:
            await person.open(path)
            for text in texts:
                await person.sees(text)
            assert await person.barriers() == [], path
            assert await walked(person) == [], path
            assert await person.broken_rules() == [], path
        assert person.wrong == []


async def test_a_phone_never_scrolls_sideways_and_can_be_read_in_the_dark(fleet: Client, redis: Redis) -> None:
    await played(fleet, redis)
    phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "color_scheme": "dark"}
    async with browsing(fleet.url, **phone) as person:
        for path, texts in VIEWS.items():
            await person.open(path)
            await person.sees(texts[0])
            wide = await person.page.evaluate("() => document.documentElement.scrollWidth")
            assert wide <= 390, path
            assert await person.barriers(looks=True) == [], path
