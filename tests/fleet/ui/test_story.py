"""Three real agents, seen through the pages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.async_api import expect

from model_manager.bus.claims import Claims
from model_manager.bus.connection import connect
from tests.bus.servers import Server
from tests.bus.working import COMFY
from tests.fleet.stage import served, settings_for
from tests.fleet.ui.browser import PATIENCE, Person, browsing
from tests.stories.machine import Machine, safetensors

pytestmark = pytest.mark.needs("chromium")

NOWHERE = "http://127.0.0.1:9"


async def test_three_agents_are_watched_scanned_and_one_of_them_dies(
    own: Server, machine_of: Callable[..., Machine], tmp_path: Path
) -> None:
    machines = [
        machine_of(NOWHERE, f"m{n}", WORKFLOW_IDS="", REDIS_URL=own.url, MACHINE_ID=f"gpu-{n}") for n in range(3)
    ]
    for machine in machines:
        machine.start()
    async with served(settings_for(own.url, tmp_path)) as client, browsing(client.url) as person:
        await asyncio.gather(*(machine.until_ready() for machine in machines))
        await person.open("/ui/")
        await expect(person.page.locator(".card .badge.good")).to_have_count(3, timeout=PATIENCE)
        shelf = machines[1].store / "loras"
        shelf.mkdir(parents=True, exist_ok=True)
        (shelf / "new.safetensors").write_bytes(safetensors(60_000, 5))
        await person.page.get_by_role("link", name="Models", exact=True).click()
        await person.sees("new.safetensors")
        await person.page.get_by_role("button", name="Scan all machines").click()
        await person.gives_the_token()
        done = person.page.locator("dialog tbody .badge.good")
        await expect(done).to_have_count(3, timeout=PATIENCE)
        await person.page.keyboard.press("Escape")
        await _job(person, own)
        machines[2].kill()
        await person.page.get_by_role("link", name="Doctor", exact=True).click()
        await expect(person.page.get_by_label("Silent machines").first).to_contain_text("gpu-2", timeout=2 * PATIENCE)
        assert await person.broken_rules() == []
        assert person.wrong == []


async def _job(person: Person, server: Server) -> None:
    """A job's whole life, as its page shows it while a worker has it: it waits, runs, is given up with a reason, and goes once more."""
    page = person.page
    await page.get_by_role("link", name="Jobs", exact=True).click()
    await page.get_by_role("button", name="Submit a job").click()
    await page.get_by_label("Models, one a line").fill("loras/new.safetensors")
    await page.get_by_label("Service").fill("comfyui")
    await page.get_by_role("button", name="Check first").click()
    await expect(page.locator("dialog .notice")).to_contain_text("No machine can take it now", timeout=PATIENCE)
    await page.get_by_role("button", name="Submit anyway").click()
    await person.sees("comes nearest")
    await page.locator("td a").first.click()
    life = page.get_by_role("region", name="How it goes")
    await expect(life).to_contain_text("pending", timeout=PATIENCE)
    redis = connect(server.url)
    claims = Claims(redis, "", patience=5.0)
    await claims.offer("gpu-1", COMFY)
    work = await claims.claim("gpu-1", "worker-7", wait=20.0)
    assert work is not None
    await expect(life).to_contain_text("gpu-1, worker-7", timeout=PATIENCE)
    await claims.fail(work, "out of memory", how="final")
    await expect(life).to_contain_text("out of memory", timeout=PATIENCE)
    await expect(life).to_contain_text("dead")
    await expect(life).to_contain_text("gave it up")
    await page.get_by_role("button", name="Try again").click()
    await person.hears("is pending.")
    work = await claims.claim("gpu-1", "worker-7", wait=20.0)
    assert work is not None
    await claims.complete(work, "a picture")
    await expect(life).to_contain_text("done", timeout=PATIENCE)
    await expect(page.get_by_text("Result")).to_be_visible()
    await redis.aclose()
