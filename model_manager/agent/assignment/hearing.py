"""The loop that listens to the catalog: what changes there is looked at within seconds, and nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from loguru import logger

from model_manager.agent.assignment.wanting import Wanting
from model_manager.agent.board import Board
from model_manager.errors import NotFound, Refused, Unavailable
from model_manager.sources.catalog_feed import Heard

AGAIN: Final = 1.0
LONGEST: Final = 60.0
"""Seconds before a feed that ended is listened to again; doubling from one to the other while it fails."""

ABSENT: Final = 900.0
"""Seconds before a catalog without a feed is asked again whether it has one now."""

Listen = Callable[[str], AsyncIterator[Heard]]
"""A cursor, or "" for the first time → what is heard from there on."""


class Hearing:
    """Where there is no feed, or it is away, the usual looks at the catalog go on."""

    def __init__(self, board: Board, wanting: Wanting, listen: Listen) -> None:
        self._board = board
        self._wanting = wanting
        self._listen = listen
        self._cursor = ""
        self._patience = AGAIN

    async def run(self) -> None:
        while True:
            pause = await self._until_it_ends()
            self._wanting.fed = False
            await asyncio.sleep(pause * (0.5 + self._board.clock.chance()))

    async def _until_it_ends(self) -> float:
        """Listen, and say how many seconds to wait then."""
        try:
            async for heard in self._listen(self._cursor):
                self._take(heard)
            return AGAIN
        except NotFound:
            return ABSENT
        except Refused as error:
            logger.bind(reason=str(error)).warning("the catalog's feed is not for us; it is polled")
            return ABSENT
        except Unavailable as error:
            pause = max(self._patience, error.retry_after or 0.0)
            self._patience = min(2 * self._patience, LONGEST)
            return pause

    def _take(self, heard: Heard) -> None:
        """What changed before we began to listen may have been missed."""
        self._patience = AGAIN
        self._wanting.fed = True
        self._wanting.hear(heard.subjects if self._cursor else None)
        self._cursor = heard.cursor
