"""One model in the browser: what a person corrects, a scan that is ended, and a removal that is taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from model_manager.facts.event import OrderAnswered
from tests.bus.servers import Server
from tests.fleet.conftest import Join
from tests.fleet.replying import described, replying
from tests.fleet.stage import Client, files, served, settings_for
from tests.fleet.test_dropping import picture
from tests.fleet.ui.browser import PATIENCE, browsing
from tests.fleet.ui.hostile import XSS
from tests.stories.machine import Machine, safetensors

pytestmark = pytest.mark.needs("chromium")

NOWHERE = "http://127.0.0.1:9"


async def test_what_a_person_corrects_goes_before_whatever_a_rescan_finds(
    fleet: Client, join: Join, shared: Server
) -> None:
    found = ["SD 1.5"]

    def told(_: Any) -> Any:
        words = {"field": "civitai_model_base", "value": found[0], "teller": "forge", "at": "2026-01-02T03:04:05Z"}
        return described(_, told=[words])

    await join("m1").begin(*files("a.safetensors", hash="12" * 32))
    await fleet.until("/models", lambda body: body["total"] == 1)
    (row,) = (await fleet.get("/api/v1/models"))["models"]
    async with replying(shared.url, "m1", told), browsing(fleet.url) as person:
        page = person.page
        await person.open("/ui/models/loras%2Fa.safetensors")
        await page.get_by_role("button", name="Correct civitai_model_base").click()
        await expect(page.get_by_label("Value")).to_have_value("SD 1.5", timeout=PATIENCE)
        await page.get_by_label("Value").fill(XSS)
        await page.keyboard.press("Enter")
        await person.gives_the_token()
        await person.hears("It is kept, whatever a scan finds.")
        rows = page.get_by_role("region", name="What is told of it").locator("tbody tr")
        await expect(rows.filter(has_text=XSS)).to_contain_text("yes", timeout=PATIENCE)
        found[0] = "SDXL 1.0"
        await fleet.post(f"/api/v1/models/{row['id']}/rescan", {})
        await page.reload()
        await expect(rows.filter(has_text="SDXL 1.0")).to_contain_text("no", timeout=PATIENCE)
        await expect(rows.filter(has_text=XSS)).to_contain_text("yes", timeout=PATIENCE)
        assert (await fleet.get(f"/api/v1/models/{row['id']}"))["model"]["civitai_model_base"] == XSS
        await page.get_by_role("button", name="Take back civitai_model_base").click()
        await expect(rows.filter(has_text="SDXL 1.0")).to_contain_text("yes", timeout=PATIENCE)
        assert await person.broken_rules() == []
        assert person.wrong == []


async def test_a_scan_is_watched_and_ended_from_the_page(fleet: Client, join: Join, shared: Server) -> None:
    machine = join("m1")
    await machine.begin(*files("a.safetensors"))
    await fleet.until("/fleet", lambda body: body["machines"]["live"] == 1)

    def answer(order: str, what: str, state: str, why: str = "") -> None:
        machine.teller.tell(OrderAnswered(order=order, what=what, state=state, files=0, why=why))

    async with replying(shared.url, "m1", lambda order: None) as heard, browsing(fleet.url) as person:
        page = person.page
        await person.open("/ui/models")
        await page.get_by_role("button", name="Scan all machines").click()
        await person.gives_the_token()
        scan = page.get_by_role("dialog", name="Scan")
        await expect(scan).to_contain_text("running", timeout=PATIENCE)
        answer(heard[0].id, "scan", "begun")
        await machine.tell()
        await expect(scan.locator("tbody")).to_contain_text("begun", timeout=PATIENCE)
        assert await person.barriers() == []
        await scan.get_by_role("button", name="Stop it").click()
        await expect(scan).to_contain_text("stopping", timeout=PATIENCE)
        stop = [each for each in heard if each.what == "stop"]
        assert len(stop) == 1
        answer(heard[0].id, "scan", "dropped", "it was stopped")
        answer(stop[0].id, "stop", "done")
        await machine.tell()
        await person.hears("The scan was stopped; what it had found stays found.")
        await expect(scan.get_by_role("button", name="Stop it")).to_have_count(0)
        assert person.wrong == []


async def test_a_picture_beside_a_file_is_seen_and_a_removed_model_comes_back(
    own: Server, machine_of: Callable[..., Machine], tmp_path: Path
) -> None:
    machine = machine_of(NOWHERE, "m", WORKFLOW_IDS="", REDIS_URL=own.url, MACHINE_ID="gpu-0")
    shelf = machine.store / "loras"
    shelf.mkdir(parents=True)
    (shelf / "mine.safetensors").write_bytes(safetensors(60_000, 5))
    (shelf / "mine.preview.png").write_bytes(picture(b"{}"))
    machine.start()
    async with served(settings_for(own.url, tmp_path)) as client, browsing(client.url) as person:
        page = person.page
        await machine.until_ready()
        await client.until("/models", lambda body: body["total"] == 1)
        await person.open("/ui/models")
        seen = "() => [...document.querySelectorAll('.card.model img')].some((each) => each.naturalWidth > 0)"
        await person.until(lambda: page.evaluate(seen), "the picture is seen in the grid")
        await page.get_by_role("link", name="mine.safetensors").click()
        await page.get_by_role("button", name="Remove…").click()
        await page.get_by_role("button", name="See what would go").click()
        await person.gives_the_token()
        dialog = page.get_by_role("dialog", name="Remove loras/mine.safetensors")
        await expect(dialog).to_contain_text("2 files would be moved aside", timeout=PATIENCE)
        assert await person.barriers() == []
        assert (shelf / "mine.safetensors").exists()
        await dialog.get_by_role("button", name="Remove 2 files").click()
        await expect(dialog).to_contain_text("2 files moved aside", timeout=PATIENCE)
        await machine.until(lambda: not (shelf / "mine.safetensors").exists(), "the file is moved aside")
        await dialog.get_by_role("button", name="Bring it back").click()
        await person.hears("2 files came back.")
        assert (shelf / "mine.safetensors").exists()
        await asyncio.to_thread(machine.end)
        assert await person.broken_rules() == []
        assert [each for each in person.wrong if "404" not in each] == []
