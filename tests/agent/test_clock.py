from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from model_manager.agent.clock import Clock, iso


def test_moments_are_written_in_utc_with_milliseconds() -> None:
    assert iso(datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)) == "2026-01-02T03:04:05.678Z"


def test_now_is_utc_whatever_the_zone_of_the_machine() -> None:
    clock = Clock()
    told = datetime.fromisoformat(clock.now())
    assert told.tzinfo is not None
    assert abs(told - datetime.now(timezone(timedelta(hours=9)))) < timedelta(seconds=60)


def test_later_is_that_much_later() -> None:
    clock = Clock()
    ahead = datetime.fromisoformat(clock.later(3600)) - datetime.fromisoformat(clock.now())
    assert timedelta(minutes=59) < ahead <= timedelta(minutes=61)


def test_the_epoch_is_in_milliseconds() -> None:
    assert abs(Clock().epoch_ms() / 1000 - datetime.now(UTC).timestamp()) < 60


def test_chance_spreads_between_0_and_1() -> None:
    drawn = {Clock().chance() for _ in range(50)}
    assert len(drawn) > 1
    assert all(0 <= each <= 1 for each in drawn)


def test_i6_waits_are_measured_by_a_clock_that_nobody_sets() -> None:
    clock = Clock()
    first = clock.monotonic()
    assert clock.monotonic() >= first
