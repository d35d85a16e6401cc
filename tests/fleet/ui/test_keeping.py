"""What was told of models, in the browser: StableQueue's database taken in, and the store emptied after a copy."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.fleet.stablequeue.test_taking import made
from tests.fleet.stage import Client
from tests.fleet.ui.browser import PATIENCE, browsing
from tests.fleet.ui.hostile import XSS
from tests.neighbours.test_stablequeue import DOCUMENTED

pytestmark = pytest.mark.needs("chromium")


async def test_k8_a_database_is_shown_before_it_is_taken_in_and_the_store_is_emptied_when_somebody_is_sure(
    fleet: Client, tmp_path: Path
) -> None:
    rows: list[dict[str, object]] = [
        {**DOCUMENTED, "civitai_model_name": XSS},
        {**DOCUMENTED, "id": 9, "filename": f"../{XSS}.pt", "hash_sha256": None, "hash_autov2": None},
    ]
    data = made(tmp_path, *rows, servers=("forge-1",))
    async with browsing(fleet.url) as person:
        page = person.page
        await person.open("/ui/models")
        await page.get_by_role("button", name="Database…").click()
        dialog = page.get_by_role("dialog", name="What was told of models")
        file = dialog.get_by_label("Its file, mobilesd_models.sqlite")
        await file.set_input_files(files=[{"name": "x.sqlite", "mimeType": "", "buffer": b"no database"}])
        await dialog.get_by_role("button", name="See what it holds").click()
        await person.gives_the_token()
        await expect(dialog.get_by_role("alert")).to_contain_text("It is no SQLite database.", timeout=PATIENCE)
        await file.set_input_files(files=[{"name": "x.sqlite", "mimeType": "", "buffer": data}])
        await dialog.get_by_role("button", name="See what it holds").click()
        await expect(dialog.get_by_role("button", name="Take in 1 model")).to_be_enabled(timeout=PATIENCE)
        assert (await fleet.get("/api/v1/models"))["total"] == 0
        await dialog.get_by_text("What is left out, and why").click()
        await expect(dialog.get_by_role("region", name="What is left out")).to_contain_text("onerror", timeout=PATIENCE)
        assert await person.barriers() == []
        await dialog.get_by_role("button", name="Take in 1 model").click()
        await fleet.until("/api/v1/models", lambda body: body["total"] == 1)
        await dialog.get_by_role("button", name="Empty it…").click()
        await expect(dialog.get_by_role("status").last).to_contain_text("A copy is kept", timeout=PATIENCE)
        await dialog.get_by_role("button", name="Empty it", exact=True).click()
        await fleet.until("/api/v1/models", lambda body: body["total"] == 0)
        await dialog.get_by_role("button", name="Forget models that are nowhere").click()
        await expect(page.locator("#spoken")).not_to_be_empty(timeout=PATIENCE)
        assert await person.broken_rules() == []
        assert [each for each in person.wrong if "422" not in each] == []
