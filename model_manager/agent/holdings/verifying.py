"""The loop that reads files again whose bytes are known: all of them when somebody asks, else each after so many days."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

from loguru import logger

from model_manager.agent.bell import Bell
from model_manager.agent.board import Board
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.threads import finishing
from model_manager.decisions.digesting import EVERYTHING, again
from model_manager.decisions.scrubbing import due, rounds
from model_manager.errors import ModelManagerError, Stopped
from model_manager.facts.disk import Held
from model_manager.facts.identity import Algorithm
from model_manager.library.contents.hashing import never
from model_manager.library.contents.readers import Haste, Read, Readers
from model_manager.library.devices import device_of

LOOK: Final = 600.0
"""Seconds between two looks for files whose time has come."""

DAY: Final = 86_400

CHANGED: Final = "it changed meanwhile"


class Verifying:
    """Bit rot keeps size and time: only reading finds it. A file that rotted is not verified any more: if it is wanted it is
    fetched again, and set aside when the right one takes its place.

    `finished` counts verifications that somebody asked for; `unread`: the files that the last one could not read, and why.
    """

    def __init__(self, board: Board, shelves: Shelves, readers: Readers) -> None:
        self._board = board
        self._shelves = shelves
        self._readers = readers
        self._asked: dict[str, None] = {}
        self.finished = 0
        self.unread: dict[str, str] = {}
        self._bell = Bell()

    def ask(self, files: Collection[str] | None = None) -> int:
        """Queue these files, or every one whose digests are known; how many wait now."""
        known = self._shelves.held
        names = known if files is None else [file for file in files if file in known]
        self._asked |= dict.fromkeys(file for file in names if known[file].digests)
        self._bell.ring()
        return len(self._asked)

    async def run(self) -> None:
        while True:
            await self.verify()
            await self.scrub()
            if not self._asked:
                await self._bell.wait(LOOK)

    async def verify(self) -> None:
        """Read everything that was asked for."""
        if not self._asked:
            return
        self.unread = {}
        while self._asked:
            asked, self._asked = self._asked, {}
            self.unread |= dict.fromkeys((file for file in asked if file not in self._shelves.held), "it left")
            for files in rounds(held for file in asked if (held := self._shelves.held.get(file))):
                await self._beside_each_other(files, "background")
        self.finished += 1
        self._board.unverifiable = len(self.unread)
        logger.bind(unread=len(self.unread)).info("verification finished")

    async def scrub(self) -> None:
        """Read what nobody read for so many days, until somebody asks for something else."""
        settings = self._board.settings
        if not settings.scrub_days:
            return
        self._readers.set_rate("scrub", settings.scrub_pace)
        before = self._board.clock.later(-settings.scrub_days * DAY)
        for files in rounds(due(self._shelves.held.values(), before)):
            there = [held for held in files if held.root not in self._board.lost_roots]
            await self._beside_each_other(there, "scrub")
            if self._asked:
                return

    async def _beside_each_other(self, files: list[Held], haste: Haste) -> None:
        async with asyncio.TaskGroup() as group:
            for held in files:
                group.create_task(self._verify(held, haste))

    async def _verify(self, held: Held, haste: Haste) -> None:
        known = held.digests
        if known is None or self._shelves.held.get(held.file) != held:
            self.unread[held.file] = CHANGED
            return
        ending = never if haste == "background" else lambda: bool(self._asked)
        try:
            fingerprint, digests = await self._read(held, again(known), haste, ending)
            if not known.same_bytes(digests):
                fingerprint, digests = await self._read(held, EVERYTHING, haste, ending)
                if fingerprint == held.fingerprint and known.same_bytes(digests):
                    logger.bind(file=held.file).warning(
                        "bytes were read otherwise than before, and right when read once more"
                    )
        except Stopped as error:
            self.unread[held.file] = str(error)
            return
        except ModelManagerError as error:
            await self._complain(held, str(error))
            return
        if self._shelves.held.get(held.file) != held or fingerprint != held.fingerprint:
            self.unread[held.file] = CHANGED
            return
        if not known.same_bytes(digests):
            logger.bind(file=held.file, was=str(known), now=str(digests)).error("file rotted on disk")
            await self._shelves.enter(held.unjudged(digests))
        elif held.verified:
            at = self._board.clock.now()
            await self._shelves.enter(replace(held, digests=known.merged(digests), verified_at=at))
        else:
            await self._shelves.complain(((held, ""),))

    async def _read(
        self, held: Held, algorithms: frozenset[Algorithm], haste: Haste, ending: Callable[[], bool]
    ) -> Read:
        device = await finishing(device_of, held.file)
        reading = self._readers.submit(held.file, algorithms, device=device, haste=haste, cancelled=ending)
        return await asyncio.wrap_future(reading)

    async def _complain(self, held: Held, why: str) -> None:
        self.unread[held.file] = why
        await self._shelves.complain(((held, why),))
        logger.bind(file=held.file, reason=why).warning("file could not be verified")
