from __future__ import annotations

from typing import Any

import pytest

from model_manager.decisions.alerting import chosen, due, failing, low, pause, shelved, standing, worded
from model_manager.facts.machine import Disk
from model_manager.facts.notice import KINDS, Reading, Rule, Subject
from tests.bus.telling import Teller, entry

RULE = Rule(id="r", name="n", kind="machine.silent")


def rule(kind: Any = "machine.silent", **more: Any) -> Rule:
    return Rule(id="r", name="n", kind=kind, **more)


@pytest.mark.parametrize(
    ("patterns", "text", "fits"),
    [
        ((), "anything", True),
        (("loras/*",), "loras/SD15/x.pt", True),
        (("loras/*",), "vae/x.pt", False),
        (("vae/*", "gpu-?"), "gpu-1", True),
        (("GPU-*",), "gpu-1", False),
        (("[",), "[", True),
    ],
)
def test_patterns_choose(patterns: tuple[str, ...], text: str, fits: bool) -> None:
    assert chosen(patterns, text) is fits


@pytest.mark.parametrize(
    ("given", "free", "was", "is_low"),
    [
        ({"below_bytes": 100}, 100, False, False),
        ({"below_bytes": 100}, 99, False, True),
        ({"below_bytes": 100}, 109, True, True),
        ({"below_bytes": 100}, 111, True, False),
        ({"below_percent": 20}, 199, False, True),
        ({"below_percent": 20, "below_bytes": 300}, 299, False, True),
    ],
)
def test_a_disk_is_low_below_either_limit_until_it_has_a_tenth_more(
    given: Any, free: int, was: bool, is_low: bool
) -> None:
    assert low(rule("disk.low", **given), Disk(root="/", free=free, total=1000, floor=0), was=was) is is_low


@pytest.mark.parametrize(
    ("known", "here", "based", "began", "kept"),
    [
        ({}, {"a"}, False, [], {"a": True}),
        ({}, {"a"}, True, ["a"], {"a": True}),
        ({"a": True}, {"a"}, True, [], {}),
        ({"a": True}, set(), True, [], {"a": None}),
    ],
)
def test_a_model_appears_once(known: Any, here: set[str], based: bool, began: list[str], kept: Any) -> None:
    turn = shelved(rule("model.appeared"), known, here, based=based)
    assert ([each.key for each in turn.began], turn.ended, turn.kept) == (began, (), kept)


@pytest.mark.parametrize(
    ("known", "here", "began", "ended", "kept"),
    [
        ({}, {"a"}, [], [], {"a": True}),
        ({"a": True}, set(), ["a"], [], {"a": False}),
        ({"a": False}, set(), [], [], {}),
        ({"a": False}, {"a"}, [], ["a"], {"a": True}),
        ({"a": True, "b": False}, {"b", "c"}, ["a"], ["b"], {"a": False, "b": True, "c": True}),
    ],
)
def test_a_model_vanishes_once_and_comes_back_once(
    known: Any, here: set[str], began: Any, ended: Any, kept: Any
) -> None:
    turn = shelved(rule("model.vanished"), known, here, based=True)
    assert ([each.key for each in turn.began], [each.key for each in turn.ended], turn.kept) == (began, ended, kept)


def test_what_nobody_knows_stays_and_what_is_of_no_concern_goes_in_silence() -> None:
    now = Reading(holding={"n": Subject(key="n")}, unsure=frozenset({"u"}), gone=frozenset({"g"}))
    turn = standing(RULE, {"u": True, "g": True, "o": True}, now)
    assert [each.key for each in turn.began] == ["n"]
    assert [each.key for each in turn.ended] == ["o"]
    assert turn.kept == {"n": True, "g": None, "o": None}


def test_what_is_over_is_known_by_its_key_alone() -> None:
    key = "m1 loras/a b.pt"
    for kind, machine, model in (("download.failed", "m1", "loras/a b.pt"), ("job.waiting", "", key)):
        (over,) = standing(rule(kind), {key: True}, Reading(holding={})).ended
        assert (over.key, over.machine_id, over.model) == (key, machine, model)


@pytest.mark.parametrize(
    ("since", "told", "now", "is_due"),
    [(0, None, 4, False), (0, None, 5, True), (0, 0, 59, False), (0, 0, 60, True), (0, 99, 10, True)],
)
def test_a_burst_is_gathered_and_notices_keep_apart(since: float, told: float | None, now: float, is_due: bool) -> None:
    """The last row: a clock that was put back does not silence a rule."""
    assert due(rule(gather=5, cooldown=60), since=since, told=told, now=now) is is_due


def test_every_kind_has_its_sentences() -> None:
    for kind in KINDS:
        for edge in ("begin", "test", "gap") if kind == "model.appeared" else ("begin", "end", "test", "gap"):
            assert worded(rule(kind), edge, (Subject(key="k"),))  # type: ignore[arg-type]


def test_a_download_is_failing_until_it_is_made_good() -> None:
    from tests.fleet.notices.test_alerting import failure, success

    teller = Teller("m1")
    known = failing({}, [teller.tell(failure("a.pt", 2)), teller.tell(failure("b.pt", 1))])
    assert {key: each.attempt for key, each in known.items()} == {"m1 loras/a.pt": 2, "m1 loras/b.pt": 1}
    assert set(failing(known, [teller.tell(success("a.pt"))])) == {"m1 loras/b.pt"}
    assert set(failing(known, [teller.appear(entry("b.pt"))])) == {"m1 loras/a.pt"}
    assert failing(known, [teller.bye()]) == {}
    assert set(failing(known, [Teller("m2").bye()])) == set(known)


def test_a_pause_doubles_up_to_an_hour_and_heeds_the_receiver() -> None:
    assert [pause(n, 0.5, None) for n in (1, 2, 3, 50)] == [5, 10, 20, 3600]
    assert (pause(1, 0.0, None), pause(1, 1.0, None)) == (3.75, 6.25)
    assert (pause(1, 0.5, 60), pause(5, 0.5, 1), pause(1, 0.5, 1e9)) == (60, 80, 3600)
