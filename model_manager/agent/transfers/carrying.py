"""One answer's way into the file: a lane whose end may come nearer while it carries."""

from __future__ import annotations

from collections.abc import Callable

from model_manager.facts.identity import Pin
from model_manager.library.incoming.lane import Lane


class Carrier:
    """A sink. It counts what comes, and remembers whether it had to wait for the disk or the hash."""

    def __init__(self, lane: Lane, now: Callable[[], float], *, warm: bool = False) -> None:
        """`now`: monotonic seconds. `warm`: its connection has brought bytes before."""
        self.received = 0
        self._warm = warm
        self.waited: float | None = None
        """Seconds until its answer had begun."""
        self._begun = now()
        self._now = now
        self._lane = lane
        self._waits = self._held = False

    def room(self) -> memoryview | None:
        if self.waited is None:
            self.waited = self._now() - self._begun
        room = self._lane.room()
        self._waits = room is None
        self._held = self._held or self._waits
        return room

    def took(self, size: int) -> None:
        self._lane.took(size)
        self.received += size

    def when_free(self, ring: Callable[[], None]) -> None:
        self._lane.when_free(ring)

    def promise(self, pin: Pin) -> None:
        """The digest of exactly this range, as its origin says it."""
        self._lane.promise(pin)

    @property
    def flowing(self) -> bool:
        """Whether its connection has brought anything; between two of its answers it counts on."""
        return self._warm or self.received > 0

    def was_held(self) -> bool:
        """Whether there was no room since the last question, or is none now."""
        held, self._held = self._held or self._waits, False
        return held

    @property
    def at(self) -> int:
        """The byte that comes next."""
        return self._lane.at

    @property
    def left(self) -> int:
        """Bytes before its end; 0 while that is unknown."""
        return 0 if self._lane.stop is None else self._lane.stop - self._lane.at

    def shorten(self, where: Callable[[int, int], int | None]) -> tuple[int, int] | None:
        """End earlier, at `where(next byte, end)`; the bytes that are free then, None when it goes on as it is."""
        if self._lane.stop is None or (stop := where(self._lane.at, self._lane.stop)) is None:
            return None
        later, self._lane.stop = (stop, self._lane.stop), stop
        return later

    def end(self) -> tuple[int, int] | None:
        """Hand over the last bytes; what is missing before its end, if anything is."""
        self._lane.close()
        missing = self._lane.stop is not None and self._lane.at < self._lane.stop
        return (self._lane.at, self._lane.stop) if missing and self._lane.stop is not None else None
