"""The bytes of one attempt on their way to the disk: written and hashed behind the network."""

from __future__ import annotations

from functools import partial as bound
from typing import Final

from model_manager.agent.threads import Behind
from model_manager.decisions.judging import HEAD_BYTES, early
from model_manager.errors import Corrupt
from model_manager.facts.model import Model
from model_manager.facts.transfer import Offer
from model_manager.library.partial import Partial
from model_manager.library.space import Reservation

BATCH: Final = 2 * 1024 * 1024
"""Bytes handed to the disk at once; one such batch is being written while the next comes in."""

UNANNOUNCED: Final = 100_000_000_000
"""Bytes that a file of unknown length may have where the catalog says no size: more is an endless answer."""

SLACK: Final = 16 * 1024 * 1024
"""Bytes, besides a quarter, by which a file may outgrow a length that is only roughly known."""


class Intake:
    """Gathers what comes, judges its beginning, and never lets an answer without a length go on for ever."""

    def __init__(self, partial: Partial, model: Model, offer: Offer, reservation: Reservation, behind: Behind) -> None:
        self._partial = partial
        self._model = model
        self._offer = offer
        self._reservation = reservation
        self._behind = behind
        self._batch = bytearray()
        self._handed = partial.offset

    @property
    def have(self) -> int:
        """Bytes of the file that came so far, in this attempt or before."""
        return self._handed + len(self._batch)

    async def take(self, chunk: bytes) -> None:
        """Raises Corrupt when the beginning is no model or the end does not come, and what the disk raised meanwhile."""
        self._batch += chunk
        if len(self._batch) >= BATCH:
            await self._hand_over()

    async def settle(self) -> None:
        """Everything that came is written and hashed."""
        await self._hand_over()
        await self._behind.settle()

    async def salvage(self) -> None:
        """After a break, what came is kept, but for a beginning too short to be judged: a link that breaks every 2 MB would
        never bring anything otherwise."""
        if self._handed or len(self._batch) >= HEAD_BYTES:
            await self.settle()

    async def _hand_over(self) -> None:
        if not self._batch:
            return
        if self._handed == 0 and (why := early(self._model.path.name, bytes(self._batch[:HEAD_BYTES]))):
            raise self._corrupt(why)
        if self._offer.size is None and self.have > (most := _most(self._model)):
            raise self._corrupt(f"it does not end: more than {most} bytes came")
        data = bytes(self._batch)
        self._batch.clear()
        self._reservation.writing(len(data))
        await self._behind.give(bound(self._partial.append, data))
        self._handed += len(data)

    def _corrupt(self, why: str) -> Corrupt:
        return Corrupt(name=self._model.name, host=self._offer.host, why=why)


def _most(model: Model) -> int:
    """Bytes of an answer that does not say its length. A pin outranks the catalog's length, which is often wrong."""
    if model.size is None:
        return UNANNOUNCED
    exact = model.size.exact and not (model.pin and model.pin.strong)
    return model.size.bytes + (0 if exact else model.size.bytes // 4 + SLACK)
