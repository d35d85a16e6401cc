"""How fast one attempt goes, and whether it trickles."""

from __future__ import annotations

from collections import deque
from typing import Final

from model_manager.agent.clock import Clock

PACE_SECONDS: Final = 30.0
"""Seconds over which the minimum speed is measured."""


class Pace:
    """Bytes per second over the last PACE_SECONDS; a connection that trickles is given up."""

    def __init__(self, clock: Clock, slowest: int) -> None:
        self._clock = clock
        self._slowest = slowest
        self._begun = clock.monotonic()
        self._marks: deque[tuple[float, int]] = deque([(self._begun, 0)])
        self._bytes = 0

    def reached(self, received: int) -> None:
        """So many bytes came since the beginning."""
        now = self._clock.monotonic()
        self._bytes = received
        if now - self._marks[-1][0] >= 0.5:
            self._marks.append((now, self._bytes))
        while len(self._marks) > 2 and now - self._marks[1][0] >= PACE_SECONDS:
            self._marks.popleft()

    @property
    def speed(self) -> float:
        """0 in the first second, over which nothing can be said yet."""
        seconds = self._clock.monotonic() - self._marks[0][0]
        return (self._bytes - self._marks[0][1]) / seconds if seconds >= 1 else 0.0

    @property
    def too_slow(self) -> bool:
        return self._clock.monotonic() - self._begun >= PACE_SECONDS and self.speed < self._slowest
