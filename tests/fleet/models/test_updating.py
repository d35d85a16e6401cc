from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.fleet.models.finding import Finding
from model_manager.fleet.models.releases import Releases
from model_manager.fleet.models.traits import Traits
from model_manager.fleet.models.updating import Updating, shelf_of
from model_manager.fleet.registry import Registry
from model_manager.fleet.store import Store
from tests.fleet.made import Now
from tests.fleet.models.test_finding import many
from tests.fleet.models.test_releases import release


async def updating(directory: Path, *told: tuple[str, str, str]) -> tuple[Updating, list[str]]:
    """Of models with these numbers, versions and base models."""
    view = many(len(told))
    store = Store(directory / "fleet.sqlite")
    registry = Registry(view, Finding(view), store)
    places = list(await registry.places())
    fields = ("civitai_id", "civitai_version_id", "civitai_model_base")
    words = {place: dict(zip(fields, each, strict=True)) for place, each in zip(places, told, strict=True)}
    await store.tell_all("manual", words)
    releases = Releases(directory / "releases.sqlite", Now())
    return Updating(registry, releases, Traits(registry, releases)), places


async def test_a_version_that_machines_hold_or_that_is_published_makes_an_older_one_outdated(tmp_path: Path) -> None:
    made, (old, new, lone) = await updating(tmp_path, ("7", "70", "SDXL"), ("7", "71", "SDXL"), ("8", "80", "SDXL"))
    await made.refresh()
    assert made.outdated == {old}
    assert made.family("7") == {old, new}
    before = made.state
    await made.releases.learn({"8": [release(81), release(80)]}, {"7"})
    await made.refresh()
    assert made.state != before
    assert made.outdated == {old, lone}
    assert [made.latest(each) for each in (old, lone)] == [71, 81]


async def test_a_version_for_another_base_model_is_no_newer_one(tmp_path: Path) -> None:
    made, (known, unknown, none) = await updating(tmp_path, ("7", "70", "SD 1.5"), ("8", "80", ""), ("", "90", ""))
    await made.releases.learn({"7": [release(72, "Pony"), release(71, "SDXL")], "8": [release(81, "Pony")]}, ())
    await made.refresh()
    assert made.outdated == {unknown}
    assert [made.newer(known, release(71, base)) for base in ("SDXL", "SD 1.5", "")] == [False, True, True]
    assert made.said(none) is None
    await made.releases.learn({"7": [release(73, "")]}, ())
    await made.refresh()
    assert known in made.outdated, "one for which nobody told a base model may be for this one"


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("b.safetensors", "loras/SD15/b.safetensors"),
        ("../b.pt", ""),
        ("", ""),
        ("x/b.pt", "loras/SD15/x/b.pt"),
        ("a\nb", ""),
    ],
)
def test_k1_a_published_name_that_could_leave_the_shelves_is_none(name: str, place: str) -> None:
    assert shelf_of("loras/SD15/a.pt", release(1, file=name)) == place


async def test_what_is_here_is_known_by_its_bytes(tmp_path: Path) -> None:
    made, (place,) = await updating(tmp_path, ("7", "70", ""))
    row = made._registry.row(place)
    assert row is not None
    assert made.here(release(int(row.hashes[0], 16))) == (place,)
    assert made.here(release(5)) == ()
