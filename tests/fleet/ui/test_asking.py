"""Jobs and workflows in the browser: what is asked of the fleet, and what it answers before anything is done."""

from __future__ import annotations

import orjson
import pytest
from playwright.async_api import expect
from redis.asyncio import Redis

from model_manager.bus.claims import Claims
from tests.bus.servers import Server
from tests.bus.working import COMFY
from tests.fleet.conftest import Join
from tests.fleet.replying import described, replying
from tests.fleet.stage import Client, files
from tests.fleet.ui.browser import PATIENCE, browsing
from tests.fleet.ui.hostile import XSS

pytestmark = pytest.mark.needs("chromium")


async def test_a_job_is_checked_before_it_is_submitted_and_says_why_it_waits(fleet: Client, join: Join) -> None:
    await join("m1").begin(*files("a.safetensors"))
    await fleet.until("/models", lambda body: body["total"] == 1)
    async with browsing(fleet.url) as person:
        page = person.page
        await person.open("/ui/jobs")
        await page.get_by_role("button", name="Submit a job").click()
        await page.get_by_label("Models, one a line").fill("nobody-has-this.safetensors")
        await page.get_by_role("button", name="Check first").click()
        await person.gives_the_token()
        await expect(page.locator("dialog .notice")).to_contain_text("No machine can take it now", timeout=PATIENCE)
        assert (await fleet.get("/jobs?state=pending"))["items"] == []
        assert await person.barriers() == []
        await page.get_by_role("button", name="Submit anyway").click()
        await person.hears("is queued.")
        await person.sees("nobody-has-this.safetensors")
        await page.locator("td a").first.click()
        await expect(page.get_by_role("button", name="Cancel it")).to_be_visible(timeout=PATIENCE)
        assert await person.barriers() == []
        await page.get_by_role("button", name="Cancel it").click()
        await person.hears("is cancelled.")
        assert person.wrong == []


async def test_k8_a_job_tells_each_try_with_its_machine_its_times_and_its_reason(
    fleet: Client, redis: Redis, join: Join
) -> None:
    await join("m1").begin(*files("a.safetensors"))
    claims = Claims(redis, "", patience=5.0)
    await claims.offer("m1", COMFY)
    await fleet.post("/jobs", {"id": "j1", "asks": {"models": ["a.safetensors"], "service": "comfyui"}}, 202)
    async with browsing(fleet.url) as person:
        await person.open("/ui/jobs/j1")
        life = person.page.get_by_role("region", name="How it goes")
        await expect(life).to_contain_text("pending", timeout=PATIENCE)
        work = await claims.claim("m1", XSS)
        assert work is not None
        await claims.fail(work, f"out of memory {XSS}", backoff=0.0)
        assert await claims.claim("m1", "worker-2", lease=0.1) is not None
        work = await claims.claim("m1", "worker-3", wait=20.0, lease=60.0)
        assert work is not None
        steps = life.get_by_role("listitem")
        await expect(steps).to_have_count(4, timeout=PATIENCE)
        for at, texts in enumerate(
            [["submitted"], ["failed", XSS, "out of memory"], ["was lost", "worker-2"], ["running", "worker-3"]]
        ):
            for text in texts:
                await expect(steps.nth(at)).to_contain_text(text, timeout=PATIENCE)
        await expect(steps.nth(1).locator("time")).to_have_count(2)
        await claims.complete(work, "a picture")
        await expect(steps.nth(3)).to_contain_text("done", timeout=PATIENCE)
        await expect(steps.nth(3).locator("time")).to_have_count(2)
        assert await person.barriers() == []
        assert await person.broken_rules() == []
        assert person.wrong == []


async def test_a_dropped_workflow_says_what_is_missing_where(fleet: Client, join: Join) -> None:
    await join("m1").begin(*files("base.safetensors", folder="checkpoints"))
    await join("m2").begin(*files("other.safetensors"))
    await fleet.until("/machines", lambda body: body["total"] == 2)
    prompt = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "base.safetensors"}},
        "2": {"class_type": "LoraLoader", "inputs": {"lora_name": f"{XSS}.safetensors", "model": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
    }
    dropped = {"name": "mine.json", "mimeType": "application/json", "buffer": orjson.dumps(prompt)}
    async with browsing(fleet.url) as person:
        await person.open("/ui/workflows")
        await person.page.locator("input[type=file]").set_input_files(files=[dropped])
        await person.sees("checkpoints/base.safetensors")
        await person.sees("nobody has it")
        await person.sees("Nobody says where it is")
        machines = person.page.get_by_role("region", name="Machines for the dropped workflow")
        await expect(machines).to_contain_text("nobody says where", timeout=PATIENCE)
        await machines.get_by_role("button", name="Fetch on m2").click()
        await person.gives_the_token()
        await person.hears("Nobody says where checkpoints/base.safetensors can be had.")
        assert await person.barriers() == []
        assert await person.broken_rules() == []
        garbage = {"name": "x.json", "mimeType": "application/json", "buffer": b"no workflow"}
        await person.page.locator("input[type=file]").set_input_files(files=[garbage])
        await expect(person.page.locator("main [role=alert]")).to_be_visible(timeout=PATIENCE)


async def test_what_a_person_says_of_a_model_is_kept_and_can_be_taken_back(
    fleet: Client, join: Join, shared: Server
) -> None:
    await join("m1").begin(*files("a.safetensors", hash="12" * 32))
    await fleet.until("/models", lambda body: body["total"] == 1)
    async with replying(shared.url, "m1", described), browsing(fleet.url) as person:
        await person.open("/ui/models/loras%2Fa.safetensors")
        await person.page.get_by_label("Say it yourself").select_option("civitai_model_base")
        await person.page.get_by_label("Value").fill(XSS)
        await person.page.get_by_role("button", name="Keep it").click()
        await person.gives_the_token()
        await person.hears("It is kept")
        await expect(person.page.get_by_role("cell", name=XSS, exact=True)).to_be_visible(timeout=PATIENCE)
        assert await person.broken_rules() == []
        await person.page.get_by_role("button", name="Take back civitai_model_base").click()
        await expect(person.page.get_by_role("cell", name=XSS, exact=True)).to_have_count(0, timeout=PATIENCE)
