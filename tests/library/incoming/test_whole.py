from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from model_manager.errors import Corrupt
from model_manager.library.contents.reading import HEAD
from model_manager.library.incoming.buffers import BLOCK, Buffers
from model_manager.library.incoming.lane import fill
from model_manager.library.incoming.whole import Whole
from tests.library.shelves import offer

CONTENT = os.urandom(2 * BLOCK + 777)


class Tray:
    """What the next one got; every room is small, and now and then there is none."""

    def __init__(self, refuses: int = 0) -> None:
        self.got = b""
        self._memory = bytearray(100_000)
        self._refuses = refuses

    def room(self) -> memoryview | None:
        if self._refuses:
            self._refuses -= 1
            return None
        return memoryview(self._memory)

    def took(self, size: int) -> None:
        self.got += bytes(self._memory[:size])

    def when_free(self, ring: Callable[[], None]) -> None:
        ring()


@pytest.fixture
def buffers() -> Iterator[Buffers]:
    made = Buffers(4)
    yield made
    assert made.free == 4


def whole(
    buffers: Buffers,
    size: int = len(CONTENT),
    judge: Callable[[bytes], str | None] = lambda head: None,
    short: Callable[[], None] = lambda: None,
) -> Whole:
    return Whole.of(offer(size=size), "flux", buffers, judge, short)


def put(sink: Whole, data: bytes) -> None:
    assert fill(sink, data) == len(data)  # type: ignore[arg-type]


def test_everything_that_came_can_be_read_and_written(buffers: Buffers) -> None:
    sink = whole(buffers)
    put(sink, CONTENT[:-1])
    assert not sink.complete
    put(sink, CONTENT[-1:])
    assert sink.complete
    assert sink.room() == b""
    assert b"".join(sink.views()) == CONTENT
    for start, stop in ((0, 10), (BLOCK - 5, BLOCK + 5), (8, len(CONTENT)), (len(CONTENT) - 3, 1 << 30)):
        assert sink.read(start, stop) == CONTENT[start:stop]
    sink.drop()
    sink.drop()


def test_b9_the_beginning_is_judged_as_soon_as_it_is_there(buffers: Buffers) -> None:
    seen: list[bytes] = []
    sink = whole(buffers, judge=lambda head: seen.append(head) or "it is a web page")
    with pytest.raises(Corrupt, match="web page"):
        put(sink, CONTENT[: HEAD + 1])
    assert seen == [CONTENT[:HEAD]]
    sink.drop()


def test_an_object_shorter_than_that_is_judged_when_it_is_whole(buffers: Buffers) -> None:
    seen: list[bytes] = []
    sink = whole(buffers, size=10, judge=lambda head: seen.append(head))
    put(sink, CONTENT[:9])
    assert not seen
    put(sink, CONTENT[9:10])
    assert seen == [CONTENT[:10]]
    sink.drop()


@pytest.mark.parametrize("came", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, len(CONTENT)])
@pytest.mark.parametrize("refuses", [0, 2])
def test_who_takes_over_gets_each_byte_once(buffers: Buffers, came: int, refuses: int) -> None:
    sink, tray = whole(buffers), Tray(refuses)
    put(sink, CONTENT[:came])
    blocks = sink.full()
    sink.pass_on(tray)
    put(sink, CONTENT[came:])
    while sink.room() is None:
        pass
    assert b"".join(bytes(block.view()) for block in blocks) + tray.got == CONTENT
    assert [block.start for block in blocks] == [number * BLOCK for number in range(came // BLOCK)]
    for block in blocks:
        buffers.give(block.memory)
    sink.drop()


def test_a_room_that_was_given_before_the_take_over_is_still_its_own(buffers: Buffers) -> None:
    sink, tray = whole(buffers), Tray()
    put(sink, CONTENT[: BLOCK + 5])
    room = sink.room()
    assert room is not None
    blocks = sink.full()
    sink.pass_on(tray)
    room[:10] = CONTENT[BLOCK + 5 : BLOCK + 15]
    sink.took(10)
    put(sink, CONTENT[BLOCK + 15 :])
    assert tray.got == CONTENT[BLOCK:]
    buffers.give(blocks[0].memory)
    sink.drop()


@pytest.mark.parametrize(("came", "kept"), [(0, 0), (1000, 0), (2000, 2000), (BLOCK + 1, BLOCK + 1)])
def test_a1_what_came_before_a_break_is_given_away_when_it_can_be_judged(
    buffers: Buffers, came: int, kept: int
) -> None:
    seen: list[bytes] = []
    sink = whole(buffers, judge=lambda head: seen.append(head))
    put(sink, CONTENT[:came])
    blocks = sink.all()
    assert b"".join(bytes(block.view()) for block in blocks) == CONTENT[:kept]
    assert len(seen) == bool(kept)
    for block in blocks:
        buffers.give(block.memory)
    sink.drop()


def test_without_memory_the_owner_is_told_and_it_goes_on_when_there_is_some(buffers: Buffers) -> None:
    told: list[str] = []
    sink = whole(buffers, short=lambda: told.append("short"))
    others = [buffers.take() for _ in range(4)]
    assert sink.room() is None
    sink.when_free(lambda: told.append("free"))
    assert told == ["short"]
    for memory in others:
        assert memory is not None
        buffers.give(memory)
    assert told == ["short", "free"]
    assert sink.room()
    sink.drop()


def test_who_waits_for_memory_is_rung_when_somebody_takes_over(buffers: Buffers) -> None:
    rung: list[str] = []
    sink, tray = whole(buffers), Tray()
    others = [buffers.take() for _ in range(4)]
    assert sink.room() is None
    sink.when_free(lambda: rung.append("rung"))
    sink.pass_on(tray)
    assert rung == ["rung"]
    put(sink, CONTENT)
    assert tray.got == CONTENT
    for memory in others:
        assert memory is not None
        buffers.give(memory)
    sink.drop()


def test_a_short_object_lies_in_one_piece_where_memory_is_plenty() -> None:
    buffers = Buffers(32)
    sink = whole(buffers)
    room = sink.room()
    assert room is not None
    assert len(room) == len(CONTENT)
    put(sink, CONTENT)
    assert [bytes(view) for view in sink.views()] == [CONTENT]
    assert sink.read(BLOCK - 5, BLOCK + 5) == CONTENT[BLOCK - 5 : BLOCK + 5]
    sink.drop()
    assert buffers.free == 32


@pytest.mark.parametrize("before", [0, 1000, BLOCK - 1, BLOCK, BLOCK + 5, 2 * BLOCK + 776])
def test_one_piece_can_be_taken_over_in_the_middle_of_a_block(before: int) -> None:
    buffers, tray = Buffers(32), Tray()
    sink = whole(buffers)
    put(sink, CONTENT[:before])
    room = sink.room()
    assert room is not None
    taken = sink.full()
    assert b"".join(bytes(block.view()) for block in taken) == CONTENT[: before // BLOCK * BLOCK]
    sink.pass_on(tray)
    room[:1] = CONTENT[before : before + 1]
    sink.took(1)
    put(sink, CONTENT[before + 1 :])
    sink.room()
    assert tray.got == CONTENT[before // BLOCK * BLOCK :]
    for block in taken:
        buffers.give(block.memory)
    sink.drop()
    assert buffers.free == 32
