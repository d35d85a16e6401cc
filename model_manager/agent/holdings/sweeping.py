"""The loop that removes unfinished downloads which nobody has wanted for a long time, and what was thrown away a week ago."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Final

from loguru import logger

from model_manager.agent.board import Board
from model_manager.errors import ModelManagerError
from model_manager.facts.disk import Root
from model_manager.library import trash
from model_manager.library.incoming.staging import sweep
from model_manager.library.markers import PARTIAL

KEEP: Final = 7 * 24 * 3600.0
"""Seconds that an unwanted partial is kept: an assignment that comes back goes on where it was."""

EVERY: Final = 3600.0


class Sweeping:
    def __init__(self, board: Board, root: Root) -> None:
        self._board = board
        self._root = root

    async def run(self) -> None:
        while True:
            await asyncio.sleep(60)
            await self.sweep()
            await self.empty()
            await asyncio.sleep(EVERY)

    async def sweep(self) -> None:
        """Only while the assignment is known and its directory is there: unknown is not unwanted."""
        current = self._board.requirements
        if current is None or not current.complete or self._root.path in self._board.lost_roots:
            return
        wanted = {wanted.model.path for wanted in current.wanted}
        try:
            directory = os.path.join(self._root.path, PARTIAL)
            removed = await asyncio.to_thread(sweep, directory, wanted, time.time() - KEEP)
        except ModelManagerError as error:
            logger.bind(reason=str(error)).warning("unfinished downloads could not be swept")
            return
        if removed:
            logger.bind(files=list(removed)).info("unfinished downloads that nobody wants were removed")

    async def empty(self) -> None:
        """The trash, of what lies in it for long enough."""
        if self._root.path in self._board.lost_roots:
            return
        try:
            orders = await asyncio.to_thread(trash.empty, self._root, time.time() - trash.KEEP)
        except ModelManagerError as error:
            logger.bind(reason=str(error)).warning("the trash could not be emptied")
            return
        if orders:
            logger.bind(orders=list(orders)).info("what was removed a week ago was deleted")
