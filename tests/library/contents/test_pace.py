from __future__ import annotations

import threading
import time

import pytest

from model_manager.library.contents.hashing import never
from model_manager.library.contents.pace import BURST, Pace


class Now:
    """A clock that somebody else moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def seconds_for(pace: Pace, now: Now, amounts: list[int]) -> float:
    """What the clock shows after these were taken, by a reader who gives up waiting and moves the clock instead."""
    begun = now.seconds
    for amount in amounts:
        while not pace.take(amount, lambda: True):
            now.seconds += 0.001
    return now.seconds - begun


def test_without_a_rate_nobody_waits() -> None:
    now = Now()
    pace = Pace(clock=now)
    assert seconds_for(pace, now, [10**12] * 5) == 0
    pace.rate = 0
    assert pace.rate is None


@pytest.mark.parametrize("amount", [1_000, 50_000, 400_000])
def test_the_rate_is_kept_whatever_the_pieces(amount: int) -> None:
    now = Now()
    pace = Pace(1_000_000, clock=now)
    count = 4_000_000 // amount
    took = seconds_for(pace, now, [amount] * count)
    assert took == pytest.approx((count - 1) * amount / 1_000_000, abs=BURST + 0.01)


def test_a_rest_earns_no_more_than_a_short_burst() -> None:
    now = Now()
    pace = Pace(1_000_000, clock=now)
    now.seconds += 3600
    assert seconds_for(pace, now, [100_000] * 20) >= 1.9 - BURST


def test_a_faster_rate_counts_at_once_for_those_who_wait() -> None:
    pace = Pace(1.0)
    assert pace.take(10**9, never)  # thirty years of debt
    got = threading.Event()
    waiting = threading.Thread(target=lambda: pace.take(1, never) and got.set(), daemon=True)
    waiting.start()
    assert not got.wait(0.05)
    pace.rate = None
    assert got.wait(10)
    waiting.join()


def test_what_is_held_goes_on_when_it_is_let_go() -> None:
    pace = Pace()
    pace.held = True
    got = threading.Event()
    waiting = threading.Thread(target=lambda: pace.take(1, never) and got.set(), daemon=True)
    waiting.start()
    assert not got.wait(0.05)
    pace.held = False
    assert got.wait(10)
    waiting.join()


def test_d8_who_waits_can_be_stopped() -> None:
    pace, stop = Pace(), threading.Event()
    pace.held = True
    given: list[bool] = []
    waiting = threading.Thread(target=lambda: given.append(pace.take(1, stop.is_set)), daemon=True)
    waiting.start()
    stop.set()
    waiting.join(10)
    assert given == [False]


def test_readers_share_one_rate() -> None:
    pace = Pace(50_000_000)
    begun = time.monotonic()
    threads = [threading.Thread(target=lambda: [pace.take(1_000_000, never) for _ in range(10)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - begun >= 29 / 50 - BURST
