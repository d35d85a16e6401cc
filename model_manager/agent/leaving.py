"""Signals: they count from the first moment on, and a stop ends in time, whatever hangs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from loguru import logger

LEAVE: Final = 1.3
"""Seconds from the signal to the end of the process. PM2 kills after 1.6 s unless it is told otherwise; what a disk, a
resolver or a server that hangs would hold longer is what any kill may take: unsynced tails, no verified file."""


class Leaving:
    """SIGINT and SIGTERM ask us to stop, however often; SIGHUP rings `reload`."""

    def __init__(self, ready_file: Path) -> None:
        """`ready_file` is withdrawn even if nothing else can be done any more."""
        self.asked = asyncio.Event()
        self.reload: Callable[[], None] = lambda: None
        self._ready_file = ready_file
        self._beginning: asyncio.Timeout | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.ask)
        loop.add_signal_handler(signal.SIGHUP, lambda: self.reload())
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                # No default handler comes back: a second signal would end us in the middle of leaving.
                signal.signal(number, signal.SIG_IGN)

    @asynccontextmanager
    async def beginning(self) -> AsyncIterator[None]:
        """What runs in here is broken off, without an exception, when we are asked to stop."""
        try:
            async with asyncio.timeout(0 if self.asked.is_set() else None) as self._beginning:
                yield
        except TimeoutError:
            if not self.asked.is_set():
                raise
        finally:
            self._beginning = None

    def ask(self) -> None:
        """Stop, and be gone in LEAVE seconds."""
        if self.asked.is_set():
            return
        self.asked.set()
        last = threading.Timer(LEAVE, self._leave)
        last.daemon = True
        last.start()
        if self._beginning is not None:
            self._beginning.reschedule(0)

    def _leave(self) -> None:
        with contextlib.suppress(OSError):
            self._ready_file.unlink(missing_ok=True)
        os._exit(0)


async def until_orphaned(stop: Callable[[], None]) -> None:
    """Under PM2, its daemon's death ends us: a resurrected daemon starts another one, and two would be one too many."""
    parent = os.getppid()
    while "pm_id" in os.environ:
        await asyncio.sleep(1)
        if os.getppid() != parent:
            logger.warning("the PM2 daemon is gone; leaving so that the next one starts a single agent")
            stop()
            return
