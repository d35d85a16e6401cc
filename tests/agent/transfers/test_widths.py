from __future__ import annotations

import pytest

from model_manager.agent.transfers.widths import REMEMBERED, REST, Crowd, Widths
from tests.agent.stage import HeldClock


class Download:
    """A member whose connections bring `rate` bytes a second each, up to what the line can carry."""

    def __init__(self, line: Line) -> None:
        self.received = 0
        self.left = 10**12
        self.flowing = True
        self.held = False
        self.line = line

    def was_held(self) -> bool:
        return self.held


class Line:
    """A host: so much a connection, so much in all."""

    def __init__(self, rate: int, most: int = 10**12, allowed: int | None = 16) -> None:
        self.clock = HeldClock()
        self.rate, self.most = rate, most
        self.crowd = Crowd(self.clock, lambda: allowed)
        self.downloads: list[Download] = []

    def join(self) -> Download:
        download = Download(self)
        self.downloads.append(download)
        self.crowd.enter(download)
        return download

    def go(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.clock.seconds += 0.1
            total = min(self.rate * self.crowd.connections, self.most)
            for download in self.downloads:
                download.received += total // len(self.downloads) // 10
            self.crowd.look()


def test_a_host_that_caps_its_connections_gets_as_many_as_are_allowed() -> None:
    line = Line(40_000_000)
    line.join()
    line.go(10)
    assert line.crowd.each == 16


def test_a_host_that_gives_no_more_over_more_gets_one() -> None:
    line = Line(100_000_000, most=100_000_000)
    line.join()
    line.go(10)
    assert line.crowd.each == 1


def test_what_one_more_connection_brings_is_measured_over_all_downloads() -> None:
    line = Line(40_000_000, most=320_000_000, allowed=64)
    for _ in range(8):
        line.join()
    line.go(10)
    assert line.crowd.each == 1


def test_a_limit_is_shared_by_the_downloads() -> None:
    line = Line(40_000_000, allowed=16)
    downloads = [line.join() for _ in range(3)]
    line.go(10)
    assert [line.crowd.share(each) for each in downloads] == [6, 5, 5]


def test_more_downloads_than_half_of_the_limit_still_use_all_of_it() -> None:
    line = Line(40_000_000, allowed=16)
    downloads = [line.join() for _ in range(9)]
    line.go(10)
    assert [line.crowd.share(each) for each in downloads] == [2] * 7 + [1] * 2


def test_more_downloads_than_the_limit_get_one_each() -> None:
    line = Line(40_000_000, allowed=4)
    downloads = [line.join() for _ in range(6)]
    line.go(10)
    assert [line.crowd.share(each) for each in downloads] == [1] * 6


def test_who_is_held_up_by_the_disk_gets_no_more() -> None:
    line = Line(40_000_000)
    line.join().held = True
    line.go(10)
    assert line.crowd.each == 1


def test_what_a_busy_disk_took_is_not_held_against_the_network() -> None:
    line = Line(40_000_000)
    download = line.join()
    line.go(1.5)
    assert line.crowd.each > 1
    before, download.held, line.rate = line.crowd.each, True, 1_000_000
    line.go(3)
    assert line.crowd.each == before
    download.held, line.rate = False, 40_000_000
    line.go(10)
    assert line.crowd.each == 16


def test_more_connections_are_tried_again_after_a_rest() -> None:
    line = Line(40_000_000, most=40_000_000)
    line.join()
    line.go(5)
    assert line.crowd.each == 1
    line.most = 10**12
    line.go(REST - 5)
    assert line.crowd.each == 1
    line.go(10)
    assert line.crowd.each == 16


def test_what_is_over_in_a_moment_is_left_alone() -> None:
    line = Line(40_000_000)
    line.join().left = 100_000_000
    line.go(2)
    assert line.crowd.each == 1


def test_what_is_as_fast_as_we_are_is_left_alone() -> None:
    line = Line(40_000_000)
    line.crowd.enough = 100_000_000
    line.join()
    line.go(10)
    assert line.crowd.each == 4


def test_who_turned_a_connection_away_gets_no_more_than_it_took() -> None:
    line = Line(40_000_000)
    line.join()
    line.go(10)
    line.crowd.refused(3)
    assert (line.crowd.each, line.crowd.most) == (3, 3)
    line.go(10)
    assert line.crowd.each == 3


@pytest.mark.parametrize(("pause", "each"), [(REMEMBERED / 2, 16), (REMEMBERED + 1, 1)])
def test_what_was_learnt_holds_for_a_while(pause: float, each: int) -> None:
    line = Line(40_000_000)
    first = line.join()
    line.go(10)
    line.crowd.leave(first)
    line.downloads.clear()
    line.clock.seconds += pause
    line.join()
    assert line.crowd.each == each


def test_every_host_has_a_crowd_of_its_own() -> None:
    widths = Widths(HeldClock(), lambda host: 2 if host == "a" else 8)
    assert widths.crowd("a") is widths.crowd("a")
    assert (widths.crowd("a").most, widths.crowd("b").most) == (2, 8)


def test_it_is_known_how_many_connections_all_downloads_want() -> None:
    line = Line(40_000_000)
    widths = Widths(line.clock, lambda host: 8)
    for host in ("a", "a", "b"):
        widths.crowd(host).enter(Download(line))
    widths.crowd("b").each = 4
    assert widths.connections == 6
