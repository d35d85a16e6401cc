"""One click on the page of workflows, and a real agent fetches what it misses: seen through the page alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.async_api import FilePayload, Locator, expect

from tests.bus.servers import Server
from tests.decisions.workflows.drawing import node, ui
from tests.fleet.stage import served, settings_for
from tests.fleet.test_dropping import picture
from tests.fleet.ui.browser import PATIENCE, Person, browsing
from tests.stories.machine import Machine, catalog, record, safetensors, sha256
from tests.stories.origin import FaultyOrigin, held_at

pytestmark = pytest.mark.needs("chromium")

DRAWN = json.dumps(
    ui(node(1, "CheckpointLoaderSimple", "base.safetensors"), node(2, "LoraLoader", "late.safetensors", 1, 1))
)
DATA = {"base.safetensors": safetensors(400_000, 1), "late.safetensors": safetensors(2_000_000, 2)}
PLACES = {"base.safetensors": "checkpoints", "late.safetensors": "loras"}
OWN = safetensors(300_000, 3)


def own_workflow(url: str) -> bytes:
    """It says itself where its model is; nobody else does."""
    told = {"name": "own.safetensors", "url": url, "directory": "loras"}
    return json.dumps(ui(node(1, "LoraLoader", "own.safetensors", 1, 1, properties={"models": [told]}))).encode()


async def dropped(person: Person, name: str, kind: str, data: bytes) -> None:
    payload: FilePayload = {"name": name, "mimeType": kind, "buffer": data}
    await person.page.locator("input[type=file]").set_input_files(files=[payload])
    await expect(person.page.get_by_role("heading", name=name)).to_be_visible(timeout=PATIENCE)


def row(person: Person, machine: str) -> Locator:
    table = person.page.get_by_role("region", name="Machines for the dropped workflow")
    return table.locator("tr", has=person.page.get_by_role("link", name=machine))


async def test_a_dropped_workflow_is_fetched_with_one_click_and_the_page_says_when_it_can_run(
    own: Server, origin: FaultyOrigin, machine_of: Callable[..., Machine], tmp_path: Path
) -> None:
    release = asyncio.Event()
    slow = {"late.safetensors": held_at(1_000_000, release)}
    records = [
        record(name, origin.put(f"/{name}", data, slow.get(name)), f"models/{PLACES[name]}/{name}", data)
        for name, data in DATA.items()
    ]
    async with catalog(tmp_path / "c", {"models": records, "workflows": []}) as address:
        machines = [
            machine_of(address, f"m{n}", WORKFLOW_IDS="", REDIS_URL=own.url, MACHINE_ID=f"gpu-{n}", MODEL_MANAGER_ALLOW_HOSTS=origin.host)
            for n in range(2)
        ]  # fmt: skip
        for machine in machines:
            machine.start()
        async with (
            served(
                settings_for(own.url, tmp_path, EMPROPS_API_BASE_URL=address, MODEL_MANAGER_ALLOW_HOSTS=origin.host)
            ) as client,
            browsing(client.url) as person,
        ):
            await asyncio.gather(*(machine.until_ready() for machine in machines))
            await client.until("/fleet", lambda body: body["machines"]["live"] == 2)
            await person.open("/ui/workflows")
            await dropped(person, "mine.json", "application/json", DRAWN.encode())
            await person.sees("No machine can run it now")
            await expect(row(person, "gpu-0")).to_contain_text("fetch loras/late.safetensors")
            await row(person, "gpu-0").get_by_role("button", name="Fetch on gpu-0").click()
            await person.gives_the_token()
            await person.hears("Handed to 1 machine.")
            await expect(row(person, "gpu-0")).to_contain_text("fetching", timeout=PATIENCE)
            release.set()
            await expect(row(person, "gpu-0")).to_contain_text("can run it", timeout=PATIENCE)
            await person.sees("1 machine can run it now")
            assert machines[0].files() == {f"{PLACES[name]}/{name}": sha256(data) for name, data in DATA.items()}
            dialog = await cell(person, "late.safetensors", "gpu-1")
            await expect(dialog.get_by_role("radio")).to_be_checked(timeout=PATIENCE)
            await expect(dialog).to_contain_text("catalog")
            assert await person.barriers() == []
            await dialog.get_by_role("button", name="Fetch there").click()
            await person.hears("Handed to 1 machine.")
            await machines[1].until(lambda: "loras/late.safetensors" in machines[1].files(), "it is there too")
            await person.open("/ui/workflows")
            await dropped(person, "mine.png", "image/png", picture(DRAWN.encode()))
            await expect(row(person, "gpu-0")).to_contain_text("can run it", timeout=PATIENCE)
            await row(person, "gpu-1").get_by_role("button", name="Fetch on gpu-1").click()
            await expect(row(person, "gpu-1")).to_contain_text("can run it", timeout=PATIENCE)
            await person.sees("2 machines can run it now")
            assert person.wrong == []


async def cell(person: Person, model: str, machine: str) -> Locator:
    """Its dialog, opened from the keyboard."""
    await person.open(f"/ui/matrix?q={model}")
    focused = person.page.locator(".cell")
    await focused.focus()
    for _ in range(machine.endswith("1")):
        await person.page.keyboard.press("ArrowRight")
    await expect(focused).to_have_attribute("aria-label", f"loras/{model} on {machine}: absent", timeout=PATIENCE)
    await person.page.keyboard.press("Enter")
    await person.page.get_by_role("button", name="Fetch there…").click()
    return person.page.get_by_role("dialog", name=f"Fetch loras/{model}")


async def test_what_only_a_workflow_knows_is_fetched_and_what_nobody_knows_is_not_sent_for(
    own: Server, origin: FaultyOrigin, machine_of: Callable[..., Machine], tmp_path: Path
) -> None:
    url = origin.put("/own.safetensors", OWN)
    machines = [
        machine_of("http://127.0.0.1:9", f"m{n}", WORKFLOW_IDS="", REDIS_URL=own.url, MACHINE_ID=f"gpu-{n}", MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        for n in range(2)
    ]  # fmt: skip
    for machine in machines:
        (machine.store / "loras").mkdir(parents=True)
        machine.start()
    (machines[0].store / "loras" / "alone.safetensors").write_bytes(safetensors(5_000, 9))
    async with (
        served(settings_for(own.url, tmp_path, MODEL_MANAGER_ALLOW_HOSTS=origin.host)) as client,
        browsing(client.url) as person,
    ):
        await asyncio.gather(*(machine.until_ready() for machine in machines))
        await client.until("/fleet", lambda body: body["machines"]["live"] == 2)
        await person.open("/ui/workflows")
        await dropped(person, "own.json", "application/json", own_workflow(url))
        await person.sees("The workflow says where it is")
        await row(person, "gpu-0").get_by_role("button", name="Fetch on gpu-0").click()
        await person.gives_the_token()
        await expect(row(person, "gpu-0")).to_contain_text("can run it", timeout=PATIENCE)
        assert machines[0].files()["loras/own.safetensors"] == sha256(OWN)
        await client.until("/models", lambda body: body["total"] == 2)
        dialog = await cell(person, "alone.safetensors", "gpu-1")
        await expect(dialog).to_contain_text("Nobody says where", timeout=PATIENCE)
        await expect(dialog.get_by_role("button", name="Fetch there")).to_be_disabled()
        await dialog.get_by_label("Its address").fill(origin.put("/alone.safetensors", safetensors(5_000, 9)))
        assert await person.barriers() == []
        await dialog.get_by_role("button", name="Fetch there").click()
        await person.hears("Handed to 1 machine.")
        await machines[1].until(lambda: "loras/alone.safetensors" in machines[1].files(), "it came from there")
        assert person.wrong == []
