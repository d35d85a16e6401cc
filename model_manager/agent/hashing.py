"""The loop that reads files whole, one at a time, to learn who they are: what is required first, the rest behind."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from loguru import logger

from model_manager.agent.board import Board
from model_manager.agent.shelves import Shelves
from model_manager.agent.threads import interruptible
from model_manager.decisions.judging import Right, Wrong, sound, standing
from model_manager.errors import ModelManagerError
from model_manager.facts.disk import Held
from model_manager.facts.identity import Algorithm
from model_manager.facts.model import Wanted
from model_manager.facts.plan import Check, Plan
from model_manager.library.hashing import digest_file
from model_manager.library.reading import beginning


class Hashing:
    """Nothing waits for it but what is required: the index is usable before anything is hashed."""

    def __init__(self, board: Board, shelves: Shelves) -> None:
        self._board = board
        self._shelves = shelves
        self._unreadable: dict[str, Held] = {}

    async def run(self) -> None:
        while True:
            task = self._next()
            if task is None:
                await self._board.bells.hashing.wait(60)
            else:
                await self._read(*task)

    def _next(self) -> tuple[Held, Wanted | None] | None:
        for step in (self._board.plan or Plan(generation="")).steps:
            if isinstance(step, Check) and self._worth(step.held):
                return self._shelves.held[step.held.file], step.wanted
        for held in self._shelves.held.values():
            if held.digests is None and self._worth(held):
                return held, None
        return None

    def _worth(self, held: Held) -> bool:
        current = self._shelves.held.get(held.file)
        return (
            current is not None
            and self._unreadable.get(held.file) != current
            and held.root not in self._board.lost_roots
        )

    async def _read(self, held: Held, wanted: Wanted | None) -> None:
        """Digest one file and judge it. A file that changed meanwhile is left to the loop that notices."""
        pin = wanted.model.pin if wanted else None
        extra: frozenset[Algorithm] = frozenset(pin.algorithms) & {"md5", "autov3"} if pin else frozenset()
        self._board.hashing = held.file
        try:
            fingerprint, digests = await interruptible(
                lambda cancelled: digest_file(held.file, extra, cancelled=cancelled)
            )
            head, header = await asyncio.to_thread(beginning, held.file)
        except ModelManagerError as error:
            self._unreadable[held.file] = held
            logger.bind(file=held.file, reason=str(error)).warning("file could not be read whole")
            return
        finally:
            self._board.hashing = ""
        if self._shelves.held.get(held.file) != held or fingerprint != held.fingerprint:
            return
        unsound = sound(held.shelf.name, head, header, fingerprint.size)
        news = replace(
            held,
            digests=digests,
            evidence=None if unsound else "content",
            against="",
            verified_at="" if unsound else self._board.clock.now(),
        )
        await self._shelves.enter(self._against(wanted, news) if wanted else news)

    def _against(self, wanted: Wanted, news: Held) -> Held:
        verdict = standing(wanted.model, news, self._board.settings.unpinned)
        match verdict:
            case Right(evidence=evidence, against=against):
                return replace(news, evidence=evidence, against=against, verified_at=self._board.clock.now())
            case Wrong(why=why):
                logger.bind(model=str(wanted.model.path), reason=why).warning("the file in its place is not this model")
                return replace(news, evidence=None, against="", verified_at="")
            case _:
                self._unreadable[news.file] = news
                return news
