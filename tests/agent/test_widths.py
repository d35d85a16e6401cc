from __future__ import annotations

import pytest

from model_manager.agent.widths import REMEMBERED, UNLIMITED, Widths
from tests.agent.stage import HeldClock


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


def test_a_host_that_nobody_knows_gets_one_connection(clock: HeldClock) -> None:
    widths = Widths(clock, lambda _: 16)
    assert (widths.settled("a"), widths.most("a")) == (1, 16)
    assert Widths(clock, lambda _: None).most("a") == UNLIMITED


def test_what_was_learnt_holds_for_that_host_and_for_a_while(clock: HeldClock) -> None:
    widths = Widths(clock, lambda _: 16)
    widths.learn("a", 4)
    assert (widths.settled("a"), widths.settled("b")) == (4, 1)
    clock.seconds += REMEMBERED
    assert widths.settled("a") == 1


def test_who_turned_a_connection_away_gets_no_more_than_it_took(clock: HeldClock) -> None:
    widths = Widths(clock, lambda _: 16)
    widths.refused("a", 3)
    widths.learn("a", 16)
    assert (widths.settled("a"), widths.most("a")) == (3, 3)
    widths.refused("b", 0)
    assert widths.most("b") == 1


def test_a_limit_that_was_lowered_counts_at_once(clock: HeldClock) -> None:
    limit = 16
    widths = Widths(clock, lambda _: limit)
    widths.learn("a", 16)
    limit = 2
    assert widths.settled("a") == 2
