"""Bytes that somebody else brought to this machine: a look into HuggingFace's cache before anything is downloaded."""

from __future__ import annotations

from typing import Final

from model_manager.agent.board import Board
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.threads import finishing
from model_manager.facts.disk import Held
from model_manager.library.hub import blobs

AGAIN: Final = 60.0
"""Seconds after which the cache is searched again: somebody may have downloaded meanwhile."""


class Borrowing:
    """The cache is only read. A file of it counts for nothing before it was read whole, and is then linked or copied."""

    def __init__(self, board: Board, shelves: Shelves, cache: str) -> None:
        self._board = board
        self._shelves = shelves
        self._cache = cache
        self._asked: frozenset[str] = frozenset()
        self._looked = float("-inf")

    async def look(self) -> None:
        """Lend what the cache has of the wanted bytes that are not here. To be awaited before every plan."""
        names = self._missing()
        if not names and not self._shelves.lent:
            return
        now = self._board.clock.monotonic()
        if names == self._asked and now - self._looked < AGAIN and not self._shelves.lent:
            return
        self._asked, self._looked = names, now
        found = await finishing(blobs, self._cache, names)
        self._shelves.lend(map(self._known, found))

    def _missing(self) -> frozenset[str]:
        """The SHA-256 of what is wanted and not on our shelves."""
        requirements = self._board.requirements
        pins = (wanted.model.pin for wanted in requirements.wanted) if requirements else ()
        return frozenset(
            pin.hex
            for pin in pins
            if pin and pin.strong and "sha256" in pin.algorithms and not self._shelves.knows(pin)
        )

    def _known(self, found: Held) -> Held:
        """With what reading told, while it is the same file."""
        known = self._shelves.lent.get(found.file)
        return known if known is not None and known.fingerprint == found.fingerprint else found
