"""Lists that are mended, against lists that are made anew."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.fleet.models import kept as module
from model_manager.fleet.models.journal import Journal
from model_manager.fleet.models.kept import FEW, MOST, Kept

Known = int | None


class Scene:
    """Places with a number; what has none is not there."""

    def __init__(self) -> None:
        self.numbers: dict[str, Known] = {}
        self.journal: Journal[Known] = Journal()
        self.kept: Kept[Known] = Kept(self.journal, self.numbers.get)

    def set(self, place: str, number: Known) -> None:
        self.journal.note(place, self.numbers.get(place))
        self.numbers[place] = number

    def fits(self, place: str) -> bool:
        return self.numbers.get(place) is not None

    def anew(self, *, ranked: bool) -> list[str]:
        found = filter(self.fits, self.numbers)
        return sorted(found, key=lambda place: self.rank(place, self.numbers[place])) if ranked else sorted(found)

    def rank(self, place: str, known: Known) -> tuple[int, str]:
        return -(known or 0), place

    def get(self, *, ranked: bool) -> Sequence[str]:
        found = self.kept.get(ranked)
        if found is None:
            found = self.kept.put(ranked, self.anew(ranked=ranked), self.fits, self.rank if ranked else None)
        return found


@given(
    st.lists(
        st.one_of(st.tuples(st.sampled_from("abcdefgh"), st.one_of(st.none(), st.integers(0, 3))), st.booleans()),
        max_size=60,
    )
)
def test_a_list_is_after_any_changes_as_if_it_were_made_anew(steps: list[tuple[str, Known] | bool]) -> None:
    scene = Scene()
    for step in steps:
        if isinstance(step, tuple):
            scene.set(*step)
        else:
            assert scene.get(ranked=step) == scene.anew(ranked=step)
            assert scene.kept._taken == sum(len(shown.places) for shown in scene.kept._shown.values())


def test_a_list_is_mended_where_it_is() -> None:
    scene = Scene()
    scene.set("a", 1)
    found = scene.get(ranked=False)
    scene.set("b", None)
    scene.set("c", 2)
    assert scene.get(ranked=False) is found
    assert found == ["a", "c"]


def test_after_many_changes_it_is_made_anew() -> None:
    scene = Scene()
    scene.get(ranked=False)
    for n in range(FEW + 1):
        scene.set(f"{n}", 1)
    assert scene.kept.get(False) is None
    assert len(scene.get(ranked=False)) == FEW + 1


def test_it_keeps_no_more_lists_than_it_may_and_no_larger_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    for n in range(MOST + 10):
        scene.kept.put(n, ["a"], scene.fits)
    assert sum(scene.kept.get(n) is not None for n in range(MOST + 10)) == MOST
    monkeypatch.setattr(module, "ROOM", 5)
    scene.kept.put("new", ["a"] * 4, scene.fits)
    assert len(scene.kept._shown) == 2
    assert scene.kept._taken == 5
    scene.kept.put("new", ["a"], scene.fits)
    assert scene.kept._taken == 2
