"""What was told last, and everybody who listens: one reading of the stream for all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Final

from model_manager.facts.event import Envelope

KEPT: Final = 2_000
"""Events that are remembered, for listeners that come back."""

BEHIND: Final = 5_000
"""Events that may wait for one listener; who is slower is sent away, and comes back with the last id it had."""

Numbered = tuple[str, Envelope]


class Listening:
    """A listener's queue. `ended`: nothing more will come, for it was too slow (`overflowed`) or we stop."""

    def __init__(self) -> None:
        self._waiting: deque[Numbered] = deque()
        self._bell = asyncio.Event()
        self.ended = self.overflowed = False

    def put(self, told: Iterable[Numbered]) -> None:
        if self.ended:
            return
        self._waiting.extend(told)
        if len(self._waiting) > BEHIND:
            self._waiting.clear()
            self.ended = self.overflowed = True
        self._bell.set()

    def end(self) -> None:
        self.ended = True
        self._bell.set()

    async def take(self, seconds: float) -> list[Numbered]:
        """What waits, or what comes within so many seconds."""
        if not self._waiting and not self.ended:
            try:
                async with asyncio.timeout(seconds):
                    await self._bell.wait()
            except TimeoutError:
                return []
        self._bell.clear()
        told = list(self._waiting)
        self._waiting.clear()
        return told


Heard = Callable[[list[Numbered], AbstractSet[str]], None]
"""What was told, and the kinds that are among it."""


class Telling:
    """`last` is the id of the last event that was told, "" before the first. `heard` hears of each before listeners do."""

    def __init__(self, heard: Heard = lambda told, kinds: None) -> None:
        self._heard = heard
        self._recent: deque[Numbered] = deque(maxlen=KEPT)
        self._listeners: set[Listening] = set()
        self.last = ""

    def tell(self, told: list[Numbered], kinds: AbstractSet[str], ahead: int = 0) -> None:
        """`kinds` are those among it. `ahead`: so many more are known to follow. What would be pushed out by them before anybody
        could miss it is not remembered: objects that live on push what the next ones need out of the processor's cache."""
        if not told:
            return
        self._heard(told, kinds)
        self.last = told[-1][0]
        if ahead < KEPT:
            self._recent.extend(told)
        elif self._recent:
            self._recent.clear()
        for listener in self._listeners:
            listener.put(told)

    def since(self, identity: str) -> list[Numbered] | None:
        """What was told after an id, oldest first; None when what is remembered does not reach back so far."""
        if identity and self.last and place(identity) >= place(self.last):
            return []
        if not self._recent or not identity or place(self._recent[0][0]) > place(identity):
            return None
        return [each for each in self._recent if place(each[0]) > place(identity)]

    @contextmanager
    def listening(self) -> Iterator[Listening]:
        listener = Listening()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        """Everybody is sent home; they come back to whoever serves next."""
        for listener in self._listeners:
            listener.end()

    @property
    def listeners(self) -> int:
        return len(self._listeners)


def place(identity: str) -> tuple[int, int]:
    """An entry's id as numbers: ids grow."""
    ms, _, number = identity.partition("-")
    return int(ms), int(number or 0)
