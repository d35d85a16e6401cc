"""Models by number and digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.fleet.models.finding import Finding
from model_manager.fleet.registry import Registry, number_of
from model_manager.fleet.store import Claimed, Store
from model_manager.serving.problems import Answer
from tests.fleet.models.test_finding import many

SHA = "cd" * 32


@pytest.fixture
async def registry(tmp_path: Path) -> Registry:
    seen = many(3)
    store = Store(tmp_path / "fleet.sqlite")
    await store.claim("forge", [Claimed("vae/only-there.pt", 5, SHA)], [], whole=True)
    return Registry(seen, Finding(seen), store)


def test_a_number_is_the_same_everywhere_and_fits_into_json() -> None:
    assert number_of("loras/a.pt") == number_of("loras/a.pt") != number_of("loras/b.pt")
    assert all(0 <= number_of(f"loras/{n}.pt") < 2**53 for n in range(1_000))
    assert len({number_of(f"loras/{n}.pt") for n in range(100_000)}) == 100_000


async def test_ids_are_numbers_or_digests(registry: Registry) -> None:
    place = (await registry.places())[0]
    assert await registry.place(str(number_of(place))) == place
    assert await registry.place(SHA.upper()) == "vae/only-there.pt"
    assert await registry.place(SHA[:10]) == "vae/only-there.pt"
    for nobody in ("7", "ef" * 32, "abc"):
        with pytest.raises(Answer) as refused:
            await registry.place(nobody)
        assert refused.value.status == 404


async def test_what_others_claim_is_listed_with_the_rest(registry: Registry) -> None:
    assert len(await registry.places()) == 4
    assert list(await registry.places("only", "vae")) == ["vae/only-there.pt"]
    assert [server for server, _ in registry.claimants("vae/only-there.pt")] == ["forge"]


async def test_a_version_leads_to_its_digests(registry: Registry) -> None:
    await registry.store.tell("vae/only-there.pt", "civitai", {"civitai_version_id": "128713"})
    assert await registry.lookup("128713") == [SHA]
    assert await registry.lookup("1") == []
