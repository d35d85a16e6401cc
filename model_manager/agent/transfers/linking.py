"""Bytes that are on this machine already get their second name: no download."""

from __future__ import annotations

import os
from dataclasses import replace

from loguru import logger

from model_manager.agent.clock import Clock
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.threads import interruptible
from model_manager.errors import Corrupt, DiskUnavailable, StillChanging
from model_manager.facts.disk import Held, Root
from model_manager.facts.plan import Link
from model_manager.library.incoming.placing import link


class Linking:
    """From a held file to a place on our own shelves."""

    def __init__(self, shelves: Shelves, root: Root, clock: Clock) -> None:
        self._shelves = shelves
        self._root = root
        self._clock = clock

    async def bring(self, step: Link) -> Held:
        """The model under its name, entered in the index. A source that cannot be used is not asked again until it changes.

        Raises StillChanging, Corrupt, Occupied, BadPath and errors of the disk.
        """
        source, path = step.held, step.wanted.model.path
        digests = source.digests
        if digests is None:
            raise StillChanging(path=source.file, why="is not known whole yet")
        wrong = step.replaces.fingerprint if step.replaces else None
        try:
            placed = await interruptible(
                lambda cancelled: link(
                    source.file, source.fingerprint, digests, self._root, path, wrong, cancelled=cancelled
                )
            )
        except (StillChanging, DiskUnavailable, Corrupt):
            self._shelves.pass_over(source)
            raise
        pin = step.wanted.model.pin
        proven = pin is not None and pin.agrees(digests) is True
        held = replace(
            source,
            file=os.path.join(self._root.path, str(path)),
            root=self._root.path,
            shelf=path,
            fingerprint=placed,
            evidence="pin" if proven else source.evidence,
            against=str(pin) if proven else source.against,
            verified_at=self._clock.now(),
        )
        await self._shelves.enter(held)
        logger.bind(model=str(path), same_as=str(source.shelf)).info("model linked: its bytes were here")
        return held
