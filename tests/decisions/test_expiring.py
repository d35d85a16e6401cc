from __future__ import annotations

import pytest

from model_manager.decisions.expiring import DAY, after_failure, answer
from model_manager.errors import BadContent, NotAuthorized, OriginUnavailable, StrangeAnswer
from model_manager.facts.known import Answer, Outcome

NOW = 1_800_000_000.0


def of(outcome: Outcome, times: int) -> Answer:
    """The answer after so many of the same kind in a row."""
    last: Answer | None = None
    for _ in range(times):
        last = answer("a" * 64, outcome, NOW, last)
    assert last is not None
    return last


@pytest.mark.parametrize(("times", "days"), [(1, 7), (2, 14), (3, 28), (4, 56), (5, 90), (6, 90), (1000, 90)])
def test_a_negative_answer_holds_longer_each_time(times, days):
    assert of("absent", times).due == NOW + days * DAY


@pytest.mark.parametrize(("times", "days"), [(1, 1), (2, 2), (5, 16), (6, 30), (1000, 30)])
def test_f3_an_answer_that_could_not_be_read_is_asked_for_sooner_than_a_negative_one(times, days):
    assert of("doubtful", times).due == NOW + days * DAY


@pytest.mark.parametrize("times", [1, 5])
def test_a_positive_answer_holds_thirty_days(times):
    assert of("found", times).due == NOW + 30 * DAY


def test_the_same_answer_is_counted_and_another_one_begins_anew():
    twice = of("absent", 2)
    assert (twice.times, twice.at) == (2, NOW)
    assert answer("a" * 64, "found", NOW, twice).times == 1


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (OriginUnavailable(host="h", name="n", why="w", retry_after=120.0), 120),
        (OriginUnavailable(host="h", name="n", why="w"), 0.75),
        (StrangeAnswer(host="h", name="n", why="w"), 225),
        (NotAuthorized(host="h", status=401, name="n", why="w", token="T"), 60),
        (BadContent(name="n", why="w"), None),
    ],
)
def test_a_failure_waits_by_the_rules_of_retrying(error, seconds):
    assert after_failure(error, failures=1, chance=0.0) == seconds
