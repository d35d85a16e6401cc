from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_manager.errors import Broken, Corrupt, DiskUnavailable, NoSpace, PieceCorrupt
from model_manager.facts.identity import Pin
from model_manager.library.contents.reading import HEAD
from model_manager.library.incoming.buffers import BLOCK, Buffers
from model_manager.library.incoming.lane import fill
from model_manager.library.incoming.partial import Partial
from model_manager.library.incoming.staging import part_name
from tests.library.faulty import FaultyDisk
from tests.library.feeding import append, exchange_disk
from tests.library.shelves import FLUX, URL, offer, own_root, staging

CONTENT = os.urandom(3 * BLOCK + 777)


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return staging(own_root(tmp_path / "models"))


@pytest.fixture
def partial(directory: str) -> Iterator[Partial]:
    with Partial.open(directory, FLUX) as opened:
        yield opened


def bring(partial: Partial, start: int, stop: int, content: bytes = CONTENT, pin: Pin | None = None) -> None:
    lane = partial.lane(start, stop)
    if pin:
        lane.promise(pin)
    fill(lane, content[start:stop])
    lane.close()


def pinned(content: bytes) -> Pin:
    return Pin(algorithms=("sha256",), hex=hashlib.sha256(content).hexdigest())


def ends_well(partial: Partial) -> None:
    for start, stop in partial.missing():
        bring(partial, start, stop)
    assert partial.finish().digests.sha256 == hashlib.sha256(CONTENT).hexdigest()


def test_b9_the_beginning_is_judged_before_it_is_written(partial: Partial) -> None:
    seen: list[bytes] = []
    partial.begin(URL, offer(size=len(CONTENT)), judge=lambda head: seen.append(head) or "it is a web page")
    lane, other = partial.lane(0, None), partial.lane(BLOCK, 2 * BLOCK)
    with pytest.raises(Corrupt, match="web page"):
        fill(lane, CONTENT)
    assert len(seen) == 1
    assert CONTENT.startswith(seen[0])
    assert len(seen[0]) >= 1024
    with pytest.raises(Corrupt, match="web page"):
        other.room()
    lane.close()
    other.close()
    with pytest.raises(Corrupt, match="web page"):
        partial.settle()
    assert Path(partial.path).stat().st_size == 0
    partial.restart()
    partial.begin(URL, offer(size=len(CONTENT)))
    ends_well(partial)


def test_a_beginning_that_broke_off_before_it_could_be_judged_is_dropped(partial: Partial) -> None:
    asked: list[int] = []
    partial.begin(URL, offer(size=len(CONTENT)), judge=lambda head: asked.append(len(head)))
    for size, kept in ((1023, 0), (1024, 1024)):
        lane = partial.lane(0, None)
        fill(lane, CONTENT[:size])
        lane.close()
        partial.settle()
        assert (lane.at, lane.received, partial.reached) == (kept, size, kept)
    assert asked == [1024]
    assert partial.fetched == 2047
    ends_well(partial)


@pytest.mark.parametrize("size", [None, 5])
def test_a_file_that_is_shorter_than_a_beginning_is_judged_whole(partial: Partial, size: int | None) -> None:
    seen: list[bytes] = []
    partial.begin(URL, offer(size=size), judge=lambda head: seen.append(head))
    lane = partial.lane(0, None)
    fill(lane, b"short")
    lane.close()
    got = partial.finish()
    assert seen == [b"short"]
    assert (got.size, got.fetched, got.digests.sha256) == (5, 5, hashlib.sha256(b"short").hexdigest())


def test_b9_a_short_file_of_unknown_length_that_is_no_model_is_refused(partial: Partial) -> None:
    partial.begin(URL, offer(), judge=lambda head: "it is a web page")
    lane = partial.lane(0, None)
    fill(lane, b"<html>")
    lane.close()
    with pytest.raises(Corrupt, match="web page"):
        partial.finish()


