"""Questions to somebody else's service, one after the other with a pause between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


class Spacing:
    """Turns that are at least `1 / per_second` seconds apart, in the order of asking.

    For one event loop. While the other side wants quiet nobody waits here for its end: `silence` tells how long it lasts.
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`clock` counts seconds and never goes back."""
        self._gap = 1 / per_second
        self._clock = clock
        self._sleep = sleep
        self._next = self._quiet_until = float("-inf")
        self._door = asyncio.Lock()

    @property
    def silence(self) -> float:
        """Seconds until questions are welcome again; 0 when they are."""
        return max(0.0, self._quiet_until - self._clock())

    async def turn(self) -> None:
        """Returns when it is our turn."""
        async with self._door:
            while (wait := self._next - self._clock()) > 0:
                await self._sleep(wait)
            self._next = self._clock() + self._gap

    def quiet(self, seconds: float) -> None:
        """The other side asked for it."""
        self._quiet_until = max(self._quiet_until, self._clock() + seconds)
