from __future__ import annotations

import pytest

from model_manager.agent.transfers.tallying import WINDOW, Tally
from model_manager.facts.event import DownloadStarted, DownloadVerified
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Phase, Transfer

MB = 1_000_000


def path(name: str) -> ShelfPath:
    return ShelfPath(folder="vae", name=name)


def started(name: str, resumed_at: int = 0) -> DownloadStarted:
    return DownloadStarted(folder="vae", name=name, url="u", total=0, resumed_at=resumed_at, attempt=1)


def verified(name: str, fetched: int) -> DownloadVerified:
    return DownloadVerified(
        folder="vae", name=name, size=fetched, sha256="", evidence="pin", fetched=fetched, seconds=1.0
    )


class Machine:
    """A tally that is shown downloads, second by second."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.now = 1000.0
        self.transfers: dict[ShelfPath, Transfer] = {}

    def set(self, name: str, phase: Phase, have: int = 0) -> None:
        self.transfers[path(name)] = Transfer(shelf=path(name), phase=phase, bytes=have)

    def look(self, *events: DownloadStarted | DownloadVerified, after: float = 1.0) -> float:
        self.now += after
        self.tally.look(self.now, self.transfers, events)
        return self.tally.speed


@pytest.fixture
def machine() -> Machine:
    made = Machine()
    made.set("a", Phase.RESOLVING)
    made.look()
    return made


def test_downloads_that_run_together_are_added(machine: Machine) -> None:
    events = [started("a"), started("b")]
    for second in (1, 2, 3):
        machine.set("a", Phase.FETCHING, second * 3 * MB)
        machine.set("b", Phase.FETCHING, second * MB)
        speed = machine.look(*events)
        events = []
    assert speed == pytest.approx(4 * MB)


def test_what_an_earlier_run_left_is_not_speed(machine: Machine) -> None:
    machine.set("a", Phase.FETCHING, 5000 * MB)
    assert machine.look(started("a", resumed_at=5000 * MB)) == 0
    machine.set("a", Phase.FETCHING, 5002 * MB)
    assert machine.look() == pytest.approx(MB)


def test_small_files_that_nobody_saw_running_count_whole(machine: Machine) -> None:
    for number in range(5):
        speed = machine.look(started(f"{number}"), verified(f"{number}", 2 * MB))
    assert speed == pytest.approx(2 * MB)


def test_a_file_that_was_seen_running_is_counted_once(machine: Machine) -> None:
    machine.set("a", Phase.FETCHING, 3 * MB)
    machine.look(started("a"))
    machine.transfers = {path("b"): Transfer(shelf=path("b"), phase=Phase.FETCHING)}
    assert machine.look(verified("a", 4 * MB)) == pytest.approx(2 * MB)


def test_a_file_that_begins_anew_takes_nothing_back(machine: Machine) -> None:
    machine.set("a", Phase.FETCHING, 4 * MB)
    machine.look(started("a"))
    machine.set("a", Phase.FETCHING, 0)
    assert machine.look() == pytest.approx(2 * MB)
    machine.set("a", Phase.FETCHING, 2 * MB)
    assert machine.look() == pytest.approx(2 * MB)


def test_a_wait_for_the_server_is_no_slow_line(machine: Machine) -> None:
    machine.set("a", Phase.FETCHING, 4 * MB)
    before = machine.look(started("a"))
    machine.set("a", Phase.WAITING, 4 * MB)
    assert machine.look(after=60.0) == 0
    machine.set("a", Phase.FETCHING, 8 * MB)
    assert machine.look() == pytest.approx(before)


def test_only_the_last_seconds_count(machine: Machine) -> None:
    have = 0
    for second in range(100):
        have += 50 * MB if second < 50 else MB
        machine.set("a", Phase.FETCHING, have)
        speed = machine.look(*([started("a")] if second == 0 else []))
    assert speed == pytest.approx(MB)
    assert len(machine.tally._marks) <= WINDOW + 2


def test_no_speed_is_told_of_less_than_a_second() -> None:
    machine = Machine()
    machine.look()
    machine.set("a", Phase.FETCHING, MB)
    assert machine.look(started("a"), after=0.5) == 0
    machine.set("a", Phase.FETCHING, 2 * MB)
    assert machine.look(after=0.5) == pytest.approx(2 * MB)


def test_when_all_is_over_the_next_download_begins_afresh(machine: Machine) -> None:
    machine.set("a", Phase.FETCHING, 9 * MB)
    machine.look(started("a"))
    machine.transfers = {}
    assert machine.look() == 0
    machine.set("b", Phase.FETCHING, MB)
    assert machine.look(started("b")) == pytest.approx(MB)
    assert machine.tally._seen.keys() == {path("b")}
