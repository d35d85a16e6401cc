"""The filters, over HTTP and one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from model_manager.fleet.models.filtering import FILTERS, Filters
from model_manager.fleet.models.finding import Finding
from model_manager.fleet.models.releases import Releases
from model_manager.fleet.models.traits import Traits
from model_manager.fleet.registry import Registry
from model_manager.fleet.store import Claimed, Store
from tests.fleet.conftest import Join
from tests.fleet.made import Now
from tests.fleet.models.test_finding import many
from tests.fleet.stage import Client, files

ONE, TWO = "ab" * 32, "cd" * 32
LISTS = ("/search", "/models", "/api/v1/models")


async def known(fleet: Client, join: Join) -> None:
    """Three models, of which two are the same bytes; two are versions of one CivitAI model."""
    await join("m1").begin(
        *files("SD15/a.pt", "b.pt", hash=ONE),
        *files("c.pt", folder="checkpoints", hash=TWO),
        *files("d.pt", folder="vae", hash=""),
    )
    await fleet.until("/machines/m1", lambda body: body["machine"]["state"] == "live")
    await fleet.until("/search", lambda body: body["total"] == 4)
    told = {
        "SD15/a.pt": {
            "civitai_id": "7",
            "civitai_version_id": "70",
            "civitai_model_base": "SDXL",
            "tags": ["anime", "<b>"],
        },
        "b.pt": {"civitai_id": "7", "civitai_version_id": "71", "civitai_trained_words": '["red hat"]'},
    }
    rows = {row["filename"]: row for row in (await fleet.get("/api/v1/models"))["models"]}
    for name, fields in told.items():
        path = f"{fleet.url}/api/v1/models/{rows[name]['id']}/fields"
        async with fleet.session.put(
            path, json=fields, headers={"Authorization": "Bearer a-token-for-writes"}
        ) as answer:
            assert answer.status == 200, await answer.text()


async def test_every_filter_means_the_same_on_every_list(fleet: Client, join: Join) -> None:
    await known(fleet, join)
    expected = {
        "type=lora": 2, "type=checkpoint": 1, "type=vae": 1, "base=SDXL": 1, "base=Pony": 0, "tag=anime": 1,
        "tag=red+hat": 1, "tag=%3Cb%3E": 1, "under=loras/SD15": 1, "under=loras/": 2, "duplicates=true": 2,
        "duplicates=false": 2, "updates=true": 1, "updates=false": 3, "unused=true": 4, "unused=false": 0,
        "verified=true": 4, "conflicting=true": 0, "type=lora&updates=true": 1, "q=a.pt&base=SDXL": 1,
    }  # fmt: skip
    for path in LISTS:
        for asked, total in expected.items():
            assert (await fleet.get(f"{path}?{asked}"))["total"] == total, (path, asked)


async def test_the_later_version_is_the_one_without_an_update(fleet: Client, join: Join) -> None:
    await known(fleet, join)
    assert [row["name"] for row in (await fleet.get("/search?updates=true"))["items"]] == ["SD15/a.pt"]


async def test_the_facets_count_what_the_filters_find(fleet: Client, join: Join) -> None:
    await known(fleet, join)
    facets = await fleet.get("/facets")
    for name, asked in (("bases", "base"), ("tags", "tag"), ("types", "type"), ("folders", "under")):
        assert facets[name], name
        for each in facets[name]:
            async with fleet.session.get(f"{fleet.url}/models", params={asked: each["value"]}) as answer:
                assert (await answer.json())["total"] == each["models"], each


async def test_what_is_used_is_not_guessed_while_nobody_can_tell(fleet: Client, join: Join) -> None:
    await join("m1").begin(*files("a.pt"), flux=True)
    await fleet.until("/workflows", lambda body: body["total"] == 1)
    refused = await fleet.get("/models?unused=true", 409)
    assert "EMPROPS_API_BASE_URL" in refused["detail"]


@pytest.mark.parametrize("path", LISTS)
async def test_k9_a_filter_that_is_misspelt_is_refused(fleet: Client, path: str) -> None:
    await fleet.get(f"{path}?duplicate=true", 400)
    await fleet.get(f"{path}?duplicates=yes", 400)
    assert len({param.name for param in FILTERS}) == len(FILTERS)


async def test_few_that_fit_are_found_as_by_looking_through_all(tmp_path: Path) -> None:
    """With and without models that only other machines claim, and among places that words have found already."""
    seen = many(400)
    store = Store(tmp_path / "fleet.sqlite")
    registry = Registry(seen, Finding(seen), store)
    traits = Traits(registry, Releases(tmp_path / "releases.sqlite", Now()))
    filters = Filters(registry, cast(Any, None), traits, lambda: 0.0)
    everything = [*await registry.places()]
    told = {place: {"civitai_model_base": "SDXL" if n % 37 == 0 else "Pony"} for n, place in enumerate(everything)}
    await store.tell_all("manual", told | {"loras/5/claimed.pt": {"civitai_model_base": "SDXL"}})
    for claims in (0, 1):
        places = await registry.places()
        for given in (
            {"base": "SDXL"},
            {"base": "SDXL", "under": "loras/5"},
            {"under": "loras/5/"},
            {"under": "loras/"},
        ):
            found = await filters.chosen(places, given)
            plain = [
                place
                for place in places
                if given.get("base") in (None, registry.text(place, "civitai_model_base"))
                and place.startswith(given.get("under", "").rstrip("/"))
            ]
            plain = [place for place in plain if "under" not in given or f"{given['under'].rstrip('/')}/" in place]
            assert list(found) == plain, (claims, given)
            for part in (places[7:90], places[1:][::-1]):
                assert list(await filters.chosen(part, given)) == [place for place in part if place in plain]
        await store.claim("forge", [Claimed("loras/5/claimed.pt", 5, "")], (), whole=True)
    await store.close()
