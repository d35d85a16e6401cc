"""The loop that offers this machine to jobs, and has models fetched that jobs wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from loguru import logger

from model_manager.agent.assignment.wanting import Wanting
from model_manager.agent.board import Board
from model_manager.bus.claims import Claims
from model_manager.errors import BadRequest, BusUnavailable
from model_manager.facts import wire
from model_manager.facts.job import Errand, Hardware, capabilities_in
from model_manager.settings import Settings

LOOK_AGAIN: Final = 600.0
"""Seconds after which hardware that did not tell its graphics memory is asked again: a driver may come late."""

HOLD_BEATS: Final = 4
"""Heartbeats that an errand is this machine's own without being asked for again."""


class Offering:
    """Nothing is offered while MODEL_MANAGER_SERVICES is unset. What lies on the disk, and how much room there is, the
    inventory and the heartbeat tell; here are services, hardware and what a person wrote."""

    def __init__(
        self,
        board: Board,
        wanting: Wanting,
        claims: Claims,
        look: Callable[[], Awaitable[Hardware]],
        beating: asyncio.Event,
    ) -> None:
        self._board = board
        self._wanting = wanting
        self._claims = claims
        self._look = look
        self._beating = beating
        self._hardware: Hardware | None = None
        self._looked_at = 0.0
        self._offered = False
        self._refused = ""

    async def run(self) -> None:
        """Begins with the first heartbeat, for an offer is good as long as its machine beats."""
        await self._beating.wait()
        while True:
            try:
                await self._step()
            except BusUnavailable as error:
                logger.bind(reason=str(error)).debug("this machine could not be offered to jobs; tried again")
            await asyncio.sleep(self._board.settings.heartbeat_seconds)

    async def _step(self) -> None:
        settings = self._board.settings
        if not settings.services:
            await self._leave()
            return
        try:
            await self._claims.offer(self._board.machine_id, offer(settings, await self._known()))
        except BadRequest as error:
            self._complain(str(error))
            return
        self._offered = True
        self._complain("")
        self._take(await self._claims.errands(self._board.machine_id, hold=settings.heartbeat_seconds * HOLD_BEATS))

    async def _known(self) -> Hardware:
        now = self._board.clock.monotonic()
        found = self._hardware
        if found is None or (found.gpu_memory_gb is None and now - self._looked_at > LOOK_AGAIN):
            self._looked_at = now
            found = self._hardware = await self._look()
        return found

    async def _leave(self) -> None:
        if self._offered:
            await self._claims.withdraw(self._board.machine_id)
            self._offered = False
        self._take(())

    def _take(self, errands: tuple[Errand, ...]) -> None:
        """Errands that are gone were done, or are nobody's wish any more."""
        self._wanting.demand(tuple(dict.fromkeys(catalog_names(model) for each in errands for model in each.models)))

    def _complain(self, why: str) -> None:
        if why and why != self._refused:
            logger.bind(reason=why).error("this machine's offer is refused; correct MODEL_MANAGER_CAPABILITIES")
        self._refused = why


def offer(settings: Settings, hardware: Hardware) -> Mapping[str, Any]:
    """What is told: a person's word goes before what the machine tells by itself."""
    said = dict(capabilities_in(settings.capabilities))
    written = said.get("hardware")
    measured = hardware.plain()
    said["hardware"] = {**measured, **written} if isinstance(written, dict) else measured
    return {"services": settings.services, **said}


def catalog_names(model: str) -> tuple[str, ...]:
    """The names under which a catalog may have what a job calls `model`; the first that it knows is meant."""
    said = wire.loads(model) if model.startswith("{") else model
    if isinstance(said, dict):
        said = said.get("name") or said.get("path") or model
    text = str(said)
    return tuple(dict.fromkeys((text, text.rpartition("/")[2])))
