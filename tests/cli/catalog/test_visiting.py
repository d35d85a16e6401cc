from __future__ import annotations

import pytest

from model_manager.cli.catalog.visiting import visitor
from model_manager.settings import load
from tests.catalog.hub import digest, hub


async def test_addresses_are_visited_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    async with hub(a__pt=7_000_000_000) as (_, host):
        url = f"http://{host}/o/r/resolve/main/a.pt"
        async with visitor(load(), 600) as nobody:
            assert (await nobody.visit("a.pt", url)).outcome == "forbidden"
        monkeypatch.setenv("MODEL_MANAGER_ALLOW_HOSTS", host)
        monkeypatch.setenv("MODEL_MANAGER_HF_HOSTS", host)
        async with visitor(load(), 600) as allowed:
            visit = await allowed.visit("a.pt", url)
        assert (visit.outcome, visit.sha256) == ("there", digest("a.pt"))
