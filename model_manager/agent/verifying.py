"""The loop behind `POST /verify`: read everything that was judged right once more, and act on what is not."""

from __future__ import annotations

from dataclasses import replace

from loguru import logger

from model_manager.agent.bell import Bell
from model_manager.agent.board import Board
from model_manager.agent.shelves import Shelves
from model_manager.agent.threads import interruptible
from model_manager.errors import ModelManagerError
from model_manager.facts.disk import Held
from model_manager.library.hashing import digest_file


class Verifying:
    """Bit rot keeps size and time: only reading finds it. A file that rotted is not verified any more, so it is fetched."""

    def __init__(self, board: Board, shelves: Shelves) -> None:
        self._board = board
        self._shelves = shelves
        self._queue: dict[str, None] = {}
        self._bell = Bell()

    def ask(self) -> int:
        """Queue every verified file; how many wait now."""
        self._queue |= dict.fromkeys(file for file, held in self._shelves.held.items() if held.digests)
        self._bell.ring()
        return len(self._queue)

    async def run(self) -> None:
        while True:
            await self._bell.wait()
            while self._queue:
                file = next(iter(self._queue))
                del self._queue[file]
                if held := self._shelves.held.get(file):
                    await self._verify(held)
            logger.info("verification finished")

    async def _verify(self, held: Held) -> None:
        known = held.digests
        if known is None:
            return
        try:
            fingerprint, digests = await interruptible(lambda cancelled: digest_file(held.file, cancelled=cancelled))
        except ModelManagerError as error:
            logger.bind(file=held.file, reason=str(error)).warning("file could not be verified")
            return
        if self._shelves.held.get(held.file) != held or fingerprint != held.fingerprint:
            return
        if not known.same_bytes(digests):
            logger.bind(file=held.file, was=str(known), now=str(digests)).error("file rotted on disk")
            await self._shelves.enter(held.unjudged(digests))
        elif held.verified:
            at = self._board.clock.now()
            await self._shelves.enter(replace(held, digests=known.merged(digests), verified_at=at))
