from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.fleet.models import texts as module
from model_manager.fleet.models.texts import MANY, PIECE, Grams, Texts, gathered, lowered


async def made(places: Sequence[str], *, grams: bool) -> Texts:
    return await gathered(places) if grams else Texts(places, [*map(lowered, places)])


@given(
    names=st.lists(st.text("abcé İ/-\n", min_size=1, max_size=12), unique=True, max_size=30),
    words=st.lists(st.text("abcéi-/", min_size=1, max_size=3), min_size=1, max_size=3),
    many=st.sampled_from([1, 3, 1000]),
    grams=st.booleans(),
)
async def test_one_look_over_all_finds_what_asking_each_does(
    names: list[str], words: list[str], many: int, grams: bool
) -> None:
    places = sorted(f"loras/{name}" for name in names)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "MANY", many)
        texts = await made(places, grams=grams)
        found = list(texts.holding(words))
    assert found == [n for n, place in enumerate(places) if all(word in place.lower() for word in words)]
    begin = [n for n in found if places[n].lower().rpartition("/")[2].startswith(words[0])]
    assert texts.beginning(found, words[0]) == begin


async def test_it_knows_its_places_and_no_others() -> None:
    texts = await made(["a/b", "c/d"], grams=True)
    assert [place in texts for place in ("a/b", "c/d", "a/c", "z", "")] == [True, True, False, False, False]
    assert "a" not in Texts((), ())


async def test_pieces_are_all_of_it() -> None:
    places = sorted(f"loras/{n:04d}" for n in range(2 * PIECE + 1))
    texts = await gathered(places)
    assert [list(texts.holding([place[6:]])) for place in places] == [[n] for n in range(len(places))]
    assert lowered("loras/A") == "loras/a\n"


def test_of_what_stands_in_very_many_nothing_is_kept() -> None:
    grams = Grams(2 * MANY)
    for number in range(2 * MANY):
        grams.put(number, f"common-{number:04d}")
    assert grams.rarest("common") is None
    assert grams.rarest("on") is None
    few = grams.rarest("common-0042")
    assert few is not None
    assert 42 in few
    assert len(few) < 20
    assert list(grams.rarest("never") or ()) == []
    assert grams.rarest("never") is not None
