"""Search as somebody types."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.bus.mirroring import Changed
from model_manager.fleet.models import finding as module
from model_manager.fleet.models.finding import Finding
from model_manager.fleet.view import View
from tests.fleet.conftest import Join
from tests.fleet.made import Now, mirror, view
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
    seen.mirrors._holders.replace("m1", {}, told.entries)  # what a snapshot does
    seen.mirrors._machines["m1"] = told
    seen.catalogue.changed(Changed("m1", None, told, None))
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
    told = mirror(*files("style-new.pt"), machine_id="m2")
    seen.mirrors._holders.replace("m2", {}, told.entries)
    seen.catalogue.changed(Changed("m2", None, told, None))
    assert len(finding.places("style")) == 4


@given(
    texts=st.lists(st.text("abcé İ/-", min_size=1, max_size=12), unique=True, max_size=30),
    q=st.text("abcéi -/", max_size=6),
    most=st.sampled_from([1, 3, 2000]),
)
def test_one_look_over_all_finds_what_asking_each_does(texts: list[str], q: str, most: int) -> None:
    seen = view(Now())
    places = sorted({f"loras/{text}" for text in texts})
    seen.order = lambda: places  # type: ignore[method-assign]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "MANY", most)
        found = Finding(seen).places(q)
    assert list(found) == [place for place in places if all(word in place.lower() for word in q.lower().split())]
