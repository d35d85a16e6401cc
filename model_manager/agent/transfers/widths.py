"""How many connections each download of a host gets: tried out, measured over all of them together, remembered."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Protocol

from model_manager.agent.clock import Clock
from model_manager.agent.transfers.gauge import Gauge
from model_manager.decisions.widening import wider

UNLIMITED: Final = 64
"""Connections to a host where nobody set a limit."""

REMEMBERED: Final = 600.0
"""Seconds that a host is believed to be as it was when nothing came from it since."""

LOOK: Final = 0.1
"""Seconds between two looks at how fast it goes."""

WORTH: Final = 5.0
"""Seconds that what is left must take at the present speed for more connections to be worth their opening."""

HELD_BACK: Final = 0.3
"""Share of looks at which the disk or the hash was behind; from there on more connections help nobody, and what they brought
says nothing of the network."""

REST: Final = 10.0
LONGEST_REST: Final = 160.0
"""Seconds until more connections are tried again after they did not help: at first, and at most, for it doubles each time. A
disk or a processor that was busy with something else looks like a network that gives no more."""


class Member(Protocol):
    """A download, as its host's crowd sees it."""

    @property
    def received(self) -> int:
        """Bytes that came so far."""

    @property
    def left(self) -> int:
        """Bytes that are missing."""

    @property
    def flowing(self) -> bool:
        """Whether every connection that it wants brings bytes."""

    def was_held(self) -> bool:
        """Whether it had to wait for the disk or the hash since the last question."""


class Crowd:
    """The downloads of one host. What one more connection brings shows in what all of them get."""

    def __init__(self, clock: Clock, allowed: Callable[[], int | None]) -> None:
        self.each = 1
        self.enough: float = float("inf")
        """Bytes a second, all downloads together, from which more connections are not tried."""
        self._clock = clock
        self._allowed = allowed
        self._gauge = Gauge(clock)
        self._members: list[Member] = []
        self._gone = 0
        self._rest, self._rested_at = REST, 0.0
        self._took = UNLIMITED
        self._looked = self._left_at = clock.monotonic()

    @property
    def connections(self) -> int:
        """As many as all of them together want."""
        return sum(map(self.share, self._members))

    @property
    def most(self) -> int:
        """Connections that one of them may have."""
        return max(1, math.ceil(self._together / max(1, len(self._members))))

    def share(self, member: Member) -> int:
        """Connections that this one gets. Where they cannot all have as many, the first ones have one more."""
        least, over = divmod(min(self.each * len(self._members), self._together), len(self._members))
        return max(1, least + (self._members.index(member) < over))

    @property
    def _together(self) -> int:
        """Connections that all of them may have."""
        return min(self._allowed() or UNLIMITED, self._took)

    def enter(self, member: Member) -> None:
        now = self._clock.monotonic()
        if not self._members and now - self._left_at > REMEMBERED:
            self.each, self._took = 1, UNLIMITED
        self._members.append(member)
        self._gauge.forget()
        self.each = min(self.each, self.most)

    def leave(self, member: Member) -> None:
        self._members.remove(member)
        self._gone += member.received
        self._gauge.forget()
        self._left_at = self._clock.monotonic()

    def refused(self, member_has: int) -> None:
        """The host turned a connection away from a download that has so many others."""
        self._took = max(1, member_has) * len(self._members)
        self.each = min(self.each, self.most)

    def look(self) -> None:
        """To be called often by every member; once in LOOK seconds it measures, and tries another number when it has."""
        now = self._clock.monotonic()
        if now - self._looked < LOOK * 0.9:
            return
        self._looked = now
        self.each = min(self.each, self.most)
        held = [member.was_held() for member in self._members]
        flowing = all(member.flowing for member in self._members)
        received = self._gone + sum(member.received for member in self._members)
        self._gauge.look(received, self.each, flowing=flowing, held=sum(held) * 2 > len(held))
        if self._gauge.measured:
            self._decide()
            self._gauge.again()

    def _decide(self) -> None:
        gauge = self._gauge
        if gauge.held_back > HELD_BACK:
            return
        if self._looked >= self._rested_at:
            gauge.doubt(self.each)
        then = wider(gauge.speeds, self.each, self.most, sure=gauge.sure)
        if then < self.each:
            self._rested_at, self._rest = self._looked + self._rest, min(LONGEST_REST, 2 * self._rest)
            self.each = then
        elif (
            gauge.speeds[self.each] < self.enough and sum(member.left for member in self._members) > WORTH * gauge.speed
        ):
            self.each = then


class Widths:
    """One crowd a host, shared by all downloads: the second model begins as wide as the first one ended."""

    def __init__(self, clock: Clock, allowed: Callable[[str], int | None]) -> None:
        """`allowed`: the owner's limit of connections to a host."""
        self._clock = clock
        self._allowed = allowed
        self._crowds: dict[str, Crowd] = {}

    @property
    def connections(self) -> int:
        """As many as all downloads want: they share one memory."""
        return sum(crowd.connections for crowd in self._crowds.values())

    def crowd(self, host: str) -> Crowd:
        if host not in self._crowds:
            self._crowds[host] = Crowd(self._clock, lambda: self._allowed(host))
        return self._crowds[host]
