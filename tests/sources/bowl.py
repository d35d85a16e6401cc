"""A sink in memory."""

from __future__ import annotations

from collections.abc import Callable


class Bowl:
    """Takes at most `most` bytes, `step` at a time; `heard` is called, in the pouring thread, when bytes came."""

    def __init__(self, most: int = 1 << 30, *, step: int = 100_000, heard: Callable[[], None] = lambda: None) -> None:
        self._most = most
        self._room = bytearray(step)
        self._heard = heard
        self.data = bytearray()
        self.pins: list[str] = []

    def room(self) -> memoryview | None:
        return memoryview(self._room)[: self._most - len(self.data)]

    def took(self, size: int) -> None:
        self.data += self._room[:size]
        self._heard()

    def when_free(self, ring: Callable[[], None]) -> None:
        ring()

    def promise(self, pin: object) -> None:
        self.pins.append(str(pin))
