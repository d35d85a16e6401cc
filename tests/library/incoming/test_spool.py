from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count

import pytest

from model_manager.library.incoming.block import Block
from model_manager.library.incoming.buffers import BLOCK, Buffers
from model_manager.library.incoming.extents import Extents
from model_manager.library.incoming.spool import BEHIND, GATHER, Spool


def spool_of(buffers: Buffers, *, here: int = 0, hashed: int = 0, every: int = 1 << 40, rereads: bool = False) -> Spool:
    return Spool(buffers, Extents([(0, here)]), hashed, None, every=every, seconds=1e9, rereads=rereads)


def give(spool: Spool, number: int, *, start: int = 0, stop: int = BLOCK) -> bool:
    """The block of that number, or a part of it."""
    memory = spool.take(number * BLOCK, patient=False)
    assert memory is not None
    return spool.give(Block(memory=memory, start=number * BLOCK + start, stop=number * BLOCK + stop))


def write(spool: Spool) -> list[int]:
    """What a writer does once; the numbers of the blocks."""
    batch = spool.next_to_write()
    spool.wrote(batch)
    return [block.start // BLOCK for block in batch]


def to_hash(spool: Spool, count: int) -> list[object]:
    """What a hasher is given: numbers of blocks in memory, spans of blocks to read back."""
    found: list[object] = []
    for _ in range(count):
        item = spool.next_to_hash()
        assert item is not None
        found.append(item.start // BLOCK if isinstance(item, Block) else (item[0] // BLOCK, item[1] // BLOCK))
        spool.hashed_to(item.stop if isinstance(item, Block) else item[1], None)
        spool.did_hash(item)
    return found


def waits(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    return thread


def test_blocks_that_follow_each_other_are_written_together_and_hashed_from_memory() -> None:
    buffers = Buffers(48)
    spool = spool_of(buffers)
    for number in range(GATHER + 1):
        give(spool, number)
    give(spool, 9)
    assert [write(spool) for _ in range(3)] == [list(range(GATHER)), [GATHER], [9]]
    assert to_hash(spool, GATHER + 1) == list(range(GATHER + 1))
    spool.drop()
    assert buffers.free == 48


def test_blocks_that_connections_bring_in_turns_are_written_together_too() -> None:
    buffers = Buffers(48)
    spool = spool_of(buffers)
    for number in (0, 20, 1, 21):
        give(spool, number)
    assert [write(spool) for _ in range(2)] == [[0, 1], [20, 21]]
    spool.drop()


def test_an_early_block_waits_in_memory_for_those_before_it() -> None:
    spool = spool_of(Buffers(8))
    for number in (2, 1, 0):
        give(spool, number)
        write(spool)
    assert to_hash(spool, 3) == [0, 1, 2]


def test_what_memory_cannot_hold_is_read_back() -> None:
    buffers = Buffers(2)
    spool = spool_of(buffers)
    for number in (5, 3, 4, 1, 2, 0):
        give(spool, number)
        write(spool)
    assert to_hash(spool, 3) == [0, 1, (2, 6)]
    assert buffers.free == 2


def test_what_is_needed_soonest_stays_in_memory() -> None:
    spool = spool_of(Buffers(6))
    for number in (9, 7, 8, 3, 6, 5, 4):
        give(spool, number)
        write(spool)
    for number in (0, 1, 2):
        give(spool, number)
        write(spool)
        to_hash(spool, 1)
    assert to_hash(spool, 5) == [3, 4, 5, 6, (7, 10)]


def test_a_lane_far_ahead_leaves_the_last_blocks_to_the_one_that_the_hash_waits_for() -> None:
    spool, rung = spool_of(Buffers(6)), list[int]()
    kept = [spool.take(number * BLOCK) for number in (2, 3, 4, 5)]
    assert all(kept)
    last = spool.take(6 * BLOCK)
    assert last is not None
    assert (spool.take(7 * BLOCK), spool.ready(7 * BLOCK)) == (None, False)
    assert spool.ready(0)
    assert spool.ready(7 * BLOCK, patient=False)
    spool._buffers.when_free(lambda: rung.append(1), lambda: spool.ready(7 * BLOCK))
    assert rung == []
    spool._buffers.give(last)
    assert rung == [1]


def test_a_file_that_is_alone_may_bring_more_at_once_than_one_of_many() -> None:
    def taken(files: int) -> int:
        buffers = Buffers(32)
        for _ in range(files):
            buffers.join()
        spool = spool_of(buffers)
        for number in range(32):
            if not spool.ready(number * BLOCK):
                return number
            give(spool, number)
        return 32

    assert [taken(files) for files in (1, 2, 3, 8)] == [8, 8, 5, 4]


def test_a_hash_that_starves_is_known_and_so_is_one_with_too_much_to_read_back() -> None:
    spool = spool_of(Buffers(8))
    assert spool.starving
    give(spool, 0)
    write(spool)
    assert not spool.starving
    to_hash(spool, 1)
    assert spool.starving
    few, many = spool_of(Buffers(8), here=BEHIND), spool_of(Buffers(8), here=BEHIND + BLOCK)
    few.start()
    many.start()
    assert (few.starving, many.starving) == (False, True)


def test_nothing_is_kept_in_memory_behind_too_much_that_has_to_be_read_back() -> None:
    buffers, end = Buffers(8), BEHIND // BLOCK + 1
    spool = spool_of(buffers, here=BEHIND + BLOCK)
    spool.start()
    for number in (end + 1, end, end + 2):
        give(spool, number)
        write(spool)
    assert buffers.free == 8
    assert to_hash(spool, 1) == [(0, end + 3)]


def test_those_who_wait_are_asked_again_while_the_hash_has_nothing_to_do() -> None:
    spool, asked = spool_of(Buffers(8)), list[int]()

    def ready() -> bool:
        asked.append(1)
        return len(asked) > 2

    rung = threading.Event()
    spool._buffers.when_free(rung.set, ready)
    hasher = waits(spool.next_to_hash)
    assert rung.wait(60)
    spool.end()
    hasher.join(60)
    assert not hasher.is_alive()


def test_where_memory_is_no_proof_everything_is_read_back() -> None:
    spool = spool_of(Buffers(8), rereads=True)
    for number in (1, 0, 2):
        give(spool, number)
        write(spool)
    assert to_hash(spool, 1) == [(0, 3)]


def test_what_is_here_from_before_is_read_back_from_where_the_hash_is() -> None:
    spool = spool_of(Buffers(8), here=6 * BLOCK, hashed=2 * BLOCK)
    spool.start()
    give(spool, 6)
    write(spool)
    assert to_hash(spool, 2) == [(2, 6), 6]


def test_the_disk_or_the_hash_being_behind_leaves_no_room() -> None:
    spool = spool_of(Buffers(6))
    rung: list[int] = []
    for number in (0, 1):
        assert spool.ready(number * BLOCK)
        give(spool, number)
    assert (spool.take(2 * BLOCK), spool.ready(2 * BLOCK)) == (None, False)
    spool._buffers.when_free(lambda: rung.append(1), lambda: spool.ready(2 * BLOCK))
    write(spool)
    assert (spool.take(2 * BLOCK), rung) == (None, [])
    to_hash(spool, 1)
    assert rung == [1]
    assert spool.take(2 * BLOCK) is not None


def test_promise_4_writing_waits_while_too_much_is_not_synced() -> None:
    spool = spool_of(Buffers(48), every=BLOCK)
    for number in (0, 2, 4):
        give(spool, number)
    write(spool)
    write(spool)
    waiting = waits(lambda: write(spool))
    assert spool.due()
    safe = spool.safe()
    assert safe.extents == ((0, BLOCK), (2 * BLOCK, 3 * BLOCK))
    spool.synced(safe)
    waiting.join(60)
    assert not waiting.is_alive()
    assert spool.unsynced == BLOCK


def test_bytes_that_were_brought_are_not_taken_again() -> None:
    buffers = Buffers(8)
    spool = spool_of(buffers)
    assert give(spool, 0, start=100, stop=200)
    assert not give(spool, 0, start=120, stop=180)
    assert give(spool, 0, start=0, stop=200)
    assert spool.brought.spans == ((0, 200),)
    batch = [*spool.next_to_write()]
    spool.wrote(batch)
    assert [(block.start, block.stop) for block in (*batch, *spool.next_to_write())] == [(100, 200), (0, 100)]


def test_a_failure_frees_everything_and_is_told_to_everybody() -> None:
    buffers = Buffers(8)
    spool = spool_of(buffers)
    for number in (3, 0):
        give(spool, number)
        write(spool)
    give(spool, 1)
    waiting = waits(lambda: spool.due())
    spool.fail(ValueError("first"))
    spool.fail(ValueError("second"))
    waiting.join(60)
    assert buffers.free == 8
    for call in (lambda: spool.take(0), spool.insist):
        with pytest.raises(ValueError, match="first"):
            call()
    assert (spool.next_to_write(), spool.next_to_hash(), spool.due()) == ([], None, False)
    assert spool.wait_settled(0)


def test_at_the_end_nobody_waits_and_nothing_more_is_taken() -> None:
    spool = spool_of(Buffers(8))
    memory = spool.take(0)
    assert memory is not None
    hasher, writer = waits(spool.next_to_hash), waits(spool.next_to_write)
    spool.end()
    hasher.join(60)
    writer.join(60)
    assert not spool.give(Block(memory=memory, start=0, stop=BLOCK))
    assert (spool.take(0), spool.ready(0)) == (None, True)


@pytest.mark.parametrize("connections", [16, 64])
@pytest.mark.parametrize("written", [0, 5, 31, 60])
def test_d1_a_kill_costs_less_than_64_mib_however_many_connections_there_are(connections: int, written: int) -> None:
    """Each holds a block, one after the other fills its own and takes the next; no sync ends, and the disk takes so many blocks."""
    spool = spool_of(Buffers(), every=16 * BLOCK)
    spool.start()
    lanes = [spool.take(number * BLOCK) for number in range(connections)]
    given = count(connections)
    numbers = list(range(connections))
    brought = 0
    for step in range(4 * connections):
        place = step % connections
        if (memory := lanes[place]) is not None:
            at = numbers[place] * BLOCK
            brought += spool.give(Block(memory=memory, start=at, stop=at + BLOCK))
            numbers[place] = next(given)
            while spool._may_write and spool.unsynced < written * BLOCK:
                write(spool)
            while spool._to_hash:
                to_hash(spool, 1)
        lanes[place] = spool.take(numbers[place] * BLOCK, patient=False)
    held = brought + sum(lane is not None for lane in lanes)
    assert 16 <= held <= 64
    spool.synced(spool.safe())


def test_a_file_has_places_for_what_may_be_on_its_way_and_at_the_end_for_all_who_wait() -> None:
    buffers = Buffers()
    spool = spool_of(buffers, every=16 * BLOCK)
    usual = spool.places
    assert usual == buffers.share
    give(spool, 0)
    assert spool.places == usual - 1
    spool.fail(OSError())
    assert spool.places == buffers.count
