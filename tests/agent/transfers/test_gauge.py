from __future__ import annotations

import pytest

from model_manager.agent.transfers.gauge import MEASURED, Gauge
from tests.agent.stage import HeldClock


class Run:
    def __init__(self) -> None:
        self.clock = HeldClock()
        self.gauge = Gauge(self.clock)
        self.received = 0

    def go(self, seconds: float, rate: int, connections: int, *, flowing: bool = True, held: bool = False) -> None:
        for _ in range(round(seconds * 10)):
            self.clock.seconds += 0.1
            self.received += rate // 10
            self.gauge.look(self.received, connections, flowing=flowing, held=held)


def test_a_number_of_connections_is_measured_after_it_settled() -> None:
    run = Run()
    run.go(0.1, 1, 1)
    assert not run.gauge.measured
    run.go(MEASURED + 0.2, 1000, 1)
    assert run.gauge.measured
    assert run.gauge.speeds == {1: pytest.approx(1000)}


def test_another_number_begins_another_measurement() -> None:
    run = Run()
    run.go(1, 1000, 1)
    run.go(0.2, 1000, 4)
    assert not run.gauge.measured
    run.go(1, 4000, 4)
    assert run.gauge.speeds == {1: pytest.approx(1000), 4: pytest.approx(4000, rel=0.1)}


def test_the_present_speed_is_that_of_the_last_seconds() -> None:
    run = Run()
    assert run.gauge.speed == 0
    run.go(3, 1000, 1)
    run.go(2, 5000, 1)
    assert run.gauge.speed == pytest.approx(5000, rel=0.1)


def test_it_is_known_how_often_somebody_waited_for_the_disk() -> None:
    run = Run()
    run.go(0.4, 1000, 1)
    run.go(0.3, 1000, 1, held=True)
    assert run.gauge.held_back == pytest.approx(0.5, abs=0.1)
    run.gauge.again()
    assert run.gauge.held_back == 0


def test_who_has_not_begun_to_flow_is_waited_for_but_not_for_ever() -> None:
    run = Run()
    run.go(2, 1000, 4, flowing=False)
    assert not run.gauge.measured
    run.go(2, 1000, 4, flowing=False)
    assert run.gauge.measured


def test_a_speed_is_sure_after_a_second_window() -> None:
    run = Run()
    run.go(0.6, 1000, 4)
    assert run.gauge.measured
    assert not run.gauge.sure
    run.gauge.again()
    run.go(0.6, 1000, 4)
    assert run.gauge.sure


def test_what_was_measured_with_more_can_be_doubted() -> None:
    run = Run()
    run.go(1, 1000, 1)
    run.go(1, 1000, 4)
    run.gauge.doubt(1)
    assert list(run.gauge.speeds) == [1]
