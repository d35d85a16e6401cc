"""The loop that reads files whole, one at a time, to learn who they are: what is required first, the rest behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from loguru import logger

from model_manager.agent.board import Board
from model_manager.agent.shelves import Shelves
from model_manager.agent.threads import interruptible
from model_manager.decisions.judging import Right, Wrong, sound, standing
from model_manager.errors import ModelManagerError, StillChanging
from model_manager.facts.disk import Diff, Fingerprint, Held
from model_manager.facts.identity import Algorithm, Digests
from model_manager.facts.model import Wanted
from model_manager.facts.plan import Check, Plan
from model_manager.library.hashing import digest_file
from model_manager.library.reading import beginning

BATCH: Final = 64
TELL_EVERY: Final = 0.5
"""Files, and seconds, after which what was learnt is told: one change for many small files."""

AGAIN: Final = 60.0
"""Seconds until a file that could not be read is tried again."""


class Hashing:
    """Nothing waits for it but what is required: the index is usable before anything is hashed."""

    def __init__(self, board: Board, shelves: Shelves) -> None:
        self._board = board
        self._shelves = shelves
        self._unreadable: dict[str, tuple[Held, float]] = {}
        self._learnt: list[Held] = []
        self._told = 0.0

    async def run(self) -> None:
        while True:
            task = self._next()
            if task is not None:
                await self._read(*task)
            if task is None or task[1] is not None or len(self._learnt) >= BATCH or self._overdue:
                await self._tell()
            if task is None:
                await self._board.bells.hashing.wait(AGAIN)

    def nudge(self) -> None:
        """Files that could not be read are tried again now: their permissions may have been mended."""
        self._unreadable.clear()
        self._board.bells.hashing.ring()

    @property
    def _overdue(self) -> bool:
        return self._board.clock.monotonic() - self._told >= TELL_EVERY

    async def _tell(self) -> None:
        """What was learnt of files that are still as they were."""
        self._told = self._board.clock.monotonic()
        news, self._learnt = self._learnt, []
        current = self._shelves.held
        fresh = [held for held in news if held.file in current and current[held.file].fingerprint == held.fingerprint]
        await self._shelves.change(Diff(changed=tuple(fresh)))

    def _next(self) -> tuple[Held, Wanted | None] | None:
        for step in (self._board.plan or Plan(generation="")).steps:
            if (
                isinstance(step, Check)
                and self._shelves.held.get(step.held.file) == step.held
                and self._worth(step.held)
            ):
                return step.held, step.wanted
        waiting = {held.file for held in self._learnt}
        for file in self._shelves.unread:
            if file not in waiting and self._worth(held := self._shelves.held[file]):
                return held, None
        return None

    def _worth(self, held: Held) -> bool:
        failed = self._unreadable.get(held.file)
        again = failed is None or failed[0] != held or self._board.clock.monotonic() - failed[1] >= AGAIN
        return again and held.root not in self._board.lost_roots

    async def _read(self, held: Held, wanted: Wanted | None) -> None:
        """Digest one file and judge it. A file that changed meanwhile is left to the loop that notices."""
        pin = wanted.model.pin if wanted else None
        extra: frozenset[Algorithm] = frozenset(pin.algorithms) & {"md5", "autov3"} if pin else frozenset()
        self._board.hashing = held.file
        try:
            fingerprint, digests, unsound = await interruptible(lambda cancelled: _whole(held, extra, cancelled))
        except StillChanging:
            self._give_up(held)
            self._board.suspects.add(held.file)
            return
        except ModelManagerError as error:
            self._give_up(held)
            logger.bind(file=held.file, reason=str(error)).warning("file could not be read whole")
            return
        finally:
            self._board.hashing = ""
        if self._shelves.held.get(held.file) != held or fingerprint != held.fingerprint:
            self._give_up(held)
            self._board.suspects.add(held.file)
            return
        news = replace(
            held,
            digests=digests,
            evidence=None if unsound else "content",
            against="",
            verified_at="" if unsound else self._board.clock.now(),
        )
        self._learnt.append(self._against(wanted, news) if wanted else news)

    def _give_up(self, held: Held) -> None:
        """For a while, or until the file changes."""
        self._unreadable[held.file] = (held, self._board.clock.monotonic())

    def _against(self, wanted: Wanted, news: Held) -> Held:
        verdict = standing(wanted.model, news, self._board.settings.unpinned)
        match verdict:
            case Right(evidence=evidence, against=against):
                return replace(news, evidence=evidence, against=against, verified_at=self._board.clock.now())
            case Wrong(why=why):
                logger.bind(model=str(wanted.model.path), reason=why).warning("the file in its place is not this model")
                return replace(news, evidence=None, against="", verified_at="")
            case _:
                self._give_up(news)
                return news


def _whole(
    held: Held, extra: frozenset[Algorithm], cancelled: Callable[[], bool]
) -> tuple[Fingerprint, Digests, str | None]:
    """Fingerprint, digests, and why the file is not well formed, if it is not."""
    fingerprint, digests = digest_file(held.file, extra, cancelled=cancelled)
    head, header = beginning(held.file)
    return fingerprint, digests, sound(held.shelf.name, head, header, fingerprint.size)