def test_b6_an_object_without_a_length_may_not_go_on_for_ever(partial: Partial) -> None:
    partial.begin(URL, offer(), most=HEAD * 2)
    lane = partial.lane(0, None)
    with pytest.raises(Corrupt, match=f"more than {HEAD * 2} bytes"):
        fill(lane, CONTENT)
    lane.close()


def test_a_lane_ends_where_its_end_was_lowered_to(partial: Partial) -> None:
    partial.begin(URL, offer(size=len(CONTENT)))
    lane = partial.lane(0, 2 * BLOCK)
    room = lane.room()
    assert room is not None
    room[:] = CONTENT[:BLOCK]
    lane.stop = 5000
    lane.took(BLOCK)
    assert lane.room() == b""
    lane.close()
    assert partial.missing() == ((5000, len(CONTENT)),)
    ends_well(partial)


def test_what_two_lanes_bring_counts_once(partial: Partial) -> None:
    partial.begin(URL, offer(size=len(CONTENT)))
    bring(partial, 5000, BLOCK + 9000)
    bring(partial, 0, BLOCK, bytes(5000) + CONTENT[5000:])
    partial.settle()
    assert partial.here == BLOCK + 9000
    bring(partial, 8000, BLOCK, bytes(BLOCK))
    assert partial.missing() == ((BLOCK + 9000, len(CONTENT)),)
    for start, stop in partial.missing():
        bring(partial, start, stop)
    right = bytes(5000) + CONTENT[5000:]
    assert partial.finish().digests.sha256 == hashlib.sha256(right).hexdigest()


def test_a_promise_that_is_kept_counts_as_any_bytes_do(partial: Partial) -> None:
    partial.begin(URL, offer(size=len(CONTENT)))
    for start, stop in ((BLOCK, 2 * BLOCK + 5), (0, BLOCK)):
        bring(partial, start, stop, pin=pinned(CONTENT[start:stop]))
    partial.settle()
    assert partial.reached == 2 * BLOCK + 5
    ends_well(partial)


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_b16_a_broken_promise_costs_its_own_bytes_only(partial: Partial, algorithm: str) -> None:
    partial.begin(URL, offer(size=len(CONTENT)))
    bring(partial, 0, 1000 + BLOCK)
    start, stop = 1000 + BLOCK, 2 * BLOCK + 77
    right = Pin(algorithms=(algorithm,), hex=hashlib.new(algorithm, CONTENT[start:stop]).hexdigest())  # type: ignore[arg-type]
    flipped = bytearray(CONTENT)
    flipped[2 * BLOCK] ^= 1
    bring(partial, start, stop, bytes(flipped), pin=right)
    with pytest.raises(PieceCorrupt):
        partial.settle()
    partial.settle()
    assert partial.missing() == ((start, len(CONTENT)),)
    bring(partial, start, stop, pin=right)
    ends_well(partial)


def test_a_promise_of_which_only_a_part_came_is_no_promise(partial: Partial) -> None:
    partial.begin(URL, offer(size=len(CONTENT)))
    for cut in (BLOCK, BLOCK + 500):
        start = partial.reached
        lane = partial.lane(start, len(CONTENT))
        lane.promise(pinned(b"something else"))
        fill(lane, CONTENT[start : start + cut])
        lane.close()
        partial.settle()
        assert partial.reached == start + cut
    shortened = partial.lane(partial.reached, len(CONTENT))
    shortened.promise(pinned(b"something else"))
    shortened.stop = partial.reached + 100
    fill(shortened, CONTENT[partial.reached :])
    shortened.close()
    ends_well(partial)


def test_a_promise_comes_before_the_bytes_and_for_an_end(partial: Partial) -> None:
    partial.begin(URL, offer(size=len(CONTENT)))
    with pytest.raises(Broken):
        partial.lane(0, None).promise(pinned(b""))


