"""Bells that coalesce: a thousand rings become one look."""

from __future__ import annotations

import asyncio


class Bell:
    """Whoever changed something rings; the one coroutine that owns the consequence waits."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, at_most: float | None = None) -> bool:
        """Until it rings or `at_most` seconds passed; whether it rang. Rings before this call count."""
        try:
            async with asyncio.timeout(at_most):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True
