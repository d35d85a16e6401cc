"""Lists of models after any changes, against asking each model: words, filters and order together."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from model_manager.fleet.models import kept, sorting
from model_manager.fleet.models.filtering import IDLE, NAMES, Filters
from model_manager.fleet.models.finding import Finding
from model_manager.fleet.models.listing import Listing
from model_manager.fleet.models.sorting import SORTS, Sorting
from model_manager.fleet.models.usage import Usage
from model_manager.fleet.models.uses import Used
from model_manager.fleet.registry import TYPES
from model_manager.fleet.store import Claimed
from model_manager.serving.asking import Asked
from tests.fleet.made import hold
from tests.fleet.models import test_traits as traits_test
from tests.fleet.models.test_releases import release
from tests.fleet.stage import files

HASHES = [f"{n:064x}" for n in range(4)]
FILES = [f"{folder}/{n}.pt" for folder in ("a", "b/c", "a-b") for n in range(4)]
NOW = 10.0 * IDLE
QUESTIONS: dict[str, Sequence[Any]] = {
    "q": (None, None, "a", "b/ 1", "pt"), "folder": (None, None, "loras"), "single": (None, None, True, False),
    "type": (None, None, "lora", "vae", "x"), "base": (None, None, "SDXL", "Pony", "Flux"), "tag": (None, None, "red"),
    "under": (None, None, "loras/a", "loras/b/", "vae/"), "duplicates": (None, None, True, False),
    "unused": (None, None, True, False), "updates": (None, None, True, False), "conflicting": (None, None, True, False),
    "verified": (None, None, True, False), "sort": (None, "name", *SORTS), "descending": (None, True, False),
}  # fmt: skip


class Scene(traits_test.Scene):
    """Fields of models are told by hand, and which ones workflows need is said here."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.uses = Used()
        self.finding = Finding(self.view)
        self.filters = Filters(self.registry, cast(Any, self), self.traits, lambda: NOW)
        self.sorting = Sorting(self.view, self.traits)
        self.listing = Listing(self.finding, self.filters, self.sorting, self.traits)

    async def places(self) -> Used:
        return self.uses

    async def change(self, chance: random.Random) -> None:
        place = f"loras/{chance.choice(FILES)}"
        match chance.randrange(8):
            case 0 | 1 | 2:
                here = chance.sample(FILES, chance.randrange(9))
                folder, sha256 = chance.choice(["loras", "vae"]), chance.choice([*HASHES, ""])
                size, verified = chance.randrange(3), chance.random() < 0.5
                entries = [
                    each for n in here for each in files(n, folder=folder, hash=sha256, size=size, verified=verified)
                ]
                hold(self.view, f"m{chance.randrange(3)}", *entries)
            case 3:
                fields = {
                    "civitai_id": chance.choice(["1", None]), "civitai_version_id": chance.choice(["10", "11", None]),
                    "civitai_model_base": chance.choice(["SDXL", "Pony", None]), "tags": chance.choice([["red"], None]),
                    "type": chance.choice(["lora", None]),
                }  # fmt: skip
                await self.store.tell(place, "manual", fields)
            case 4:
                self.registry.lore.learn(place, "", [], 0.0, f"2020-01-0{chance.randrange(1, 4)}T00:00:00Z")
            case 5:
                ran = {f"n:{n}": int(NOW - chance.choice([1, IDLE + 1])) for n in chance.sample(FILES, 4)}
                self.view.usage = Usage({"m1": ran | {f"h:{chance.choice(HASHES)}": int(NOW)}})
            case 6:
                self.uses = Used(places=frozenset(chance.sample([f"loras/{n}" for n in FILES], 3)))
            case _:
                await self.releases.learn({"1": [release(chance.randrange(9, 13), chance.choice(["SDXL", ""]))]}, ())
        if chance.random() < 0.2:
            await self.store.claim("forge", [Claimed(place, 5, "")], (), whole=True)

    def fits(self, place: str, asked: Asked) -> bool:
        row, registry, traits = self.view.rows()[place], self.registry, self.traits
        last = self.view.usage.anywhere(row.folder, row.name, row.hashes)
        folder = place.partition("/")[0]
        said: dict[str, Any] = {
            "single": row.machines == 1,
            "type": registry.text(place, "type") or TYPES.get(folder, folder),
            "base": registry.base(row),
            "duplicates": row.copies > row.machines or any(len(registry.same(sha256)) > 1 for sha256 in row.hashes),
            "unused": place not in self.uses.places and (last is None or last < NOW - IDLE),
            "updates": place in traits.outdated,
            "conflicting": len(row.hashes) > 1,
            "verified": row.verified == row.copies,
        }
        return (
            all(word in place.lower() for word in (asked["q"] or "").split())
            and (asked["folder"] is None or place.startswith(f"{asked['folder']}/"))
            and (asked["tag"] is None or asked["tag"] in registry.tags(place))
            and (asked["under"] is None or place.startswith(f"{asked['under'].rstrip('/')}/"))
            and all(asked[name] is None or asked[name] == value for name, value in said.items())
        )

    def value(self, place: str, sort: str) -> int | None:
        row = self.view.rows()[place]
        match sort:
            case "used":
                return self.view.usage.anywhere(row.folder, row.name, row.hashes)
            case "added":
                return self.registry.lore.added(place)
            case _:
                value: int = getattr(row, sort)
                return value

    def plain(self, asked: Asked, *, best: bool) -> list[str]:
        """Stable sorts, one after the other."""
        found = sorted(place for place in self.view.rows() if self.fits(place, asked))
        words, sort, descending = (asked["q"] or "").split(), asked["sort"], bool(asked["descending"])
        if sort == "name":
            return found[::-1] if descending else found
        if sort is None:
            if best and words:
                found.sort(key=lambda place: not place.rpartition("/")[2].startswith(words[0]))
            return found
        sign = -1 if descending else 1
        found.sort(key=lambda place: sign * (self.value(place, sort) or 0))
        found.sort(key=lambda place: self.value(place, sort) is None)
        return found