def test_a_lane_of_a_file_that_started_again_leads_nowhere(partial: Partial) -> None:
    partial.begin(URL, offer(size=len(CONTENT)))
    old = partial.lane(0, None)
    fill(old, CONTENT[:5000])
    partial.begin(URL, offer(size=len(CONTENT), validator='"new"'))
    assert old.room() == b""
    old.close()
    partial.settle()
    assert partial.here == 0
    ends_well(partial)


def test_a_closed_lane_takes_nothing_and_keeps_nobody_waiting(partial: Partial) -> None:
    partial.begin(URL, offer(size=len(CONTENT)))
    lane = partial.lane(0, None)
    lane.close()
    lane.close()
    rung: list[int] = []
    lane.when_free(lambda: rung.append(1))
    assert (lane.room(), rung) == (b"", [1])
    with pytest.raises(Broken):
        lane.took(1)


def test_c4_what_failed_beside_reaches_every_lane_that_waits(directory: str) -> None:
    buffers = Buffers(1)
    with Partial.open(directory, FLUX, buffers=buffers, sync_every=1) as partial:
        partial.begin(URL, offer(size=len(CONTENT)))
        exchange_disk(partial, FaultyDisk("sync_data", errno.EIO, times=99))
        first, second = partial.lane(0, None), partial.lane(2 * BLOCK, None)
        with pytest.raises(DiskUnavailable):
            fill(first, bytes(1 << 30))
        with pytest.raises(DiskUnavailable):
            second.room()
        first.close()
        second.close()
        with pytest.raises(DiskUnavailable):
            partial.settle()
    assert not Path(directory, part_name(FLUX)).exists()
    assert buffers.free == 1


def test_c2_bytes_are_charged_before_they_are_written_and_no_space_keeps_what_is_here(directory: str) -> None:
    left = [2 * BLOCK]

    def charge(size: int) -> None:
        if size > left[0]:
            raise NoSpace(root="/", free=left[0], name="x", need=size, floor=0)
        left[0] -= size

    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, offer(size=len(CONTENT)), writing=charge)
        append(partial, CONTENT[:BLOCK])
        append(partial, CONTENT[BLOCK : 2 * BLOCK])
        with pytest.raises(NoSpace):
            append(partial, CONTENT[2 * BLOCK :])
    state = Path(directory, part_name(FLUX)).stat()
    assert state.st_size == 2 * BLOCK
    assert state.st_blocks * 512 <= 2 * BLOCK + 8192
    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, offer(size=len(CONTENT), start=2 * BLOCK))
        ends_well(partial)


def test_a2_who_brings_what_the_hash_waits_for_may_be_silent_and_the_others_still_go_on(directory: str) -> None:
    """A lane far ahead waits for it, and then no longer: the file is read back where memory did not suffice."""
    content = os.urandom(24 * BLOCK)
    with Partial.open(directory, FLUX, buffers=Buffers(6)) as partial:
        partial.begin(URL, offer(size=len(content)))
        silent = partial.lane(0, BLOCK)
        for start in range(BLOCK, len(content), 4 * BLOCK):
            bring(partial, start, min(start + 4 * BLOCK, len(content)), content)
        assert partial.hashed == 0
        assert fill(silent, content[:BLOCK]) == BLOCK
        silent.close()
        assert partial.finish().digests.sha256 == hashlib.sha256(content).hexdigest()


def test_the_lane_that_the_hash_waits_for_never_waits_for_those_ahead(directory: str) -> None:
    content = os.urandom(12 * BLOCK)
    buffers = Buffers(6)
    with Partial.open(directory, FLUX, buffers=buffers) as partial:
        partial.begin(URL, offer(size=len(content)))
        ahead = [partial.lane(number * BLOCK, (number + 1) * BLOCK) for number in range(2, 12)]
        filled = [room for lane in ahead if (room := lane.room()) is not None]
        assert 0 < len(filled) < 6
        bring(partial, 0, 2 * BLOCK, content)
        for lane in ahead:
            lane.close()
        for start, stop in partial.missing():
            bring(partial, start, stop, content)
        assert partial.finish().digests.sha256 == hashlib.sha256(content).hexdigest()
