"""The loop that reads files whole, one at a time, to learn who they are: what somebody waits for first, the rest behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from loguru import logger

from model_manager.agent.board import Board
from model_manager.agent.shelves import Shelves
from model_manager.agent.threads import interruptible
from model_manager.decisions.digesting import needed
from model_manager.decisions.judging import Right, Wrong, sound, standing
from model_manager.errors import ModelManagerError, StillChanging, Stopped
from model_manager.facts.disk import Diff, Fingerprint, Held
from model_manager.facts.identity import FULL, Algorithm, Digests, Pin
from model_manager.facts.model import Wanted
from model_manager.facts.plan import Check, Fetch, Plan
from model_manager.library.hashing import digest_file
from model_manager.library.reading import beginning

BATCH: Final = 64
TELL_EVERY: Final = 0.5
"""Files, and seconds, after which what was learnt is told: one change for many small files."""

AGAIN: Final = 60.0
"""Seconds until a file that could not be read is tried again."""

PATIENCE: Final = 10.0
SLOWEST: Final = 100_000_000
"""Seconds, and bytes per second, that a file gets which may save a download: what a line of 1 Gbit/s would take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """A file to read. `wanted` is who waits for it; `twin`: not in its place, but maybe the same bytes."""

    held: Held
    wanted: Wanted | None = None
    twin: bool = False

    @property
    def pin(self) -> Pin | None:
        return self.wanted.model.pin if self.wanted else None


class Hashing:
    """Nothing waits for it but what is wanted: the index is usable before anything is hashed.

    The order: files in a wanted place and files that may save a download (of required models first, small before large),
    files that nobody has read, files of which only another digest is known than the fleet asks for.
    """

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
                await self._read(task)
            if task is None or task.wanted is not None or len(self._learnt) >= BATCH or self._overdue:
                await self._tell()
            if task is None:
                await self._board.bells.hashing.wait(AGAIN)

    def nudge(self) -> None:
        """Files that could not be read are tried again now: their permissions may have been mended."""
        self._unreadable.clear()
        self._shelves.forgive()
        self._board.bells.hashing.ring()

    @property
    def _overdue(self) -> bool:
        return self._board.clock.monotonic() - self._told >= TELL_EVERY

    async def _tell(self) -> None:
        """What was learnt of files that are still as they were."""
        self._told = self._board.clock.monotonic()
        news, self._learnt = self._learnt, []
        fresh = [held for held in news if (known := self._known(held.file)) and known.fingerprint == held.fingerprint]
        for held in fresh:
            if held.file in self._shelves.lent:
                self._shelves.know_better(held)
        await self._shelves.change(Diff(changed=tuple(held for held in fresh if held.file in self._shelves.held)))

    def _known(self, file: str) -> Held | None:
        return self._shelves.held.get(file) or self._shelves.lent.get(file)

    def _next(self) -> _Task | None:
        return self._waited_for() or self._other()

    def _waited_for(self) -> _Task | None:
        tasks = [task for task in self._asked() if self._known(task.held.file) == task.held and self._worth(task.held)]
        return min(tasks, key=_urgency, default=None)

    def _asked(self) -> Iterator[_Task]:
        for step in (self._board.plan or Plan(generation="")).steps:
            if isinstance(step, Check):
                yield _Task(held=step.held, wanted=step.wanted)
            elif isinstance(step, Fetch):
                for held in step.candidates:
                    yield _Task(held=held, wanted=step.wanted, twin=True)

    def _other(self) -> _Task | None:
        waiting = {held.file for held in self._learnt}
        for files in (self._shelves.unread, self._shelves.incomplete):
            for file in files:
                if file not in waiting and self._worth(held := self._shelves.held[file]):
                    return _Task(held=held)
        return None

    def _worth(self, held: Held) -> bool:
        failed = self._unreadable.get(held.file)
        again = failed is None or failed[0] != held or self._board.clock.monotonic() - failed[1] >= AGAIN
        return again and held.root not in self._board.lost_roots

    async def _read(self, task: _Task) -> None:
        """Digest one file and judge it. A file that changed meanwhile is left to the loop that notices."""
        held = task.held
        ended = self._ending(task)
        self._board.hashing = held.file
        try:
            fingerprint, digests, unsound = await interruptible(
                lambda cancelled: _whole(held, FULL | needed(task.pin), lambda: cancelled() or ended())
            )
        except Stopped:
            self._stopped(task)
            return
        except StillChanging:
            self._changed(held)
            return
        except ModelManagerError as error:
            self._give_up(held)
            logger.bind(file=held.file, reason=str(error)).warning("file could not be read whole")
            return
        finally:
            self._board.hashing = ""
        if self._known(held.file) != held or fingerprint != held.fingerprint:
            self._changed(held)
            return
        self._learnt.append(self._judged(task, digests, unsound))

    def _ending(self, task: _Task) -> Callable[[], bool]:
        """Whether reading should end early, for the thread that reads: a file that nobody waits for makes way for one that
        somebody does, and one that may save a download must not take longer than it."""
        clock, seen = self._board.clock, self._board.plan
        end = clock.monotonic() + PATIENCE + task.held.fingerprint.size / SLOWEST

        def overtaken() -> bool:
            nonlocal seen
            if self._board.plan is seen:
                return False
            seen = self._board.plan
            return self._waited_for() is not None

        if task.wanted is None:
            return overtaken
        return (lambda: clock.monotonic() > end) if task.twin else (lambda: False)

    def _stopped(self, task: _Task) -> None:
        if task.twin:
            self._give_up(task.held)
            logger.bind(file=task.held.file).warning("reading it takes longer than a download would: not waited for")

    def _changed(self, held: Held) -> None:
        self._give_up(held)
        if held.file in self._shelves.held:
            self._board.suspects.add(held.file)

    def _give_up(self, held: Held) -> None:
        """For a while, or until the file changes; no download waits for it."""
        self._unreadable[held.file] = (held, self._board.clock.monotonic())
        self._shelves.pass_over(held)

    def _judged(self, task: _Task, digests: Digests, unsound: str | None) -> Held:
        held = task.held
        if held.digests and not held.digests.same_bytes(digests):
            logger.bind(file=held.file, was=str(held.digests), now=str(digests)).error("file rotted on disk")
            return held.unjudged(digests)
        news = replace(held, digests=held.digests.merged(digests) if held.digests else digests)
        if held.verified:
            news = replace(news, verified_at=self._board.clock.now())
        elif not unsound:
            news = replace(news, evidence="content", against="", verified_at=self._board.clock.now())
        if task.wanted is None:
            return news
        return self._as_twin(task, news) if task.twin else self._against(task.wanted, news)

    def _as_twin(self, task: _Task, news: Held) -> Held:
        if task.held.verified or not (task.pin and news.digests and task.pin.agrees(news.digests)):
            return news
        return replace(news, evidence="pin", against=str(task.pin), verified_at=self._board.clock.now())

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


def _urgency(task: _Task) -> tuple[bool, int]:
    return not (task.wanted and task.wanted.required), task.held.fingerprint.size


def _whole(
    held: Held, algorithms: frozenset[Algorithm], cancelled: Callable[[], bool]
) -> tuple[Fingerprint, Digests, str | None]:
    """Fingerprint, digests, and why the file is not well formed, if it is not."""
    fingerprint, digests = digest_file(held.file, algorithms, cancelled=cancelled)
    head, header = beginning(held.file)
    return fingerprint, digests, sound(held.shelf.name, head, header, fingerprint.size)
