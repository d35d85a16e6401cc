"""Search as somebody types."""

from __future__ import annotations

import asyncio
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.fleet.models import finding as module
from model_manager.fleet.models.finding import Finding
from model_manager.fleet.view import View
from tests.fleet.conftest import Join
from tests.fleet.made import Now, become, hold, mirror, view
from tests.fleet.stage import Client, files


async def test_all_words_must_occur_and_names_that_begin_so_come_first(fleet: Client, join: Join) -> None:
    await join("m1").begin(*files("old-flux.pt", "flux-dev.pt", "Flux/x-dev.pt", "sdxl.pt"))
    await fleet.until("/search", lambda body: body["total"] == 4)
    found = await fleet.get("/search?q=FLUX")
    assert [row["model"] for row in found["items"]] == ["loras/flux-dev.pt", "loras/Flux/x-dev.pt", "loras/old-flux.pt"]
    assert [row["model"] for row in (await fleet.get("/search?q=dev+flux/"))["items"]] == ["loras/Flux/x-dev.pt"]
    assert (await fleet.get("/search?q=nothing"))["items"] == []
    assert [row["model"] for row in (await fleet.get("/search?offset=3"))["items"]] == ["loras/sdxl.pt"]


async def test_single_copies_and_folders(fleet: Client, join: Join) -> None:
    await join("m1").begin(*files("a.pt", "b.pt"), *files("a.pt", folder="vae"))
    await join("m2").begin(*files("a.pt"))
    await fleet.until("/search", lambda body: body["total"] == 3 and body["items"][0]["machines"] == 2)
    assert [row["model"] for row in (await fleet.get("/search?single=true"))["items"]] == ["loras/b.pt", "vae/a.pt"]
    assert [row["model"] for row in (await fleet.get("/search?single=false"))["items"]] == ["loras/a.pt"]
    assert [row["model"] for row in (await fleet.get("/search?folder=vae"))["items"]] == ["vae/a.pt"]


def many(count: int) -> View:
    seen = view(Now())
    names = (f"{number % 97}/style-{number}-of-{number * 7919 % 10007}.safetensors" for number in range(count))
    told = mirror(*files(*names))
    become(seen, told)
    seen.exact = True
    return seen


def test_fifty_thousand_models_are_searched_while_somebody_types() -> None:
    finding = Finding(many(50_000))
    finding.places()
    begun = time.process_time()
    words = ["s", "st", "style", "style 1", "style-12", "of-7 3/", "nothing"]
    counts = [len(finding.places(word, best=True)) for word in words]
    spent = (time.process_time() - begun) / len(words)
    assert counts[0] == 50_000
    assert counts[-1] == 0
    assert spent < 0.5  # a hang; tests/bench measures it


def test_what_was_found_is_not_kept_when_the_fleet_changes() -> None:
    seen = many(3)
    finding = Finding(seen)
    assert len(finding.places("style")) == 3
    become(seen, mirror(*files("style-new.pt"), machine_id="m2"))
    assert len(finding.places("style")) == 4


def known(seen: View) -> list[str]:
    return sorted(seen.rows())


def plain(seen: View, q: str, folder: str | None, single: bool | None, *, best: bool) -> list[str]:
    """By asking each."""
    rows, words = seen.rows(), q.lower().split()
    found = [
        place
        for place in known(seen)
        if all(word in place.lower() for word in words)
        and (folder is None or place.startswith(f"{folder}/"))
        and (single is None or (rows[place].machines == 1) == single)
    ]
    if best and words:
        found.sort(key=lambda place: not place.lower().rpartition("/")[2].startswith(words[0]))
    return found


NAMES = [
    f"{a}{b}{c}" for a in ("", "Sub/", "sub-x/") for b in ("ab", "É", "İ b", "b") for c in (".pt", "a.pt", "-Ab.pt")
]
QUESTIONS = [
    (q, folder, single)
    for q in ("", "a", "b", "ab", "AB pt", "sub/ b", "é", "nothing", "x b a")
    for folder in (None, "loras", "vae")
    for single in (None, True, False)
]


@pytest.mark.parametrize("soon", [0, 3, 1_000])
async def test_after_any_changes_a_search_finds_what_asking_each_does(
    soon: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the text of all names made anew at every chance, now and then, and never."""
    monkeypatch.setattr(module, "SOON", soon)
    monkeypatch.setattr(module, "NOW", 3 * soon)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance, seen = random.Random(seed), view(Now())
    seen.exact = True
    finding = Finding(seen)
    for _ in range(60):
        names = [(name, folder) for folder in ("loras", "vae") for name in NAMES if chance.random() < 0.3]
        hold(seen, f"m{chance.randrange(3)}", *(each for name, folder in names for each in files(name, folder=folder)))
        if chance.random() < 0.3:
            await finding.tidy()
        for q, folder, single in chance.sample(QUESTIONS, 12):
            best = chance.random() < 0.5
            found = finding.places(q, folder, single, best=best)
            assert list(found) == plain(seen, q, folder, single, best=best), (q, folder, single, best)


async def test_names_that_come_while_the_text_is_made_are_found() -> None:
    seen = many(3_000)
    finding = Finding(seen)
    async with asyncio.TaskGroup() as group:
        tidying = group.create_task(finding.tidy())
        await asyncio.sleep(0)
        hold(seen, "m2", *files("style-late.pt", "other.pt"))
        await asyncio.sleep(0)
        assert not tidying.done()
    assert finding.places("style-late") == ["loras/style-late.pt"]
    assert len(finding.places("style")) == 3_001
    hold(seen, "m2")
    assert finding.places("style-late") == []


@given(
    texts=st.lists(st.text("abcé İ/-", min_size=1, max_size=12), unique=True, max_size=30),
    q=st.text("abcéi -/", max_size=6),
)
def test_one_look_over_all_finds_what_asking_each_does(texts: list[str], q: str) -> None:
    seen = view(Now())
    seen.exact = True
    hold(seen, "m1", *files(*texts))
    assert list(Finding(seen).places(q)) == plain(seen, q, None, None, best=False)
