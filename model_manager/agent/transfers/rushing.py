"""A short object that comes at once: one thread receives it and does everything after its last byte."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, Self, TypeVar

from model_manager.agent.threads import end_of
from model_manager.library.incoming.whole import Whole
from model_manager.sources.origin import Burst

PATIENCE: Final = 0.25
"""Seconds that a thread waits for the bytes of one object; those of a slower line are received as those of long ones are."""

T = TypeVar("T")


class Rush(Generic[T]):
    """One answer into one Whole and, if that was all of it, `after` on the same thread, which needs the answer no more then.

    A context manager, at whose end the thread is done, whatever happened.
    """

    def __init__(self, burst: Burst, whole: Whole, came: Callable[[], None], after: Callable[[], T]) -> None:
        """`came` is called on the event loop when the last byte is here, before anything that `after` does there."""
        self._burst = burst
        self._whole = whole
        self._told = came
        self._after = after
        self._over = False
        self._received = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> Self:
        self._job = self._loop.run_in_executor(None, self._run)
        self._job.add_done_callback(lambda _: self._received.set())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over = True
        await end_of(self._job)

    async def received(self) -> bool:
        """Whether everything came, when nothing more does: also after a cancel, which waits for that. Raises what the answer
        raised."""
        try:
            await self._received.wait()
        except asyncio.CancelledError:
            await self.__aexit__()
            raise
        if self._job.done():
            self._job.result()
        return self._whole.complete

    async def ended(self) -> T | None:
        """What `after` gave or raised; None when it was not called."""
        return await asyncio.shield(self._job)

    def _run(self) -> T | None:
        self._burst(self._whole, PATIENCE, lambda: self._over)
        if not self._whole.complete:
            return None
        self._loop.call_soon_threadsafe(self._came)
        return self._after()

    def _came(self) -> None:
        self._told()
        self._received.set()
