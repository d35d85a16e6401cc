"""Memory for bytes on their way from the network to the disk and the hash: few blocks, shared by every file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from model_manager.library.memory import reserved

BLOCK: Final = 1024 * 1024
"""Bytes of a block: what fits a processor's cache beside its neighbours, and is long enough for the disk."""


class Buffers:
    """Page-aligned anonymous memory in blocks of BLOCK bytes, at most `count` of them. Thread-safe; no call blocks.

    Memory is reserved with the first block, touched block by block, and unmapped when the last file that uses it is closed.
    """

    def __init__(self, count: int = 48) -> None:
        self.count = count
        self._lock = threading.Lock()
        self._idle: list[memoryview] = []
        self._fresh: list[memoryview] = []
        self._taken = 0
        self._held = 0
        self._users = 0
        self._waiting: list[tuple[Callable[[], None], Callable[[], bool]]] = []

    @property
    def free(self) -> int:
        """Blocks that could be taken now."""
        return self.count - self._taken

    @property
    def share(self) -> int:
        """Blocks that each file may have on their way to the disk or the hash, beside those that came early."""
        return min(self.count // 3, self.count // (2 * max(1, self._users)))

    @property
    def scarce(self) -> bool:
        """Whether what is free is needed by those who bring what the hash waits for."""
        return self.count - self._taken <= self.count // 6

    def join(self) -> None:
        """A file begins to use blocks."""
        with self._lock:
            self._users += 1

    def leave(self) -> None:
        """A file has given back every block of its own. After the last one the memory goes back to the system."""
        with self._lock:
            self._users -= 1
            if not self._users:
                self._idle.clear()
                self._fresh.clear()

    def take(self) -> memoryview | None:
        with self._lock:
            if self._taken >= self.count:
                return None
            self._taken += 1
            if self._idle:
                return self._idle.pop()
            self._fresh = self._fresh or _blocks(self.count)
            return self._fresh.pop()

    def give(self, memory: memoryview) -> None:
        with self._lock:
            self._taken -= 1
            self._idle.append(memory)
        self.ring()

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

    def when_free(self, ring: Callable[[], None], ready: Callable[[], bool]) -> None:
        """Call `ring` once, from any thread: at once when it is `ready`, else after the next change."""
        with self._lock:
            if not (now := ready()):
                self._waiting.append((ring, ready))
        if now:
            ring()

    def ring(self) -> None:
        """Something changed: call those who are ready now. Call it after the change and without a lock of your own."""
        with self._lock:
            called: list[Callable[[], None]] = []
            rest: list[tuple[Callable[[], None], Callable[[], bool]]] = []
            for ring, ready in self._waiting:
                if ready():
                    called.append(ring)
                else:
                    rest.append((ring, ready))
            self._waiting = rest
        for ring in called:
            ring()


def _blocks(count: int) -> list[memoryview]:
    area = reserved(count * BLOCK)
    return [area[at : at + BLOCK] for at in range((count - 1) * BLOCK, -1, -BLOCK)]
