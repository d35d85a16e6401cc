"""How fast it goes with so many connections, and whether that is the network's doing."""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

from model_manager.agent.clock import Clock

MEASURED: Final = 0.2
"""Seconds over which a number of connections is measured, after one look's time to settle."""

SURE: Final = 4
"""So many measurements say that more connections do not help: they begin slowly (RFC 5681, slow start)."""

PATIENCE: Final = 3.0
"""Seconds that the slowest new connection is waited for before a measurement begins without it."""

RECENT: Final = 2.0
"""Seconds over which the present speed is taken."""


class Gauge:
    """Bytes per second, present and by number of connections."""

    def __init__(self, clock: Clock) -> None:
        self.speeds: dict[int, float] = {}
        self._clock = clock
        self._windows: Counter[int] = Counter()
        self._looks: deque[tuple[float, int]] = deque()
        self._window: list[tuple[float, int, bool]] = []
        self._connections = 0
        self._since = 0.0

    def look(self, received: int, connections: int, *, flowing: bool = True, held: bool = False) -> None:
        """Bytes that came so far, over so many connections.

        `flowing`: each of them brings bytes by now; `held`: some of them had to wait for us since the last look.
        """
        now = self._clock.monotonic()
        self._looks.append((now, received))
        while now - self._looks[0][0] > RECENT:
            self._looks.popleft()
        if connections != self._connections:
            self.again()
            self._connections, self._since = connections, now
        elif not flowing and now - self._since < PATIENCE:
            self.again()
        else:
            self._window.append((now, received, held))
        if self.measured:
            (begun, before, _), (ended, after, _) = self._window[0], self._window[-1]
            self.speeds[connections] = (after - before) / (ended - begun)
            self._windows[connections] += 1

    def forget(self) -> None:
        """Who shares has changed: what was measured says nothing any more."""
        self.speeds.clear()
        self._windows.clear()
        self.again()

    def doubt(self, connections: int) -> None:
        """What was measured with more than so many says nothing any more."""
        for wider in [number for number in self.speeds if number > connections]:
            del self.speeds[wider], self._windows[wider]

    def again(self) -> None:
        """Begin another window."""
        self._window = []

    @property
    def measured(self) -> bool:
        """Whether the present number has been in use for long enough."""
        return len(self._window) > 1 and self._window[-1][0] - self._window[0][0] >= MEASURED

    @property
    def sure(self) -> bool:
        """Whether the present number was measured often enough to be given up."""
        return self._windows[self._connections] >= SURE

    @property
    def held_back(self) -> float:
        """Share of the window's looks at which somebody waited for the disk or the hash."""
        return sum(held for _, _, held in self._window) / max(1, len(self._window))

    @property
    def speed(self) -> float:
        """Bytes per second of late."""
        (begun, before), (ended, after) = (
            self._looks[0] if self._looks else (0.0, 0),
            self._looks[-1] if self._looks else (0.0, 0),
        )
        return (after - before) / (ended - begun) if ended > begun else 0.0
