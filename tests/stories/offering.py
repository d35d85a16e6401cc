"""The sample catalog and its origin, running beside a story that uses real processes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model_manager.catalog.run import serve
from model_manager.sample.run import sample

PATIENCE = 45
"""Seconds that starting may take."""


@contextmanager
def offered(directory: Path, rate: int | None = None) -> Iterator[dict[str, str]]:
    """The environment of an agent that uses this catalog. `rate`: bytes/s of each download, None for no limit."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    environment: dict[str, str] = {}
    began = threading.Event()

    async def offer() -> None:
        async with sample(directory, serve, rate=rate) as offering:
            environment["EMPROPS_API_BASE_URL"] = offering.catalog_url
            environment["MODEL_MANAGER_ALLOW_HOSTS"] = ",".join(offering.allow_hosts)
            began.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(offer(),))
    thread.start()
    try:
        assert began.wait(PATIENCE), "the sample did not start"
        yield environment
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)
        loop.close()
