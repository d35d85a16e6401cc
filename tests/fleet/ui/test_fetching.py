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
            served(settings_for(own.url, tmp_path, EMPROPS_API_BASE_URL=address)) as client,
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
            await dropped(person, "mine.png", "image/png", picture(DRAWN.encode()))
            await expect(row(person, "gpu-0")).to_contain_text("can run it", timeout=PATIENCE)
            await row(person, "gpu-1").get_by_role("button", name="Fetch on gpu-1").click()
            await expect(row(person, "gpu-1")).to_contain_text("can run it", timeout=PATIENCE)
            await person.sees("2 machines can run it now")
            assert person.wrong == []
