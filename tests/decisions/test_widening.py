from __future__ import annotations

import pytest

from model_manager.decisions.widening import wider


@pytest.mark.parametrize(
    ("speeds", "now", "most", "then"),
    [
        pytest.param({}, 1, 16, 1, id="nothing is measured yet"),
        pytest.param({1: 40}, 1, 16, 4, id="more are tried"),
        pytest.param({1: 40}, 1, 1, 1, id="no more are allowed"),
        pytest.param({1: 40}, 1, 3, 3, id="as many as are allowed are tried"),
        pytest.param({1: 40, 4: 160}, 4, 16, 16, id="it helped, so still more"),
        pytest.param({1: 40, 4: 45}, 4, 16, 1, id="it did not help"),
        pytest.param({1: 40, 4: 45}, 1, 16, 1, id="what did not help is not tried again"),
        pytest.param({1: 40, 4: 160, 16: 170}, 16, 64, 4, id="the last step did not help"),
        pytest.param({1: 40, 4: 160, 16: 170}, 4, 64, 4, id="and stays so"),
        pytest.param({1: 40, 4: 160, 16: 640}, 16, 16, 16, id="the most is the end"),
        pytest.param({1: 40, 4: 160}, 4, 2, 2, id="the limit was lowered meanwhile"),
    ],
)
def test_more_connections_as_long_as_they_help(speeds: dict[int, float], now: int, most: int, then: int) -> None:
    assert wider(speeds, now, most) == then


def test_new_connections_are_given_time_before_they_are_given_up() -> None:
    assert wider({1: 40, 4: 45}, 4, 16, sure=False) == 4
    assert wider({1: 40, 4: 160}, 4, 16, sure=False) == 16
