from __future__ import annotations

from model_manager.decisions.including import including
from model_manager.facts.model import Assignment, Model, Requirements, Source, Wanted
from model_manager.facts.shelf import ShelfPath


def model(name: str, url: str = "https://x.example/a") -> Model:
    return Model(name=name, path=ShelfPath(folder="loras", name=name), sources=(Source(url=url),))


NEEDED = Wanted(model=model("a.pt"), required=True, needed_by=("workflow:w",))
PLAIN = Requirements(generation="g", assignment=Assignment(), wanted=(NEEDED,))


def test_what_a_person_asks_for_is_wanted_and_never_required() -> None:
    found = including(PLAIN, [model("b.pt")])
    assert found.wanted[0] == NEEDED
    assert (found.wanted[1].required, found.wanted[1].needed_by) == (False, ("person",))


def test_what_the_assignment_needs_at_that_place_comes_first() -> None:
    assert including(PLAIN, [model("A.pt")]) == PLAIN
    assert including(PLAIN, []) == PLAIN


def test_another_wish_is_another_generation_and_the_same_one_is_not() -> None:
    one = including(PLAIN, [model("b.pt")]).generation
    assert one == including(PLAIN, [model("b.pt")]).generation
    assert len({"g", one, including(PLAIN, [model("b.pt", "https://y.example/a")]).generation}) == 3
