"""How fast the readers of one device go together, so that whoever works on it is not starved."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Final

BURST: Final = 0.25
"""Seconds of the rate that may be read at once after a rest."""

LOOK: Final = 0.1
"""Seconds between two looks at whether a reader who waits was cancelled."""


class Pace:
    """A bucket of bytes that fills at a rate. Thread-safe; rate and hold may change while readers wait."""

    def __init__(self, rate: float | None = None, *, clock: Callable[[], float] = monotonic) -> None:
        """`rate`: bytes per second of all readers together, None or 0 without a limit."""
        self._clock = clock
        self._changed = threading.Condition()
        self._rate = rate or None
        self._held = False
        self._credit = 0.0
        self._seen = clock()

    @property
    def rate(self) -> float | None:
        """Bytes per second, None without a limit."""
        return self._rate

    @rate.setter
    def rate(self, rate: float | None) -> None:
        with self._changed:
            self._fill()
            self._rate = rate or None
            self._credit = min(self._credit, self._most)
            self._changed.notify_all()

    @property
    def held(self) -> bool:
        """Whether nobody gets anything until it is let go."""
        return self._held

    @held.setter
    def held(self, held: bool) -> None:
        with self._changed:
            self._held = held
            self._changed.notify_all()

    def take(self, size: int, cancelled: Callable[[], bool]) -> bool:
        """Wait until `size` more bytes may be read; False when `cancelled` answered True first.

        Any size is given as soon as nothing is owed, and is owed from then on: large reads wait after, not before.
        """
        with self._changed:
            while (wait := self._wait()) > 0:
                if cancelled():
                    return False
                self._changed.wait(min(wait, LOOK))
            if self._rate:
                self._credit -= size
            return True

    @property
    def _most(self) -> float:
        return BURST * (self._rate or 0.0)

    def _fill(self) -> None:
        now = self._clock()
        if self._rate:
            self._credit = min(self._most, self._credit + (now - self._seen) * self._rate)
        self._seen = now

    def _wait(self) -> float:
        """Seconds until something may be read, as it looks now; 0 when it may."""
        if self._held:
            return LOOK
        if not self._rate:
            return 0.0
        self._fill()
        return max(0.0, -self._credit / self._rate)
