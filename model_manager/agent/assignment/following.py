"""The loop that follows the assignment pushed through Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from loguru import logger

from model_manager.agent.assignment.wanting import Wanting
from model_manager.agent.board import Board
from model_manager.bus.assignments import Pushed
from model_manager.errors import BadRecord, BusUnavailable

AGAIN: Final = 5.0
"""Seconds before Redis is asked again after it went away."""


class Following:
    """What was pushed is taken as a whole or refused as a whole; silence never means an empty assignment."""

    def __init__(
        self, board: Board, wanting: Wanting, pushes: Callable[[], AsyncIterator[Pushed | BadRecord | None]]
    ) -> None:
        self._board = board
        self._wanting = wanting
        self._pushes = pushes

    async def run(self) -> None:
        while True:
            try:
                async for push in self._pushes():
                    self._take(push)
            except BusUnavailable:
                await asyncio.sleep(AGAIN)

    def _take(self, push: Pushed | BadRecord | None) -> None:
        if isinstance(push, BadRecord):
            self._board.pushed_error = str(push)
            logger.bind(reason=str(push)).error("pushed assignment refused; the previous one stays")
            return
        self._board.pushed_error = ""
        if push is None:
            return
        self._wanting.push(push.assignment, push.mode)
