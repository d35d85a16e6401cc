"""What people look for at the pages: models by filters, and what is wrong with the fleet."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.async_api import expect

from model_manager.facts.event import DownloadFailed, DownloadVerified
from tests.fleet.conftest import Join
from tests.fleet.stage import DISK, Client, Player, files
from tests.fleet.ui.browser import PATIENCE, browsing

pytestmark = pytest.mark.needs("chromium")


async def test_models_are_filtered_by_folder_and_kind_and_the_address_says_so(fleet: Client, join: Join) -> None:
    held = [
        *files("SD15/a.safetensors", "SDXL/b.safetensors", hash="12" * 32),
        *files("c.safetensors", folder="vae", hash="34" * 32),
    ]
    await join("m1").begin(*held)
    await join("m2").begin(*files("c.safetensors", folder="vae", hash="34" * 32))
    await fleet.until("/models", lambda body: body["total"] == 3 and body["items"][2]["machines"] == 2)
    async with browsing(fleet.url) as person:
        page, cards = person.page, person.page.locator(".card.model")
        await person.open("/ui/models")
        await expect(cards).to_have_count(3, timeout=PATIENCE)
        folders = page.get_by_role("navigation", name="Folders")
        await folders.get_by_role("link", name="loras").click()
        await expect(cards).to_have_count(2, timeout=PATIENCE)
        await folders.get_by_role("link", name="SDXL").click()
        await expect(cards).to_have_count(1, timeout=PATIENCE)
        await person.sees("SDXL/b.safetensors")
        assert "under=loras%2FSDXL%2F" in page.url
        await page.reload()
        await expect(cards).to_have_count(1, timeout=PATIENCE)
        await page.get_by_role("button", name="Clear filters").click()
        await expect(cards).to_have_count(3, timeout=PATIENCE)
        await page.get_by_label("Only").select_option("single")
        await expect(cards).to_have_count(2, timeout=PATIENCE)
        await page.get_by_label("Only").select_option("duplicates")
        await person.sees("loras")
        assert await person.barriers() == []


async def test_the_doctor_tells_tokens_from_dead_links_and_forgets_what_came_after_all(
    fleet: Client, join: Join
) -> None:
    machine = join("m1")
    failed = DownloadFailed(folder="vae", name="gated.safetensors", reason="401", attempt=1, final=True, retry_at="")
    machine.teller.tell(replace(failed, error="NotAuthorized"))
    machine.teller.tell(replace(failed, name="gone.safetensors", reason="404", error="NotFound"))
    await machine.begin(*files("a.safetensors"))
    await aside(machine)
    await fleet.until("/machines", lambda body: body["total"] == 1)
    async with browsing(fleet.url) as person:
        await person.open("/ui/doctor")
        tokens = person.page.get_by_role("region", name="Tokens that are missing, expired or refused")
        await expect(tokens).to_contain_text("vae/gated.safetensors", timeout=PATIENCE)
        await expect(person.page.get_by_role("region", name="Dead links")).to_contain_text("vae/gone.safetensors")
        await expect(person.page.get_by_role("region", name="Files in quarantine")).to_contain_text(
            "2", timeout=PATIENCE
        )
        came = DownloadVerified(
            folder="vae", name="gated.safetensors", size=5, sha256="", evidence="pin", fetched=5,
            seconds=1.0,
        )  # fmt: skip
        machine.teller.tell(came)
        await machine.tell()
        await expect(tokens).to_have_count(0, timeout=PATIENCE)
        assert await person.barriers() == []


async def aside(machine: Player) -> None:
    await machine.bus.beat(machine.teller.beat(disks=(replace(DISK, quarantined=2),)), {})


async def test_the_way_back_leads_to_what_was_chosen_and_to_where_a_list_was_left(fleet: Client, join: Join) -> None:
    await join("m1").begin(*files(*(f"model-{n:04d}.safetensors" for n in range(300))), *files("v.pt", folder="vae"))
    await fleet.until("/models", lambda body: body["total"] == 301)
    async with browsing(fleet.url) as person:
        page = person.page
        await person.open("/ui/models?as=table")
        await person.sees("301 found")
        await page.keyboard.press("/")
        await page.keyboard.type("model")
        await person.sees("300 found")
        rows = page.locator(".rows")
        await rows.evaluate("(box) => { box.scrollTop = 6000; }")
        await page.get_by_role("link", name="loras/model-0155.safetensors").click()
        await expect(page.locator("h1")).to_have_text("loras/model-0155.safetensors", timeout=PATIENCE)
        await page.go_back()
        await expect(page.get_by_role("link", name="loras/model-0155.safetensors")).to_be_in_viewport(timeout=PATIENCE)
        await page.get_by_label("Only").select_option("conflicting")
        await person.sees("0 found")
        await page.go_back()
        await person.sees("300 found")
        await expect(page.get_by_label("Name or folder")).to_have_value("model")
        await page.get_by_role("link", name="Models", exact=True).click()
        await expect(page.get_by_label("Name or folder")).to_have_value("")
        await person.sees("301 found")
        assert page.url.endswith("/ui/models")
        assert person.wrong == []
