"""The loop that copies events for the dashboards of an existing fleet. Copies are made once, and lost while Redis is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from loguru import logger

from model_manager.agent.board import Board
from model_manager.agent.holdings.shelves import Shelves
from model_manager.decisions.copying import INVENTORY, SERVICE, milliseconds, stocked, telemetry
from model_manager.errors import BusUnavailable
from model_manager.facts.event import DownloadFailed, DownloadStarted, DownloadVerified, Envelope
from model_manager.facts.telemetry import Telemetry

BREATH: Final = 1.0
"""Seconds between two sendings; the inventory is told with the first after a change of it."""

Copy = Callable[[Sequence[Telemetry]], Awaitable[None]]


class Copying:
    """Switched on by MODEL_MANAGER_TELEMETRY."""

    def __init__(self, board: Board, shelves: Shelves, copy: Copy) -> None:
        self._board = board
        self._shelves = shelves
        self._copy = copy
        self._began: dict[tuple[str, str], DownloadStarted] = {}
        self._comings = -1
        self._away = False

    async def run(self) -> None:
        while True:
            with self._shelves.listening() as queue:
                heard = True
                while heard:
                    await asyncio.sleep(BREATH)
                    heard = await self._pass_on(queue)

    async def _pass_on(self, queue: asyncio.Queue[tuple[Envelope, ...]]) -> bool:
        """What was told since; False when so much was told at once that the queue was closed."""
        told: list[tuple[Envelope, ...]] = []
        while not queue.empty():
            told.append(queue.get_nowait())
        copies = [self._copied(envelope) for envelopes in told for envelope in envelopes] + self._inventory()
        if copies:
            await self._send(copies)
        return all(told)

    def _copied(self, envelope: Envelope) -> Telemetry:
        event, began = envelope.event, None
        if isinstance(event, DownloadStarted):
            self._began[event.folder, event.name] = event
        elif isinstance(event, DownloadVerified):
            began = self._began.pop((event.folder, event.name), None)
        elif isinstance(event, DownloadFailed):
            began = self._began.get((event.folder, event.name))
        return telemetry(envelope, began)

    def _inventory(self) -> list[Telemetry]:
        """When files came or left since it was told last."""
        if not self._board.scanned or self._shelves.comings == self._comings:
            return []
        self._comings = self._shelves.comings
        at = milliseconds(self._board.clock.now())
        return [
            Telemetry(
                timestamp=at,
                service=SERVICE,
                eventType=INVENTORY,
                traceId=f"{self._board.machine_id}_{self._board.epoch}_{self._comings}",
                machineId=self._board.machine_id,
                level="info",
                data={"models": stocked(self._shelves.held.values(), at)},
            )
        ]

    async def _send(self, copies: Sequence[Telemetry]) -> None:
        try:
            await self._copy(copies)
            self._away = False
        except BusUnavailable as error:
            self._comings = -1
            if not self._away:
                logger.bind(reason=str(error)).warning("copies for telemetry:events are lost while Redis refuses them")
            self._away = True
