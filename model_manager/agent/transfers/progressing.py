"""The loop that measures how everything moves and lets the fleet see it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict
from typing import Final

from model_manager.agent.board import Board
from model_manager.agent.control.status import scan_status, shown, totals
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.transfers.tallying import Tally
from model_manager.bus.publishing import Bus
from model_manager.errors import BusUnavailable
from model_manager.facts.event import Envelope
from model_manager.facts.transfer import Phase

LOOK: Final = 0.5
"""Seconds between two looks at what moves."""

TOLD: Final = 1.0
"""Seconds between two writings to Redis."""


class Progressing:
    """Overwritten about once a second while something moves, never streamed; gone when it is over."""

    def __init__(self, board: Board, shelves: Shelves, bus: Bus) -> None:
        self._board = board
        self._shelves = shelves
        self._bus = bus
        self._tally = Tally()
        self._told: object = None
        self._told_at = 0.0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._measure(), name="measure")
            group.create_task(self._tell_for_ever(), name="tell")

    async def _measure(self) -> None:
        while True:
            with self._shelves.listening() as queue:
                heard = True
                while heard:
                    await asyncio.sleep(LOOK)
                    heard = self._look(queue)

    def _look(self, queue: asyncio.Queue[tuple[Envelope, ...]]) -> bool:
        """False when so much was told at once that the queue was closed."""
        told: list[tuple[Envelope, ...]] = []
        while not queue.empty():
            told.append(queue.get_nowait())
        events = [envelope.event for envelopes in told for envelope in envelopes]
        self._tally.look(self._board.clock.monotonic(), self._board.transfers, events)
        self._board.speed = self._tally.speed
        return all(told)

    async def _tell_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TOLD)
            with contextlib.suppress(BusUnavailable):
                await self._tell()

    async def _tell(self) -> None:
        running = [each for each in shown(self._board) if each.phase is not Phase.FAILED]
        required = totals(self._board)[0]
        scan = scan_status(self._board, self._shelves)
        now = self._board.clock.monotonic()
        news = (running, required, scan)
        if news != self._told or now - self._told_at >= self._board.settings.heartbeat_seconds:
            await self._bus.progress(running, required)
            await self._bus.scan_status({name: str(value) for name, value in asdict(scan).items()})
            self._told, self._told_at = news, now
