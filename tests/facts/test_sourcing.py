from __future__ import annotations

from typing import get_args

from model_manager.facts.sourcing import WEIGHTS, Find, Place, Weight


def test_every_weight_has_its_place_in_the_order() -> None:
    assert set(WEIGHTS) == set(get_args(Weight))
    assert (WEIGHTS[0], WEIGHTS[-1]) == ("proven", "guess")


def test_a_place_promises_nothing_that_nobody_said() -> None:
    place = Place(url="https://x.example/a", teller="civitai", weight="guess", why="")
    find = Find(teller="civitai", url="https://x.example/a", name="a")
    assert (place.pin, place.size, place.gated) == (find.pin, find.size, find.gated) == (None, None, False)
