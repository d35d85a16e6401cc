"""What somebody has the fleet look for from the pages: newer versions at CivitAI, and what is wrong with the catalog's addresses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import expect
from redis.asyncio import Redis

from model_manager.catalog.run import serve as catalog_at
from model_manager.cli.catalog.serve import rules_of
from tests.bus.servers import Server
from tests.facts.test_release import version
from tests.fleet.conftest import Join
from tests.fleet.models.test_filtering import known
from tests.fleet.replying import described, replying
from tests.fleet.stage import served, settings_for
from tests.fleet.ui.browser import PATIENCE, browsing
from tests.fleet.ui.hostile import XSS
from tests.sources.serving import served as site_at
from tests.stories.machine import record
from tests.stories.origin import FaultyOrigin

pytestmark = pytest.mark.needs("chromium")


async def civitai(_: web.Request) -> web.Response:
    """Model 7 has a later version, of which the fleet knows nothing."""
    newer = version(73, baseModel="SDXL", name=XSS)
    newer["files"][0]["hashes"] = {"SHA256": "EF" * 32}
    return web.json_response(
        {"items": [{"id": 7, "name": "x", "modelVersions": [newer, version(70, baseModel="SDXL")]}]}
    )


async def test_k8_newer_versions_are_asked_for_found_and_can_be_fetched(
    redis: Redis, shared: Server, join: Join, tmp_path: Path
) -> None:
    async with site_at(civitai) as host:
        settings = settings_for(shared.url, tmp_path, MODEL_MANAGER_CIVITAI_API=f"http://{host}")
        async with served(settings) as fleet, replying(shared.url, "m1", described), browsing(fleet.url) as person:
            await fleet.exact()
            await known(fleet, join)
            page = person.page
            await person.open("/ui/models")
            await page.get_by_role("button", name="Updates…").click()
            dialog = page.get_by_role("dialog", name="Newer versions")
            await expect(dialog).to_contain_text("not checked yet", timeout=PATIENCE)
            await dialog.get_by_role("button", name="Ask CivitAI").click()
            await person.gives_the_token()
            await expect(dialog).to_contain_text("have a later version", timeout=PATIENCE)
            assert await person.barriers() == []
            await dialog.get_by_role("link", name="Show them").click()
            await expect(page.locator(".card.model .chip")).to_have_count(2, timeout=PATIENCE)
            assert "only=updates" in page.url
            await page.get_by_role("link", name="SD15/a.pt").click()
            await person.sees("CivitAI has a newer version")
            versions = page.get_by_role("region", name="Versions at CivitAI")
            await expect(versions.locator("tr").filter(has_text=XSS)).to_contain_text("newer", timeout=PATIENCE)
            await versions.get_by_role("button", name=f"Fetch version {XSS}").click()
            fetch = page.get_by_role("dialog")
            await expect(fetch).to_contain_text("https://civitai.com/api/download/models/73", timeout=PATIENCE)
            await expect(fetch.get_by_role("button", name="Fetch there")).to_be_enabled()
            assert await person.barriers() == []
            assert await person.broken_rules() == []
            assert person.wrong == []


async def test_the_catalogs_addresses_are_visited_and_dead_links_are_told_with_their_age(
    redis: Redis, shared: Server, origin: FaultyOrigin, tmp_path: Path
) -> None:
    gone = f"http://{origin.host}/gone.safetensors"
    models = [record("gone.safetensors", gone, "models/loras/gone.safetensors", description=XSS)]
    plain = settings_for(shared.url, tmp_path, MODEL_MANAGER_ALLOW_HOSTS=origin.host)
    rules = replace(rules_of(plain, read_only=False), writers={"ann": "ann-may-write"})
    async with catalog_at(tmp_path / "c.sqlite", rules=rules, records={"models": models, "workflows": []}) as url:
        settings = settings_for(shared.url, tmp_path, EMPROPS_API_BASE_URL=url, EMPROPS_API_KEY="ann-may-write")
        async with served(settings) as fleet, browsing(fleet.url, color_scheme="dark") as person:
            page = person.page
            await person.open("/ui/doctor")
            await person.sees("Nobody looked yet.")
            await page.get_by_role("button", name="Visit them now").click()
            await person.gives_the_token()
            dead = page.get_by_role("region", name="Dead links in the catalog")
            await expect(dead).to_contain_text("gone.safetensors", timeout=PATIENCE)
            await expect(dead.get_by_role("link", name=gone)).to_have_attribute("href", gone)
            await person.sees("1 of 1 record looked at, 1 wrong")
            await expect(page.get_by_role("button", name="Visit them again")).to_be_visible(timeout=PATIENCE)
            assert await person.barriers() == []
            assert await person.broken_rules() == []
            assert person.wrong == []
