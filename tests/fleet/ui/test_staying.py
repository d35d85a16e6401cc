"""Pages that stay open while what they show goes away and comes back."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from playwright.async_api import Route, expect
from redis.asyncio import Redis

from tests.bus.servers import Server
from tests.fleet.conftest import Join
from tests.fleet.stage import TOKEN, Client, files, served, settings_for
from tests.fleet.ui.browser import PATIENCE, browsing

pytestmark = pytest.mark.needs("chromium")


AHEAD = "() => performance.getEntriesByName(location.origin + '/ui/assets/views/events.js').length > 0"
"""The script of another view is here before anybody goes there."""


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


async def test_l7_a_page_says_that_the_aggregator_is_gone_and_is_right_again_once_it_is_back(
    redis: Redis, shared: Server, join: Join, tmp_path: Path
) -> None:
    settings = settings_for(shared.url, tmp_path, MODEL_MANAGER_FLEET_PORT=free_port())
    machine = join("m1")
    async with served(settings) as fleet:
        await fleet.exact()
        await machine.begin(*files("a.safetensors"))
        await fleet.until("/models", lambda body: body["total"] == 1)
        url = fleet.url
    async with browsing(url) as person:
        page = person.page
        async with served(settings) as fleet:
            await fleet.until("/models", lambda body: body["total"] == 1)
            await person.open("/ui/models?as=table")
            await person.sees("1 found")
            await expect(page.locator(".tools")).to_contain_text("Live", timeout=PATIENCE)
        await expect(page.locator(".tools")).to_contain_text("Not connected; as of", timeout=PATIENCE)
        await person.sees("a.safetensors")
        machine.teller.appear(*files("b.safetensors"))
        await machine.tell()
        async with served(settings):
            await person.sees("2 found")
            await person.sees("b.safetensors")
            await expect(page.locator(".tools")).to_contain_text("Live", timeout=PATIENCE)
            await page.wait_for_function(AHEAD, timeout=PATIENCE)
        await expect(page.locator(".tools")).to_contain_text("Not connected; as of", timeout=PATIENCE)
        await page.get_by_role("link", name="Events", exact=True).click()
        await expect(page.locator("main [role=alert]")).to_contain_text("does not answer", timeout=PATIENCE)
        async with served(settings):
            await person.sees("b.safetensors")
            await expect(page.locator("main [role=alert]")).to_have_count(0, timeout=PATIENCE)


async def test_an_aggregator_that_is_silent_is_not_called_live(fleet: Client) -> None:
    async with browsing(fleet.url) as person:
        page, head = person.page, person.page.locator(".tools")
        await page.clock.install()
        await person.open("/ui/")
        await expect(head).to_contain_text("Live", timeout=PATIENCE)
        await page.route("**/events/stream", lambda route: route.abort())
        await page.clock.fast_forward(60_000)
        await expect(head).to_contain_text("Not connected; as of", timeout=PATIENCE)
        await page.unroute("**/events/stream")
        await expect(head).to_contain_text("Live", timeout=PATIENCE)


async def test_answers_that_take_longer_than_the_time_between_two_questions_are_shown(fleet: Client) -> None:
    async with browsing(fleet.url) as person:
        asked = 0

        async def slow(route: Route) -> None:
            nonlocal asked
            asked += 1
            await asyncio.sleep(2.5)
            await route.continue_()

        await person.page.route("**/jobs?state=next*", slow)
        await person.open("/ui/jobs")
        await person.sees("No job is in the queue.")
        assert asked == 1


async def test_a_view_whose_script_does_not_come_says_so_and_is_loaded_once_it_can_be(
    redis: Redis, fleet: Client
) -> None:
    async with browsing(fleet.url) as person:
        page = person.page
        await page.route("**/assets/views/events.js", lambda route: route.abort())
        await page.route("**/health", lambda route: route.abort())
        await person.open("/ui/")
        await page.get_by_role("link", name="Events", exact=True).click()
        await person.sees("This page did not come")
        assert await person.barriers() == []
        await page.unroute("**/assets/views/events.js")
        await page.unroute("**/health")
        await person.sees("Nothing was told yet.")
        assert page.url.endswith("/ui/events")


async def test_a_token_that_is_refused_in_the_middle_loses_nothing_that_was_typed(
    redis: Redis, shared: Server, join: Join, tmp_path: Path
) -> None:
    port = free_port()
    settings = settings_for(shared.url, tmp_path, MODEL_MANAGER_FLEET_PORT=port)
    await join("m1").begin(*files("a.safetensors"))
    async with browsing(f"http://127.0.0.1:{port}") as person:
        page = person.page
        async with served(settings) as fleet:
            await fleet.until("/models", lambda body: body["total"] == 1)
            await person.open("/ui/jobs")
            await page.get_by_role("button", name="Submit a job").click()
            await page.get_by_label("Models, one a line").fill("nobody-has-this.safetensors")
            await page.get_by_role("button", name="Check first").click()
            await person.gives_the_token()
            await expect(page.locator("dialog .notice")).to_contain_text("No machine can take it", timeout=PATIENCE)
        changed = settings_for(
            shared.url, tmp_path, MODEL_MANAGER_FLEET_PORT=port, MODEL_MANAGER_FLEET_TOKEN=f"{TOKEN}-2"
        )
        async with served(changed) as fleet:
            await fleet.exact()
            await page.get_by_role("button", name="Submit anyway").click()
            await expect(page.get_by_text("That token was refused.")).to_be_visible(timeout=PATIENCE)
            await person.gives_the_token(f"{TOKEN}-2")
            await person.hears("is queued.")
            await person.sees("nobody-has-this.safetensors")
