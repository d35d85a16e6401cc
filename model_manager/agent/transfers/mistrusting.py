"""What turned out wrong: objects that are not fetched again for a while, and models that may not be mixed of two sources."""

from __future__ import annotations

from typing import Final

from model_manager.agent.clock import Clock
from model_manager.facts.identity import Pin
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Offer, Received

CONDEMNED: Final = 3600.0
"""Seconds that an object which was wrong twice is not fetched again: its bytes may be mended under the same ETag."""

TWICE: Final = 2
"""Times that an object has to be wrong: the first time it may have been the line."""

Identity = tuple[str | None, int | None, Pin | None]


class Mistrust:
    """The memory of one process. Addresses are those of sources, with their query."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._condemned: dict[str, dict[Identity, list[float]]] = {}
        self._carried: dict[ShelfPath, set[str]] = {}
        self._unmixed: set[ShelfPath] = set()

    def carries(self, path: ShelfPath, url: str, *, on: bool) -> None:
        """Bytes of a model come from this address, after others (`on`) or from the first byte."""
        self._carried[path] = (self._carried.get(path, set()) if on else set()) | {url}

    def alone(self, path: ShelfPath) -> bool:
        """Whether one address has to bring the whole."""
        return path in self._unmixed

    def condemned(self, url: str, offer: Offer) -> bool:
        """Whether what is offered was wrong too often of late."""
        since = self._clock.monotonic() - CONDEMNED
        times = self._condemned.get(url, {}).get((offer.validator, offer.size, offer.promise), ())
        return sum(when > since for when in times) >= TWICE

    def right(self, path: ShelfPath) -> None:
        """The model is here."""
        self._carried.pop(path, None)
        self._unmixed.discard(path)

    def wrong(self, path: ShelfPath, url: str, got: Received) -> None:
        """These bytes were wrong. If they came from several addresses, each has to bring the whole from now on."""
        if len(self._carried.pop(path, ())) > 1:
            self._unmixed.add(path)
            return
        times = self._condemned.setdefault(url, {}).setdefault((got.validator, got.size, got.promise), [])
        times.append(self._clock.monotonic())

    def forgive(self) -> None:
        """Everything may be tried again."""
        self._condemned.clear()
        self._unmixed.clear()
