"""Memory for bytes on their way from the network to the disk and the hash: few blocks, shared by every file."""

from __future__ import annotations

import os
import threading
from bisect import insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from queue import Empty, SimpleQueue
from typing import Final, Protocol

from model_manager.library.memory import reserved

BLOCK: Final = 2 * 1024 * 1024
"""Bytes of a block: each is handed from thread to thread, which asks for the interpreter, and all fit a processor's last cache."""

MOVING: Final = 8
"""Blocks of one file on their way to the disk and to the hash, when others leave it so many."""

HASHING: Final = os.cpu_count() or 1
"""Threads that hash at once, of all files together. Each keeps a core for milliseconds, and whoever is given the interpreter meanwhile
needs one at once: everybody else waits for him, the event loop too. Half as many cost eight files a tenth of their speed."""

READING: Final = 4
"""Blocks for bytes that are read back from the disk, of all files together: as many as cores hash them at once."""

PATIENCE: Final = 1.0
"""Seconds until who reads back gets memory of its own: those who have the blocks may wait for a disk that does not answer."""


class File(Protocol):
    """Whose bytes come over several connections, which wait for room together."""

    @property
    def places(self) -> int:
        """Blocks that could be taken for it now, as far as it is concerned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiter:
    ring: Callable[[], None]
    ready: Callable[[], bool]
    file: File | None
    at: int


class Turns:
    """A context manager that so many threads may be in at once. One call in, one out: a semaphore asks for the interpreter in each
    of its steps."""

    def __init__(self, count: int) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(count):
            self._free.put(None)

    def __enter__(self) -> None:
        self._free.get()

    def __exit__(self, *_: object) -> None:
        self._free.put(None)


class Buffers:
    """Page-aligned anonymous memory in blocks of BLOCK bytes, at most `count` of them. Thread-safe; no call but `reading` blocks.

    Memory is reserved with the first block, touched block by block, and unmapped when the last file that uses it is closed.
    """

    def __init__(self, count: int = 32) -> None:
        self.count = count
        self.hashing = Turns(HASHING)
        """Held by whoever hashes a block."""
        self._lock = threading.Lock()
        self._area = memoryview(b"")
        self._blocks: list[memoryview] = []
        self._number: dict[int, int] = {}
        self._idle = list(range(count - 1, -1, -1))
        self._desks: SimpleQueue[int] = SimpleQueue()
        for number in range(count, count + READING):
            self._desks.put(number)
        self._held = 0
        self._users = 0
        self._waiting: list[_Waiter] = []

    @property
    def free(self) -> int:
        """Blocks that could be taken now."""
        return len(self._idle)

    @property
    def share(self) -> int:
        """Blocks that each file may have on their way to the disk or the hash, beside those that came early."""
        return min(MOVING, self.count // 3, self.count // (2 * max(1, self._users)))

    @property
    def scarce(self) -> bool:
        """Whether what is free is needed by those who bring what the hash waits for, or what comes early would soon have to be
        read back: blocks that are being filled now may have to be held as well."""
        return self.free <= self.count // 6 or self._held >= self.count * 5 // 12

    def join(self) -> None:
        """A file begins to use blocks."""
        with self._lock:
            self._users += 1

    def leave(self) -> None:
        """A file has given back every block of its own. After the last one the memory goes back to the system."""
        with self._lock:
            self._users -= 1
            if not self._users:
                self._area = memoryview(b"")
                self._blocks, self._number = [], {}

    def take(self) -> memoryview | None:
        with self._lock:
            if not self._idle:
                return None
            self._reserve()
            return self._blocks[self._idle.pop()]

    def take_run(self, count: int) -> tuple[memoryview, list[memoryview]] | None:
        """So many blocks that lie behind each other, as one and each by itself; they are given back one by one."""
        with self._lock:
            idle = sorted(self._idle)
            first = next((low for low, high in zip(idle, idle[count - 1 :], strict=False) if high - low < count), None)
            if first is None:
                return None
            self._reserve()
            self._idle = [number for number in self._idle if not first <= number < first + count]
            return self._area[first * BLOCK : (first + count) * BLOCK], self._blocks[first : first + count]

    def give(self, memory: memoryview) -> None:
        with self._lock:
            self._idle.append(self._number[id(memory)])
        self.ring()

    @contextmanager
    def reading(self) -> Iterator[memoryview]:
        """Memory to read back into, for as long as it is hashed there; waits up to PATIENCE while READING others do that."""
        try:
            number = self._desks.get(timeout=PATIENCE)
        except Empty:
            yield reserved(BLOCK)
            return
        try:
            with self._lock:
                self._reserve()
                memory = self._blocks[number]
            yield memory
        finally:
            self._desks.put(number)

    def _reserve(self) -> None:
        if not self._blocks:
            every = range(self.count + READING)
            self._area = reserved(len(every) * BLOCK)
            self._blocks = [self._area[at * BLOCK : (at + 1) * BLOCK] for at in every]
            self._number = {id(block): number for number, block in enumerate(self._blocks)}

    def hold(self) -> bool:
        """Whether a taken block may be kept until the bytes before it have come: a third of all blocks always move on."""
        with self._lock:
            if self._held >= self.count * 2 // 3:
                return False
            self._held += 1
            return True

    def let_go(self) -> None:
        """A block that was held moves on, or is about to be given back."""
        with self._lock:
            self._held -= 1

    def when_free(
        self, ring: Callable[[], None], ready: Callable[[], bool], file: File | None = None, at: int = 0
    ) -> None:
        """Call `ring` once, from any thread: at once when it is `ready`, else after the next change.

        Of those who wait for one `file` the foremost (`at`) are called, as many as there are places: each of them asks for the
        interpreter, and those who are called in vain keep it from the thread that hashes.
        """
        with self._lock:
            if not (now := ready()):
                insort(self._waiting, _Waiter(ring=ring, ready=ready, file=file, at=at), key=attrgetter("at"))
        if now:
            ring()

    def ring(self) -> None:
        """Something changed: call those who are ready now. Call it after the change and without a lock of your own."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            called = self._called(waiting)
        for waiter in called:
            waiter.ring()

    def _called(self, waiting: list[_Waiter]) -> list[_Waiter]:
        """Those whose turn it is; the others wait on."""
        called: list[_Waiter] = []
        places = {waiter.file: waiter.file.places if waiter.file else self.count for waiter in waiting}
        for waiter in waiting:
            if places[waiter.file] > 0 and waiter.ready():
                called.append(waiter)
                places[waiter.file] -= 1
            else:
                self._waiting.append(waiter)
        return called
