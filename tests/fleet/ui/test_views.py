"""Every view, with a fleet whose texts are hostile: it does its work, nothing of a stranger runs, and nobody is kept out."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from redis.asyncio import Redis

from tests.fleet.stage import Client
from tests.fleet.ui.browser import browsing
from tests.fleet.ui.hostile import FLOW, NAME, XSS, hostile, moving

pytestmark = pytest.mark.needs("chromium")

MODEL = quote(f"loras/{NAME}", safe="")
VIEWS = {
    "/ui/": ["m1", XSS, "Machines ready"],
    "/ui/machines/m1": [XSS, NAME, FLOW],
    "/ui/matrix": [NAME, "ready"],
    "/ui/models": [NAME, "3 found"],
    "/ui/models?as=cards": [NAME],
    f"/ui/models/{MODEL}": [NAME, "ab" * 32, "2 machines"],
    "/ui/workflows": [FLOW, "flux"],
    f"/ui/workflows/{quote(FLOW, safe='')}": [XSS, "m2"],
    "/ui/jobs": ["No job"],
    "/ui/downloads": ["fetching", "30 %"],
    "/ui/events": [XSS, "strange."],
    "/ui/doctor": [XSS, "Silent machines"],
}
"""Each view, and what must be read there."""


@pytest.mark.parametrize("half", [0, 1])
async def test_k8_every_view_shows_hostile_texts_as_texts_and_is_open_to_everybody(
    fleet: Client, redis: Redis, half: int
) -> None:
    first, _ = await hostile(redis, "m1", "m2")
    await first.move(moving(why=XSS, retry_at=XSS))
    await fleet.until("/machines", lambda body: body["total"] == 2 and body["items"][0]["downloads"])
    async with browsing(fleet.url, color_scheme=("light", "dark")[half]) as person:
        for path, texts in list(VIEWS.items())[half::2]:
            await person.open(path)
            for text in texts:
                await person.sees(text)
            assert await person.barriers() == [], path
            assert await person.broken_rules() == [], path
        assert person.wrong == []


async def test_a_phone_never_scrolls_sideways(fleet: Client, redis: Redis) -> None:
    await hostile(redis, "m1", "m2")
    await fleet.until("/machines", lambda body: body["total"] == 2)
    async with browsing(fleet.url, viewport={"width": 390, "height": 844}, is_mobile=True) as person:
        for path, texts in VIEWS.items():
            await person.open(path)
            await person.sees(texts[0] if "downloads" not in path else "Downloads")
            wide = await person.page.evaluate("() => document.documentElement.scrollWidth")
            assert wide <= 390, path
