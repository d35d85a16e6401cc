from __future__ import annotations

import gc

import pytest

from model_manager.fleet import collecting


@pytest.fixture(autouse=True)
def _as_it_was() -> object:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_a_page_of_events_is_folded_between_two_searches() -> None:
    collecting.seldom()
    assert gc.get_threshold()[0] > 10_000


def test_what_lives_is_set_aside_and_garbage_is_not() -> None:
    gc.unfreeze()
    gone: list[object] = []
    gone.append(gone)
    here = [object() for _ in range(1_000)]
    del gone
    collecting.set_aside()
    assert gc.get_freeze_count() > 0
    assert not any(each is here for each in gc.get_objects())


def test_while_much_is_made_nothing_is_searched_and_then_it_is_set_aside() -> None:
    gc.unfreeze()
    made: list[list[int]] = []

    def make() -> None:
        with collecting.undisturbed():
            assert not gc.isenabled()
            made.extend([n] for n in range(100))
            raise KeyError

    with pytest.raises(KeyError):
        make()
    assert gc.isenabled()
    assert gc.get_freeze_count() > len(made)