def question(chance: random.Random) -> dict[str, Any]:
    some = chance.sample(list(QUESTIONS), 5)
    asked = {name: chance.choice(values) if name in some else None for name, values in QUESTIONS.items()}
    return asked if asked["sort"] is not None else asked | {"descending": None}


@pytest.mark.parametrize(("fewer", "few"), [(16, 256), (1, 256), (10**6, 256), (16, 2)])
async def test_after_any_changes_a_list_is_as_if_each_model_were_asked(
    tmp_path: Path, fewer: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorting, "FEWER", fewer)
    monkeypatch.setattr(kept, "FEW", few)
    monkeypatch.setattr(sorting, "PIECE", 3)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    scene, chance = Scene(tmp_path), random.Random(seed)
    asked = [question(chance) for _ in range(12)]
    for _ in range(60):
        await scene.change(chance)
        asked[chance.randrange(len(asked))] = question(chance)
        if chance.random() < 0.2:
            await scene.filters.keep_up()
            await scene.sorting.keep_up()
        for each in chance.sample(asked, 6):
            best = chance.random() < 0.5
            found = await scene.listing.chosen(each, best=best)
            assert list(found.places) == scene.plain(each, best=best), {k: v for k, v in each.items() if v is not None}
    await scene.close()


async def test_what_is_asked_for_most_is_there_before_somebody_asks(tmp_path: Path) -> None:
    scene, chance = Scene(tmp_path), random.Random(1)
    for _ in range(20):
        await scene.change(chance)
    await scene.filters.keep_up()
    await scene.sorting.keep_up()
    made = [*scene.filters._kept._shown, *scene.sorting._kept._shown]
    nothing = dict.fromkeys(QUESTIONS)
    for name in ("duplicates", "updates", "conflicting", "verified"):
        for value in (True, False):
            await scene.listing.chosen(nothing | {name: value})
    for sort in SORTS:
        await scene.listing.chosen(nothing | {"sort": sort, "descending": True})
    assert {*made} == {*scene.filters._kept._shown, *scene.sorting._kept._shown}
    await scene.close()


def test_every_filter_is_among_the_questions() -> None:
    assert set(NAMES) <= set(QUESTIONS)
