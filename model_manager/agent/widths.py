"""What was learnt of each host: how many connections are worth having."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from model_manager.agent.clock import Clock

UNLIMITED: Final = 64
"""Connections for one model where nobody set a limit."""

REMEMBERED: Final = 600.0
"""Seconds that a host is believed to be as it was."""


@dataclass
class _Known:
    connections: int
    most: int
    since: float


class Widths:
    """Shared by all downloads, so that the second model of a host begins as wide as the first one ended."""

    def __init__(self, clock: Clock, allowed: Callable[[str], int | None]) -> None:
        """`allowed`: the owner's limit of connections to a host."""
        self._clock = clock
        self._allowed = allowed
        self._known: dict[str, _Known] = {}

    def settled(self, host: str) -> int:
        """With how many connections to begin."""
        known = self._fresh(host)
        return min(known.connections, self.most(host)) if known else 1

    def most(self, host: str) -> int:
        """How many connections may be tried."""
        known = self._fresh(host)
        return max(1, min(self._allowed(host) or UNLIMITED, known.most if known else UNLIMITED))

    def learn(self, host: str, connections: int) -> None:
        """So many were worth it."""
        known = self._fresh(host)
        self._known[host] = _Known(connections, known.most if known else UNLIMITED, self._clock.monotonic())

    def refused(self, host: str, connections: int) -> None:
        """One more than so many was turned away."""
        self._known[host] = _Known(max(1, connections), max(1, connections), self._clock.monotonic())

    def _fresh(self, host: str) -> _Known | None:
        known = self._known.get(host)
        return known if known and self._clock.monotonic() - known.since < REMEMBERED else None
