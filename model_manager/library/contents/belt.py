"""One file through few blocks of memory: a few threads read, several hash, each byte is read once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import count
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

from model_manager.library.memory import reserved

BLOCK: Final = 4 * 1024 * 1024
"""Bytes of a block. All blocks together fit the cache that processors share, so that no byte comes from memory twice."""

BLOCKS: Final = 2
"""Each is filled by a thread of its own: one alone copies too slowly for BLAKE3 on every core, three get in its way."""

LOOK: Final = 0.1
"""Seconds between two looks at whether the caller still wants it."""

T = TypeVar("T")
Fill = Callable[[memoryview, int, Callable[[], bool]], int]
"""(memory, offset, over) → bytes read, fewer than the memory has only at the end of the file. It may end early when `over`
answers True; what it raises is raised by `run`."""


class Belt:
    """Made for one file and run once."""

    def __init__(self, fill: Fill, eaters: Sequence[Callable[[memoryview], object]]) -> None:
        """Each of the `eaters` is given every byte, in order, on a thread of its own; the first on the caller's."""
        self._fill = fill
        self._eaters = eaters
        self._full: list[list[SimpleQueue[memoryview | None]]] = [
            [SimpleQueue() for _ in range(BLOCKS)] for _ in eaters
        ]
        self._empty: list[SimpleQueue[None]] = [SimpleQueue() for _ in range(BLOCKS)]
        self._done: SimpleQueue[None] = SimpleQueue()
        self._over = False
        self._failure: BaseException | None = None

    def run(self, tick: Callable[[int], None]) -> None:
        """Until every eater has everything. `tick` is told the bytes that the first one has had, after each block and while it
        waits, on the caller's thread; it may raise to end everything. No thread is left behind, whatever is raised."""
        works: list[tuple[Callable[[int], None], int]] = [(self._read, number) for number in range(BLOCKS)]
        works += [(self._digest, number) for number in range(1, len(self._eaters))]
        threads: list[threading.Thread] = []
        try:
            for work, number in works:
                thread = threading.Thread(target=self._guarded, args=(work, number), name="model-read", daemon=True)
                thread.start()
                threads.append(thread)
            done = self._eat(0, tick)
            for _ in self._eaters[1:]:
                _next(self._done, lambda: tick(done))
        finally:
            self._end()
            for thread in threads:
                thread.join()
        if self._failure is not None:
            raise self._failure

    def _guarded(self, work: Callable[[int], None], number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            self._failure = self._failure or error
            self._end()

    def _read(self, lane: int) -> None:
        """Every BLOCKS-th block of the file, through one block of memory."""
        memory = reserved(BLOCK)
        for at in count(lane * BLOCK, BLOCKS * BLOCK):
            got = self._fill(memory, at, lambda: self._over)
            for lanes in self._full:
                lanes[lane].put(memory[:got])
            if got < BLOCK:
                return
            for _ in self._eaters:
                self._empty[lane].get()
            if self._over:
                return

    def _digest(self, eater: int) -> None:
        try:
            self._eat(eater, _nobody)
        finally:
            self._done.put(None)

    def _eat(self, eater: int, tick: Callable[[int], None]) -> int:
        """Every block in order; how many bytes there were."""
        done = 0
        for number in count():
            lane = number % BLOCKS
            piece = _next(self._full[eater][lane], lambda: tick(done))  # noqa: B023  (called before the loop goes on)
            if piece is None or self._over:
                break
            self._eaters[eater](piece)
            self._empty[lane].put(None)
            done += len(piece)
            tick(done)
            if len(piece) < BLOCK:
                break
        return done

    def _end(self) -> None:
        """Wake everybody who waits, to find that it is over."""
        self._over = True
        for lanes in self._full:
            for full in lanes:
                full.put(None)
        for empty in self._empty:
            for _ in self._eaters:
                empty.put(None)


def _next(queue: SimpleQueue[T], waiting: Callable[[], object]) -> T:
    """What comes next; `waiting` is called while nothing does."""
    while True:
        try:
            return queue.get(timeout=LOOK)
        except Empty:
            waiting()


def _nobody(done: int) -> None:
    """Only the first eater reports."""
