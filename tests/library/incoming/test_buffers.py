from __future__ import annotations

import ctypes
import threading
from contextlib import ExitStack

import pytest

from model_manager.library.incoming.buffers import BLOCK, READING, Buffers
from model_manager.library.memory import HUGE


def test_no_more_blocks_are_given_than_there_are() -> None:
    buffers = Buffers(2)
    first, second = buffers.take(), buffers.take()
    assert first is not None
    assert second is not None
    assert len(first) == BLOCK
    assert (buffers.take(), buffers.free) == (None, 0)
    buffers.give(first)
    assert buffers.take() is first


def test_who_waits_is_called_once_when_there_is_room_and_at_once_when_there_is() -> None:
    buffers, rung = Buffers(1), list[str]()
    memory = buffers.take()
    assert memory is not None
    buffers.when_free(lambda: rung.append("later"), lambda: buffers.free > 0)
    buffers.ring()
    assert rung == []
    buffers.give(memory)
    buffers.when_free(lambda: rung.append("now"), lambda: buffers.free > 0)
    buffers.ring()
    assert rung == ["later", "now"]


class Tight:
    """A file that has room for so many blocks."""

    def __init__(self, places: int) -> None:
        self.places = places


def test_of_one_files_connections_the_foremost_are_called_and_no_more_than_have_a_place() -> None:
    buffers, rung = Buffers(8), list[str]()
    open_now, tight = [False], Tight(2)
    for at in (30, 10, 20, 40):
        buffers.when_free(lambda at=at: rung.append(f"{at}"), lambda: open_now[0], tight, at)  # type: ignore[misc]
    buffers.when_free(lambda: rung.append("somebody else"), lambda: open_now[0])
    open_now[0] = True
    buffers.ring()
    assert sorted(rung) == ["10", "20", "somebody else"]
    tight.places = 0
    buffers.ring()
    assert len(rung) == 3
    tight.places = 1
    buffers.ring()
    assert rung[3:] == ["30"]


def test_two_thirds_of_the_blocks_may_wait_for_what_is_before_them() -> None:
    buffers = Buffers(6)
    assert [buffers.hold() for _ in range(5)] == [True, True, True, True, False]
    buffers.let_go()
    assert buffers.hold()


def test_the_last_sixth_is_scarce() -> None:
    buffers = Buffers(12)
    assert [(buffers.take() is not None, buffers.scarce)[1] for _ in range(12)] == [False] * 9 + [True] * 3


def test_so_is_what_is_left_when_many_blocks_wait_for_what_is_before_them() -> None:
    buffers = Buffers(12)
    assert [(buffers.hold(), buffers.scarce)[1] for _ in range(6)] == [False] * 4 + [True] * 2
    buffers.let_go()
    buffers.let_go()
    assert not buffers.scarce


def test_files_share_what_may_be_on_its_way() -> None:
    buffers, shares = Buffers(48), list[int]()
    for _ in range(4):
        buffers.join()
        shares.append(buffers.share)
    assert shares == [8, 8, 8, 6]


def test_d7_the_memory_goes_when_the_last_file_leaves() -> None:
    buffers = Buffers(2)
    buffers.join()
    buffers.join()
    memory = buffers.take()
    assert memory is not None
    buffers.give(memory)
    buffers.leave()
    assert buffers.take() is memory
    buffers.give(memory)
    buffers.leave()
    assert buffers.take() is not memory


def test_many_threads_never_take_more_than_there_is_and_none_waits_for_ever() -> None:
    buffers, most, lock = Buffers(3), [0, 0], threading.Lock()

    def work() -> None:
        for _ in range(300):
            while (memory := buffers.take()) is None:
                free = threading.Event()
                buffers.when_free(free.set, lambda: buffers.free > 0)
                assert free.wait(60)
            with lock:
                most[0] += 1
                most[1] = max(most)
            with lock:
                most[0] -= 1
            buffers.give(memory)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not [thread for thread in threads if thread.is_alive()]
    assert 0 < most[1] <= 3
    assert buffers.free == 3


def address(memory: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def test_blocks_fill_large_pages_side_by_side_from_an_aligned_beginning() -> None:
    buffers = Buffers(5)
    blocks = [block for _ in range(5) if (block := buffers.take())]
    first = address(blocks[0])
    assert first % HUGE == 0
    assert [address(block) - first for block in blocks] == [BLOCK * number for number in range(5)]
    assert all(len(block) == BLOCK and not block.readonly for block in blocks)


def test_one_reservation_serves_until_the_last_file_leaves() -> None:
    buffers = Buffers(2)
    buffers.join()
    one, other = buffers.take(), buffers.take()
    assert one is not None
    assert other is not None
    one[:] = b"a" * BLOCK
    other[:] = b"b" * BLOCK
    assert bytes(one[-1:]) + bytes(other[:1]) == b"ab"


def test_blocks_that_lie_behind_each_other_are_given_as_one_as_long_as_there_are_such() -> None:
    buffers = Buffers(6)
    first, second = buffers.take(), buffers.take()
    assert first is not None
    assert second is not None
    run = buffers.take_run(3)
    assert run is not None
    whole, parts = run
    assert (len(whole), len(parts), buffers.free) == (3 * BLOCK, 3, 1)
    whole[2 * BLOCK] = 7
    assert parts[2][0] == 7
    assert buffers.take_run(2) is None
    buffers.give(first)
    assert buffers.free == 2
    assert buffers.take_run(2) is None
    buffers.give(second)
    assert buffers.take_run(2) is not None
    for part in parts:
        buffers.give(part)
    assert buffers.free == 4


def test_what_is_read_back_has_a_few_blocks_of_its_own_that_all_files_share() -> None:
    buffers, come = Buffers(2), threading.Event()
    taken = [buffers.take(), buffers.take()]

    def read() -> None:
        with buffers.reading():
            come.set()

    with ExitStack() as others:
        places = {address(others.enter_context(buffers.reading())) for _ in range(READING)}
        assert len(places | {address(block) for block in taken if block}) == READING + 2
        waiting = threading.Thread(target=read)
        waiting.start()
        assert not come.wait(0.1)
    assert come.wait(10)
    waiting.join()


def test_who_reads_while_others_wait_for_a_dead_disk_gets_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_manager.library.incoming.buffers.PATIENCE", 0.05)
    buffers = Buffers(2)
    with ExitStack() as others:
        places = {address(others.enter_context(buffers.reading())) for _ in range(READING)}
        with buffers.reading() as memory:
            assert len(memory) == BLOCK
            assert address(memory) not in places


def test_memory_to_read_into_goes_with_the_last_file_and_is_there_for_the_next() -> None:
    buffers = Buffers(2)
    for _ in range(2):
        buffers.join()
        with buffers.reading() as memory:
            assert bytes(memory) == bytes(BLOCK)
            memory[:] = b"a" * BLOCK
        buffers.leave()
