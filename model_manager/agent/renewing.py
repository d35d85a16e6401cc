"""An index that turns out to be damaged while it is used ends the agent's loops; they begin anew, and opening makes it anew."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final

from loguru import logger

from model_manager.errors import IndexDamaged
from model_manager.settings import Settings

AT_LEAST: Final = 60.0
"""Seconds between two such ends: sooner, something damages it again and again, or nobody finds where."""


async def renewing(
    live: Callable[[Settings], Awaitable[None]],
    settings: Settings,
    load: Callable[[], Settings],
    asked: asyncio.Event,
) -> None:
    """`live` until it ends otherwise than by a damaged index, with the settings as `load` finds them each further time.

    Raises what it raises; IndexDamaged, in a group, when that comes AT_LEAST too soon, or after we were `asked` to stop.
    """
    last = -math.inf
    while damage := await _ended(live, settings):
        before, last = last, time.monotonic()
        if last - before < AT_LEAST or asked.is_set():
            raise damage
        logger.bind(reason=str(damage.exceptions[0])).error("everything begins anew, to make the index anew")
        settings = load()


async def _ended(
    live: Callable[[Settings], Awaitable[None]], settings: Settings
) -> BaseExceptionGroup[IndexDamaged] | None:
    damage = None
    try:
        await live(settings)
    except* IndexDamaged as group:
        damage = group
    return damage
