from __future__ import annotations

from dataclasses import replace

import pytest

from model_manager.decisions.sourcing import chosen, model, places, queries
from model_manager.errors import BadPath
from model_manager.facts.description import Address
from model_manager.facts.identity import Pin
from model_manager.facts.model import Model, Size, Source
from model_manager.facts.resolution import Wish
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.sourcing import Find

PIN = Pin(algorithms=("sha256",), hex="a" * 64)
OTHER = Pin(algorithms=("sha256",), hex="b" * 64)
WISH = Wish(name="sub/x.safetensors", folders=("loras",))
FIND = Find(teller="huggingface", url="https://h.example/x", name="dir/x.safetensors", title="me/repo", size=5, pin=PIN)


def catalog(pin: Pin | None = None) -> Model:
    path = ShelfPath(folder="loras", name="x.safetensors")
    return Model(
        name="x.safetensors",
        path=path,
        sources=(Source(url="https://c.example/x"),),
        pin=pin,
        size=Size(bytes=5, exact=True),
    )


def test_what_the_workflow_says_comes_before_what_a_search_guesses() -> None:
    found = places(WISH, told="https://w.example/x", finds=[FIND])
    assert [(place.teller, place.weight) for place in found] == [("workflow", "told"), ("huggingface", "guess")]
    assert chosen(found) == found[0]


def test_a_promised_hash_is_proven_by_who_says_it() -> None:
    found = places(replace(WISH, pin=PIN), finds=[FIND], told="https://w.example/x")
    assert [(place.teller, place.weight) for place in found] == [("huggingface", "proven"), ("workflow", "told")]
    assert "promised hash, in me/repo" in found[0].why


def test_what_contradicts_the_promised_hash_is_left_out() -> None:
    assert places(replace(WISH, pin=OTHER), finds=[FIND], catalog=catalog(PIN)) == ()


def test_a_hash_finds_a_file_of_any_name_and_a_name_alone_is_a_guess() -> None:
    renamed = replace(FIND, name="other.safetensors")
    assert places(replace(WISH, pin=PIN), finds=[renamed])[0].weight == "proven"
    assert places(WISH, finds=[renamed]) == ()
    assert places(WISH, finds=[replace(FIND, name="X.safetensors")])[0].why.startswith("its name agrees but for")


def test_a_size_that_agrees_makes_it_likely_and_one_that_does_not_rules_it_out() -> None:
    assert places(replace(WISH, size=5), finds=[FIND])[0].weight == "likely"
    assert places(replace(WISH, size=6), finds=[FIND]) == ()


def test_guesses_are_never_taken_and_likely_ones_only_when_they_agree() -> None:
    two = replace(FIND, url="https://h.example/y", pin=OTHER)
    sized = replace(WISH, size=5)
    assert chosen(places(WISH, finds=[FIND])) is None
    assert chosen(places(sized, finds=[FIND])) is not None
    assert chosen(places(sized, finds=[FIND, two])) is None
    assert chosen(()) is None


def test_the_catalog_and_our_index_are_believed_as_far_as_they_go() -> None:
    told, proven = places(WISH, catalog=catalog()), places(replace(WISH, pin=PIN), catalog=catalog(PIN))
    assert [place.weight for place in (*told, *proven)] == ["told", "proven"]
    known = [Address(kind="url", url="https://i.example/x")]
    assert places(WISH, known=known)[0].weight == "likely"
    assert places(replace(WISH, pin=PIN), known=known)[0].weight == "told"


def test_a_page_about_a_file_becomes_the_file() -> None:
    (place,) = places(WISH, told="https://huggingface.co/a/b/blob/main/x.safetensors")
    assert place.url == "https://huggingface.co/a/b/resolve/main/x.safetensors"


def test_what_is_fetched_has_the_workflows_name_and_every_source_of_the_same_bytes() -> None:
    wish = replace(WISH, pin=PIN)
    other = replace(FIND, url="https://h.example/z")
    made = model(wish, places(wish, finds=[FIND, other], told="https://w.example/x"))
    assert str(made.path) == "loras/sub/x.safetensors"
    assert [source.url for source in made.sources] == [
        "https://h.example/x",
        "https://h.example/z",
        "https://w.example/x",
    ]
    assert (made.pin, made.size) == (PIN, Size(bytes=5, exact=True))


def test_sources_that_promise_nothing_alike_are_not_mixed() -> None:
    made = model(WISH, places(WISH, told="https://w.example/x", finds=[FIND]))
    assert [source.url for source in made.sources] == ["https://w.example/x"]


@pytest.mark.parametrize(
    "wish", [replace(WISH, folders=()), replace(WISH, name="../x.safetensors"), replace(WISH, name="x.exe")]
)
def test_k1_what_has_no_place_on_the_shelves_is_not_fetched(wish: Wish) -> None:
    with pytest.raises(BadPath):
        model(wish, places(wish, told="https://w.example/x"))


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("flux1-dev-fp8.safetensors", ("flux1-dev-fp8", "flux1 dev")),
        ("SD15/Dream_Shaper_8_pruned.safetensors", ("dream_shaper_8_pruned", "dream shaper 8", "dream shaper")),
        ("x.pt", ("x",)),
    ],
)
def test_searches_begin_with_the_whole_stem(name: str, asked: tuple[str, ...]) -> None:
    assert queries(name) == asked
