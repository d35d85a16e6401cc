from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from model_manager.decisions.settling import Seen, due, next_due, settle
from model_manager.facts.disk import Fingerprint


def print_of(size):
    return Fingerprint(device=1, inode=1, size=size, mtime_ns=size)


def test_h3_a_file_that_grows_is_never_calm():
    restless: dict[str, Seen] = {}
    for second in range(60):
        settled = settle(restless, {"f": print_of(second)}, float(second), 1.0)
        assert settled.calm == ()
        restless = dict(settled.restless)


def test_a_file_that_rests_is_calm_after_the_rest_and_then_forgotten():
    first = settle({}, {"f": print_of(5)}, 10.0, 1.0)
    assert (first.calm, first.restless) == ((), {"f": Seen(fingerprint=print_of(5), since=10.0)})
    early = settle(first.restless, {"f": print_of(5)}, 10.9, 1.0)
    assert (early.calm, early.restless) == ((), first.restless)
    late = settle(early.restless, {"f": print_of(5)}, 11.0, 1.0)
    assert (late.calm, late.restless) == (("f",), {})


def test_what_is_gone_is_calm_at_once():
    assert settle({}, {"f": None}, 0.0, 9.0).calm == ("f",)
    assert settle({"f": Seen(fingerprint=print_of(1), since=0.0)}, {"f": None}, 0.1, 9.0).calm == ("f",)


def test_paths_do_not_disturb_each_other():
    before = {"calm": Seen(fingerprint=print_of(1), since=0.0), "busy": Seen(fingerprint=print_of(1), since=0.0)}
    settled = settle(before, {"calm": print_of(1), "busy": print_of(2)}, 5.0, 1.0)
    assert settled.calm == ("calm",)
    assert set(settled.restless) == {"busy"}


@given(st.lists(st.one_of(st.none(), st.integers(1, 3)), min_size=1, max_size=30))
def test_only_what_looked_the_same_for_the_whole_rest_is_calm(sizes):
    restless: dict[str, Seen] = {}
    unchanged = 0
    for second, size in enumerate(sizes):
        unchanged = unchanged + 1 if second and size == sizes[second - 1] and restless else 0
        settled = settle(restless, {"f": print_of(size) if size else None}, float(second), 3.0)
        assert bool(settled.calm) == (size is None or unchanged >= 3)
        restless = dict(settled.restless)


def test_what_is_known_to_rest_is_calm_at_once():
    assert settle({}, {"f": print_of(1), "g": print_of(1)}, 0.0, 9.0, {"f"}).calm == ("f",)


def test_each_path_is_due_when_it_rested():
    restless = {path: Seen(fingerprint=print_of(1), since=since) for path, since in {"a": 1.0, "b": 2.0}.items()}
    assert next_due(restless, 1.5) == 2.5
    assert next_due({}, 1.5) is None
    assert due(restless, 2.4, 1.5) == []
    assert due(restless, 2.5, 1.5) == ["a"]
    assert settle(restless, {"a": print_of(1)}, 2.5, 1.5).calm == ("a",)
