from __future__ import annotations

import pytest

from model_manager.agent.transfers.pacing import PACE_SECONDS, Pace
from tests.agent.stage import HeldClock


def test_the_pace_is_that_of_the_last_half_minute() -> None:
    clock = HeldClock()
    pace = Pace(clock, 100)
    for second in range(60):
        clock.seconds += 1
        pace.reached(1000 * (second + 1))
    assert pace.speed == pytest.approx(1000, rel=0.1)
    assert not pace.too_slow
    clock.seconds += PACE_SECONDS
    for second in range(40):
        clock.seconds += 1
        pace.reached(60_000 + second)
    assert pace.too_slow


def test_nobody_is_too_slow_in_its_first_seconds() -> None:
    clock = HeldClock()
    pace = Pace(clock, 100)
    clock.seconds += PACE_SECONDS - 1
    assert not pace.too_slow
    clock.seconds += 1
    assert pace.too_slow
