"""A person at the pages: a real Chromium that keeps account of everything that went wrong in it."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import axe_playwright_python
from playwright.async_api import ConsoleMessage, Page, async_playwright, expect

from tests.fleet.stage import TOKEN

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
PATIENCE = 20_000
"""Milliseconds: other tests run beside."""

UNTOLD = ("/api/v1/models/", "/explain", "/doctor?limit=")
"""What a browser complains of although a refusal is an answer there: nothing more is told of a model, and no catalog is named."""

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
LOOKS = ["color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size"]
WATCH = """
window.violations = [];
window.owned = [];
document.addEventListener('securitypolicyviolation', (e) => window.violations.push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample));
"""


class Person:
    """`url` of the fleet; `wrong`: errors of scripts and of the console, and dialogs that no page of ours opens."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.wrong: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        page.on("console", self._said)

    def _said(self, said: ConsoleMessage) -> None:
        if said.type in ("error", "warning") and not any(route in said.location["url"] for route in UNTOLD):
            self.wrong.append(f"{said.text} {said.location['url']}")

    async def open(self, path: str) -> None:
        """A view, once its title is there."""
        await self.page.goto(self.url + path)
        await expect(self.page.locator("main h1")).to_be_visible(timeout=PATIENCE)

    async def sees(self, text: str) -> None:
        await expect(self.page.locator("main")).to_contain_text(text, timeout=PATIENCE)

    async def hears(self, text: str) -> None:
        """It is said to a screen reader, and shown."""
        await expect(self.page.locator("#spoken")).to_contain_text(text, timeout=PATIENCE)

    async def gives_the_token(self, token: str = TOKEN) -> None:
        field = self.page.get_by_label("Token", exact=True)
        await field.fill(token, timeout=PATIENCE)
        await field.press("Enter")

    async def until(self, true: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + PATIENCE / 1000
        while not await true():
            assert time.monotonic() < deadline, what
            await asyncio.sleep(0.05)

    async def barriers(self, *, looks: bool = False) -> list[str]:
        """What axe-core finds on the page as it is; `looks`: of colours and sizes alone, where the rest was held already."""
        if not await self.page.evaluate("() => 'axe' in window"):
            await self.page.evaluate(AXE)
        what = {"type": "rule", "values": LOOKS} if looks else {"type": "tag", "values": RULES}
        found = await self.page.evaluate("(what) => axe.run(document, {runOnly: what})", what)
        return [
            f"{each['id']}: {json.dumps([node['html'] for node in each['nodes'][:3]])}" for each in found["violations"]
        ]

    async def broken_rules(self) -> list[str]:
        """Of the content security policy, and scripts of strangers that ran."""
        return [*await self.page.evaluate("() => window.violations"), *await self.page.evaluate("() => window.owned")]


@asynccontextmanager
async def browsing(url: str, **context: Any) -> AsyncIterator[Person]:
    program = shutil.which("chromium")
    assert program
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = await (await browser.new_context(**{"reduced_motion": "reduce", **context})).new_page()
        await page.add_init_script(WATCH)
        yield Person(page, url)
        await browser.close()
