"""What models are like, kept up by what changed, against counting all of them anew."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from model_manager.fleet.models.finding import Finding
from model_manager.fleet.models.releases import Releases
from model_manager.fleet.models.traits import Traits, best, later
from model_manager.fleet.registry import Registry
from model_manager.fleet.store import Claimed, Store
from tests.fleet.made import Now, hold, view
from tests.fleet.models.test_releases import release
from tests.fleet.stage import files

HASHES = [f"{n:064x}" for n in range(6)]


class Scene:
    def __init__(self, directory: Path) -> None:
        self.view = view(Now())
        self.view.exact = True
        self.store = Store(directory / "fleet.sqlite")
        self.registry = Registry(self.view, Finding(self.view), self.store)
        self.releases = Releases(directory / "releases.sqlite", Now())
        self.traits = Traits(self.registry, self.releases)

    def anew(self) -> Traits:
        """Of all models, by somebody who never saw any of them."""
        made = Traits(self.registry, self.releases)
        made._dirty = dict.fromkeys({*self.view.rows(), *self.registry.described(), *self.registry._only_claimed()})
        return made

    async def close(self) -> None:
        await self.store.close()
        await self.releases.close()


def shown(traits: Traits) -> dict[str, object]:
    names = ("types", "bases", "tags", "folders", "models", "conflicting", "verified", "twins", "outdated", "used")
    return {name: getattr(traits, name) for name in names}


@pytest.mark.parametrize("seed", range(4))
async def test_after_any_changes_it_is_as_if_all_were_counted_anew(tmp_path: Path, seed: int) -> None:
    scene, chance = Scene(tmp_path), random.Random(seed)
    names = [f"{folder}/{n}.pt" for folder in ("a", "b/c") for n in range(5)]
    for _ in range(25):
        place = f"loras/{chance.choice(names)}"
        match chance.randrange(6):
            case 0 | 1:
                here = chance.sample(names, chance.randrange(8))
                entries = [each for name in here for each in files(name, hash=chance.choice([*HASHES, ""]))]
                hold(scene.view, f"m{chance.randrange(3)}", *entries)
            case 2:
                fields = {
                    "civitai_id": chance.choice(["1", "2", None]), "civitai_version_id": chance.choice(["10", "11", "12", "x", None]),
                    "civitai_model_base": chance.choice(["SDXL", "Pony", None]), "tags": chance.choice([["red", "blue"], None]),
                }  # fmt: skip
                await scene.store.tell(place, "manual", fields)
            case 3:
                told = [{"field": "civitai_model_base", "value": chance.choice(["SDXL", "Flux"]), "teller": "civitai"}]
                scene.registry.lore.learn(place, "", told, 0.0)
            case 4:
                claimed = [Claimed(place, 5, "")] if chance.random() < 0.7 else []
                await scene.store.claim("forge", claimed, (), whole=True)
            case _:
                versions = [release(chance.randrange(10, 16), chance.choice(["SDXL", "Pony", ""]))]
                await scene.releases.learn({chance.choice("12"): versions}, ())
        if chance.random() < 0.6:
            await scene.traits.current()
            anew = scene.anew()
            await anew.current()
            assert shown(scene.traits) == shown(anew)
    await scene.close()


async def test_nothing_that_did_not_change_is_another_version(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    hold(scene.view, "m1", *files("a.pt", "b.pt"))
    await scene.traits.current()
    before = scene.traits.version
    assert before > 0
    hold(scene.view, "m1", *files("a.pt", "b.pt"))
    await scene.traits.current()
    assert scene.traits.version == before
    assert scene.traits.twins == {"loras/a.pt", "loras/b.pt"}
    hold(scene.view, "m1", *files("a.pt"))
    await scene.traits.current()
    assert (scene.traits.twins, scene.traits.version > before) == (set(), True)
    await scene.close()


def test_the_best_version_is_one_for_the_same_base_model_or_for_nobody_knows_which() -> None:
    known = later([(5, "SDXL"), (7, "Pony"), (6, "")], None)
    assert [best(known, base) for base in ("SDXL", "Pony", "Flux", "")] == [6, 7, 6, 7]
    assert later([], None) == {}
