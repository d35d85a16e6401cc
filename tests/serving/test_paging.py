from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from model_manager.serving.asking import Param
from model_manager.serving.paging import page

CURSOR = Param(name="cursor", help="", kind="cursor")


@given(st.lists(st.text(), unique=True), st.integers(1, 5))
def test_pages_together_are_the_whole_list(keys: list[str], limit: int) -> None:
    keys.sort()
    seen: list[str] = []
    after = None
    while True:
        found = page(keys, after, limit, str)
        seen += found.items
        assert found.total == len(keys)
        if found.next is None:
            break
        after = CURSOR.read(found.next)
    assert seen == keys


def test_what_comes_and_goes_meanwhile_moves_no_page() -> None:
    first = page(["a", "b", "c", "d"], None, 2, str)
    assert first.next is not None
    assert page(["a2", "c", "d"], CURSOR.read(first.next), 2, str).items == ("c", "d")
