from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from model_manager.library.contents.belt import BLOCK, Belt

SIZE = 5 * BLOCK + 7


def zeros(memory: memoryview, start: int, over: Callable[[], bool]) -> int:
    return max(0, min(len(memory), SIZE - start))


def numbered(memory: memoryview, start: int, over: Callable[[], bool]) -> int:
    """Each block begins with its number."""
    memory[0] = start // BLOCK
    return zeros(memory, start, over)


def ignored(done: int) -> None:
    """Nobody looks."""


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_eater_gets_every_block_in_order(count: int) -> None:
    eaten: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    told: list[int] = []
    eaters = [lambda piece, mine=mine: mine.append((piece[0], len(piece))) for mine in eaten]
    Belt(numbered, eaters).run(told.append)
    assert eaten == [[*((number, BLOCK) for number in range(5)), (5, 7)]] * count
    assert told == sorted(told)
    assert told[-1] == SIZE


@pytest.mark.parametrize("size", [0, 1, BLOCK, 2 * BLOCK])
def test_the_end_is_found_wherever_it_is(size: int) -> None:
    sizes: list[int] = []
    Belt(
        lambda memory, start, over: max(0, min(len(memory), size - start)), [lambda piece: sizes.append(len(piece))]
    ).run(ignored)
    assert sum(sizes) == size


def test_nobody_reads_further_than_the_slowest_eater_needs() -> None:
    go, read = threading.Event(), []

    def fill(memory: memoryview, start: int, over: Callable[[], bool]) -> int:
        read.append(start)
        return zeros(memory, start, over)

    def slow(piece: memoryview) -> None:
        assert go.wait(10)

    ticks = iter(range(10_000))

    def tick(done: int) -> None:
        if next(ticks) == 2:
            assert max(read) < 3 * BLOCK
            go.set()

    Belt(fill, [lambda piece: None, slow]).run(tick)
    assert len(read) >= 6


@pytest.mark.parametrize("who", ["fill", "first", "second", "tick"])
def test_what_fails_anywhere_is_raised_and_ends_everything(who: str) -> None:
    class Odd(Exception):
        """Nobody else raises it."""

    def failing(name: str) -> Callable[..., int]:
        def work(*args: object) -> int:
            if who == name:
                raise Odd
            return zeros(*args) if name == "fill" else 0  # type: ignore[arg-type]

        return work

    with pytest.raises(Odd):
        Belt(failing("fill"), [failing("first"), failing("second")]).run(failing("tick"))


def test_who_waits_to_read_learns_that_it_is_over() -> None:
    def fill(memory: memoryview, start: int, over: Callable[[], bool]) -> int:
        while not over():
            threading.Event().wait(0.001)
        return 0

    def tick(done: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        Belt(fill, [len]).run(tick)
