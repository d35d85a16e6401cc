"""What CivitAI says of the files whose SHA-256 is known: asked by the thousand, at its pace, and not again before it is due."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from loguru import logger

from model_manager.agent.board import Board
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.threads import finishing
from model_manager.decisions.describing import from_civitai
from model_manager.decisions.expiring import after_failure, answer
from model_manager.errors import ModelManagerError
from model_manager.facts.description import Lore, Told
from model_manager.facts.disk import Held
from model_manager.facts.known import Outcome, Question
from model_manager.index.index import Index
from model_manager.library.contents import previews
from model_manager.sources.civitai_records import CivitaiRecords

SERVICE: Final = "civitai"

MOST: Final = 10_000
"""Questions of one round: what one request may carry."""

REST: Final = 3600.0
"""Seconds until somebody looks again whether a question is due."""


class Inquiring:
    """Nothing that is known is lost by an answer of "not found": an answer only adds."""

    def __init__(self, board: Board, shelves: Shelves, index: Index, records: CivitaiRecords) -> None:
        self._board = board
        self._shelves = shelves
        self._index = index
        self._records = records
        self._failures = 0
        self._quiet_until = 0.0

    async def ask(self) -> float:
        """Put the questions that are due; seconds until the next may be. A failure is said, and nobody asks before its time."""
        clock = self._board.clock
        if (quiet := self._quiet_until - clock.monotonic()) > 0:
            return quiet
        questions = await self._index.unasked(SERVICE, now=clock.epoch_ms() / 1000, limit=MOST)
        if not questions:
            return REST
        try:
            await self._put(questions)
        except ModelManagerError as error:
            self._failures += 1
            seconds = after_failure(error, self._failures, clock.chance())
            wait = REST if seconds is None else seconds
            self._quiet_until = clock.monotonic() + wait
            logger.bind(reason=str(error), failures=self._failures).warning("CivitAI could not be asked")
            return wait
        self._failures = 0
        return 0.0 if len(questions) == MOST else REST

    async def _put(self, questions: Sequence[Question]) -> None:
        """First which hashes it knows at all, then the records of those."""
        asked = {question.sha256: question for question in questions}
        known: list[str] = []
        async for ids in self._records.ids(tuple(asked)):
            await self._note(asked, ids.absent, "absent")
            await self._doubt(asked, ids.doubtful)
            known += ids.found
        async for records in self._records.records(known):
            await self._note(asked, await self._learn(asked, records.found), "found")
            await self._note(asked, records.absent, "absent")
            await self._doubt(asked, records.doubtful)

    async def _doubt(self, asked: Mapping[str, Question], doubtful: Mapping[str, str]) -> None:
        """What was said of these could not be read: neither known nor unknown, and asked again after a while."""
        for why, number in Counter(doubtful.values()).items():
            logger.bind(models=number, reason=why).warning(
                "what CivitAI says of models cannot be read; it is asked again later"
            )
        await self._note(asked, doubtful, "doubtful")

    async def _learn(self, asked: Mapping[str, Question], found: Mapping[str, Mapping[str, Any]]) -> Collection[str]:
        """Which of the hashes belong to files that are still here; the others are asked for again when they are."""
        at = self._board.clock.now()
        lore: list[tuple[str, Lore]] = []
        wishes: list[tuple[Held, str]] = []
        for sha256, record in found.items():
            said = from_civitai(record, at, sha256=sha256)
            if held := self._shelves.held.get(asked[sha256].file):
                lore.append((held.file, Lore(file=held.file, size=held.fingerprint.size, **said._asdict())))
                wishes += [(held, url) for url in _preview(said.told)]
        left = {*await self._index.learn(lore, at=at)}
        taken = {file for file, _ in lore} - left
        for held, url in wishes:
            if held.file in taken:
                await self._show(held, url)
        return [sha256 for sha256 in found if asked[sha256].file in taken]

    async def _show(self, held: Held, url: str) -> None:
        """Keep the preview beside a model of ours that has none."""
        store = self._board.settings.own_store
        if store is None or held.root != str(store.absolute()) or await finishing(_has_preview, held.file):
            return
        try:
            preview = await self._records.fetch_preview(url)
            await finishing(previews.keep, held.file, preview.data)
        except ModelManagerError as error:
            logger.bind(file=held.file, reason=str(error)).info("the model's preview could not be fetched")

    async def _note(self, asked: Mapping[str, Question], hashes: Iterable[str], outcome: Outcome) -> None:
        now = self._board.clock.epoch_ms() / 1000
        answers = [answer(sha256, outcome, now, asked[sha256].before) for sha256 in hashes]
        await self._index.answered(SERVICE, answers)


def _preview(told: Sequence[Told]) -> Iterator[str]:
    return (each.value for each in told if each.field == "preview_url")


def _has_preview(file: str) -> bool:
    try:
        names = os.listdir(os.path.dirname(file))
    except OSError:
        return True
    return bool(previews.find(file, names))
