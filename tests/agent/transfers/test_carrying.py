from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_manager.agent.transfers.carrying import Carrier
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Offer
from model_manager.library.incoming.partial import Partial

MIB = 1024 * 1024


@pytest.fixture
def partial(tmp_path: Path) -> Iterator[Partial]:
    (tmp_path / "root").mkdir()
    partial = Partial.open(str(tmp_path / "root" / "partial"), ShelfPath(folder="vae", name="x.safetensors"))
    partial.begin("https://a.test/x", Offer(size=8 * MIB, validator='"1"', promise=None, start=0, host="a.test"))
    yield partial
    partial.close()


def fill(carrier: Carrier, size: int) -> None:
    while size:
        room = carrier.room()
        assert room, "no room for what should fit"
        took = min(size, len(room))
        room[:took] = b"x" * took
        carrier.took(took)
        size -= took


def test_it_counts_what_comes_and_knows_what_is_left(partial: Partial) -> None:
    carrier = Carrier(partial.lane(0, 3 * MIB), time.monotonic)
    assert carrier.left == 3 * MIB
    fill(carrier, 2000)
    assert (carrier.received, carrier.left) == (2000, 3 * MIB - 2000)
    assert carrier.end() == (2000, 3 * MIB)


def test_nothing_is_missing_at_its_end(partial: Partial) -> None:
    carrier = Carrier(partial.lane(0, 1000), time.monotonic)
    fill(carrier, 1000)
    room = carrier.room()
    assert room is not None
    assert len(room) == 0
    assert carrier.end() is None


def test_its_end_can_come_nearer_and_what_is_free_then_is_told(partial: Partial) -> None:
    carrier = Carrier(partial.lane(0, 8 * MIB), time.monotonic)
    fill(carrier, 1000)
    assert carrier.shorten(lambda at, stop: (at + stop) // 2 // MIB * MIB) == (4 * MIB, 8 * MIB)
    assert carrier.left == 4 * MIB - 1000
    assert carrier.shorten(lambda *_: None) is None
    fill(carrier, 4 * MIB - 1000)
    assert carrier.end() is None


def test_an_end_that_nobody_knows_cannot_come_nearer(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    with Partial.open(str(tmp_path / "root" / "partial"), ShelfPath(folder="vae", name="y.safetensors")) as partial:
        partial.begin("https://a.test/y", Offer(size=None, validator=None, promise=None, start=0, host="a.test"))
        carrier = Carrier(partial.lane(0, None), time.monotonic)
        assert carrier.left == 0
        assert carrier.shorten(lambda at, stop: at) is None
        fill(carrier, 2000)
        assert carrier.end() is None


def test_it_knows_how_long_its_answer_took_to_begin(partial: Partial) -> None:
    clock = [100.0]
    carrier = Carrier(partial.lane(0, 8 * MIB), lambda: clock[0])
    assert carrier.waited is None
    clock[0] += 0.25
    fill(carrier, 2000)
    clock[0] += 5
    fill(carrier, 2000)
    assert carrier.waited == 0.25
    carrier.end()


def test_a_connection_that_brought_bytes_before_counts_between_two_answers(partial: Partial) -> None:
    cold = Carrier(partial.lane(0, MIB), time.monotonic)
    warm = Carrier(partial.lane(MIB, 2 * MIB), time.monotonic, warm=True)
    assert (cold.flowing, warm.flowing) == (False, True)
    room = cold.room()
    assert room is not None
    cold.took(10)
    assert cold.flowing


def test_who_still_waits_for_the_disk_is_held_at_every_look(partial: Partial, monkeypatch: pytest.MonkeyPatch) -> None:
    lane = partial.lane(0, 8 * MIB)
    carrier = Carrier(lane, time.monotonic)
    fill(carrier, 2000)
    assert not carrier.was_held()
    with monkeypatch.context() as full:
        full.setattr(lane, "room", lambda: None)
        assert carrier.room() is None
    assert [carrier.was_held(), carrier.was_held()] == [True, True]
    fill(carrier, 2000)
    assert not carrier.was_held()
    carrier.end()
