from __future__ import annotations

from model_manager.library.incoming.block import Block, Early
from model_manager.library.incoming.buffers import BLOCK, Buffers


def block_at(buffers: Buffers, number: int) -> Block:
    memory = buffers.take()
    assert memory is not None
    return Block(memory=memory, start=number * BLOCK + 5, stop=(number + 1) * BLOCK)


def test_a_block_is_seen_where_it_lies_in_its_memory() -> None:
    block = block_at(Buffers(1), 3)
    block.memory[5:8] = b"abc"
    assert bytes(block.view()[:3]) == b"abc"
    assert len(block.view()) == BLOCK - 5


def test_the_farthest_goes_where_not_all_can_stay() -> None:
    buffers = Buffers(6)
    early = Early(buffers)
    blocks = {number: block_at(buffers, number) for number in (5, 3, 9, 4, 8, 2)}
    assert [early.keep(blocks[number]) for number in (5, 3, 9, 4)] == [None] * 4
    assert early.keep(blocks[8]) is blocks[9]
    assert early.keep(blocks[9]) is blocks[9]
    assert early.keep(blocks[2]) is blocks[8]
    assert early.after(0) == blocks[2].start
    assert early.after(blocks[2].start) == blocks[3].start
    assert early.after(blocks[5].start) is None
    assert blocks[2].early


def test_a_block_whose_turn_has_come_makes_room_for_another() -> None:
    buffers = Buffers(3)
    early = Early(buffers)
    first, second, third = (block_at(buffers, number) for number in range(3))
    assert (early.keep(first), early.keep(second), early.keep(third)) == (None, None, third)
    assert early.pop(7) is None
    assert early.pop(first.start) is first
    assert early.keep(third) is None
    assert early.empty() == [second, third]
    assert [buffers.hold() for _ in range(3)] == [True, True, False]
