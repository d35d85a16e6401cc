"""The loop that reads files whole to learn who they are: what somebody waits for first, the rest behind and throttled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from loguru import logger

from model_manager.agent.board import Board
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.threads import finishing
from model_manager.decisions.digesting import EVERYTHING, needed
from model_manager.decisions.judging import Right, Wrong, sound, standing
from model_manager.errors import ModelManagerError, StillChanging, Stopped
from model_manager.facts.device import Device
from model_manager.facts.disk import Diff, Fingerprint, Held
from model_manager.facts.identity import Digests, Pin
from model_manager.facts.model import Wanted
from model_manager.facts.plan import Check, Fetch, Plan
from model_manager.index.index import Index
from model_manager.library.contents.readers import Read, Readers
from model_manager.library.contents.reading import beginning
from model_manager.library.contents.sampling import quick_hash
from model_manager.library.devices import device_of

BATCH: Final = 64
TELL_EVERY: Final = 0.5
"""Files, and seconds, after which what was learnt is told: one change for many small files."""

AGAIN: Final = 60.0
"""Seconds until a file that could not be read is tried again."""

PATIENCE: Final = 10.0
SLOWEST: Final = 100_000_000
"""Seconds, and bytes per second, that a file gets which may save a download: what a line of 1 Gbit/s would take."""

AHEAD: Final = 16
"""Files nobody waits for that are handed to a device's readers: more would be out of the reach of a changed order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """A file to read. `wanted` is who waits for it; `twin`: not in its place, but maybe the same bytes."""

    held: Held
    wanted: Wanted | None = None
    twin: bool = False

    @property
    def pin(self) -> Pin | None:
        return self.wanted.model.pin if self.wanted else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What reading gave: digests, the quick hash, and why the file is not well formed, if it is not."""

    fingerprint: Fingerprint
    digests: Digests
    quick: str
    unsound: str | None


class Hashing:
    """Nothing waits for it but what is wanted: the index is usable before anything is hashed.

    The order: files in a wanted place and files that may save a download (of required models first, small before large),
    files that nobody has read, files of which only another digest is known than the fleet asks for.
    """

    def __init__(self, board: Board, shelves: Shelves, index: Index, readers: Readers) -> None:
        self._board = board
        self._shelves = shelves
        self._index = index
        self._readers = readers
        self._unreadable: dict[str, tuple[Held, float]] = {}
        self._learnt: list[Held] = []
        self._sampled: list[tuple[str, Fingerprint, str]] = []
        self._troubles: list[tuple[Held, str]] = []
        self._said: dict[str, str] = {}
        self._told = 0.0
        self._turn = asyncio.Lock()
        self._running: dict[str, _Task] = {}
        self._behind: dict[str, Future[Read]] = {}
        self._devices: dict[int, Device] = {}
        self._asking: dict[int, asyncio.Lock] = {}
        self._sampled_for = -1
        self.without: frozenset[str] = frozenset()
        """Roots in which nothing is read, though it lacks hashes."""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                self._readers.set_rate("background", self._board.settings.pace)
                self._call_forth()
                for task in self._next():
                    self._running[task.held.file] = task
                    group.create_task(self._carry(task), name=f"read {task.held.file}")
                if self._due:
                    await self._tell()
                if not self._running:
                    await self._sample()
                await self._board.bells.hashing.wait(TELL_EVERY if self._learnt or self._troubles else AGAIN)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to read and nothing to tell."""
        sampled = self._sampled_for == self._shelves.comings
        return sampled and not (self._running or self._learnt or self._troubles or any(self._next()))

    async def tell(self) -> None:
        """Tell what was learnt, though the loop has ended."""
        if self._learnt or self._troubles:
            await self._tell()

    def nudge(self) -> None:
        """Files that could not be read are tried again now: their permissions may have been mended."""
        self._unreadable.clear()
        self._shelves.forgive()
        self._board.bells.hashing.ring()

    @property
    def _due(self) -> bool:
        """Whether what was learnt is told now: enough of it, or nothing more to wait for, or somebody waits."""
        late = self._board.clock.monotonic() - self._told >= TELL_EVERY
        enough = len(self._learnt) + len(self._troubles) >= BATCH
        return bool(self._learnt or self._troubles) and (late or enough or not self._running)

    async def _tell(self) -> None:
        """What was learnt of files that are still as they were."""
        async with self._turn:
            self._told = self._board.clock.monotonic()
            news, sampled, troubles = tuple(self._learnt), tuple(self._sampled), tuple(self._troubles)
            fresh = [
                held for held in news if (known := self._known(held.file)) and known.fingerprint == held.fingerprint
            ]
            for held in fresh:
                if held.file in self._shelves.lent:
                    self._shelves.know_better(held)
            await self._shelves.change(Diff(changed=tuple(held for held in fresh if held.file in self._shelves.held)))
            await self._index.sampled([each for each in sampled if each[0] in self._shelves.held])
            twins = await self._index.twins([held.file for held in fresh])
            await self._shelves.change(Diff(changed=tuple(_as_sound(twin, fresh) for twin in twins)))
            await self._shelves.complain(troubles)
            del self._learnt[: len(news)], self._sampled[: len(sampled)], self._troubles[: len(troubles)]

    async def _sample(self) -> None:
        """Quick hashes of what was hashed on its way here, when files came since the last time."""
        comings = self._shelves.comings
        while self._sampled_for != comings:
            files = await self._index.unsampled(BATCH, read=True)
            sampled = await finishing(_quick, [held for held in files if held.root not in self._board.lost_roots])
            await self._index.sampled(sampled)
            if len(sampled) < BATCH:
                self._sampled_for = comings

    def _known(self, file: str) -> Held | None:
        return self._shelves.held.get(file) or self._shelves.lent.get(file)

    def _next(self) -> Iterator[_Task]:
        """What is to be handed to the readers now."""
        yield from sorted(self._waited_for(), key=_urgency)
        for device in self._shelves.unread.keys() | self._shelves.incomplete.keys():
            running = sum(
                task.wanted is None and task.held.fingerprint.device == device for task in self._running.values()
            )
            yield from islice(self._others(device), max(0, AHEAD - running))

    def _call_forth(self) -> None:
        """What stands in line behind others and is waited for by now is taken out of it, to be handed on anew in haste."""
        for task in self._in_haste():
            if reading := self._behind.get(task.held.file):
                reading.cancel()

    def _waited_for(self) -> Iterator[_Task]:
        return (task for task in self._in_haste() if self._is_free(task.held.file))

    def _in_haste(self) -> Iterator[_Task]:
        for task in self._asked():
            if self._known(task.held.file) == task.held and self._worth(task.held):
                yield task

    def _is_free(self, file: str) -> bool:
        return file not in self._running and all(held.file != file for held in self._learnt)

    def _asked(self) -> Iterator[_Task]:
        for step in (self._board.plan or Plan(generation="")).steps:
            if isinstance(step, Check):
                yield _Task(held=step.held, wanted=step.wanted)
            elif isinstance(step, Fetch):
                for held in step.candidates:
                    yield _Task(held=held, wanted=step.wanted, twin=True)

    def _others(self, device: int) -> Iterator[_Task]:
        waiting = {held.file for held in self._learnt} | self._running.keys()
        for files in (self._shelves.unread, self._shelves.incomplete):
            for file in files.get(device, ()):
                if file not in waiting and self._worth(held := self._shelves.held[file]):
                    yield _Task(held=held)

    def _worth(self, held: Held) -> bool:
        failed = self._unreadable.get(held.file)
        again = failed is None or failed[0] != held or self._board.clock.monotonic() - failed[1] >= AGAIN
        return again and held.root not in self._board.lost_roots and held.root not in self.without

    async def _carry(self, task: _Task) -> None:
        """Have one file read and judge it; whoever waits for it is told at once."""
        try:
            await self._read(task)
        finally:
            self._running.pop(task.held.file, None)
            self._board.hashing = next(iter(self._running), "")
        if task.wanted is not None and self._learnt:
            await self._tell()
        self._board.bells.hashing.ring()

    async def _read(self, task: _Task) -> None:
        """Digest one file and judge it. A file that changed meanwhile is left to the loop that notices."""
        held = task.held
        self._board.hashing = held.file
        try:
            read = await self._whole(task)
        except Stopped:
            self._stopped(task)
            return
        except StillChanging:
            self._changed(held)
            return
        except ModelManagerError as error:
            self._give_up(held)
            self._board.counters.hash_errors += 1
            self._complain(held, str(error))
            return
        if self._known(held.file) != held or read.fingerprint != held.fingerprint:
            self._changed(held)
            return
        self._board.counters.hashed += 1
        self._said.pop(held.file, None)
        self._learnt.append(self._judged(task, read.digests, read.unsound))
        self._sampled.append((held.file, read.fingerprint, read.quick))

    def _complain(self, held: Held, why: str) -> None:
        """Once, however often it is tried again."""
        if self._said.get(held.file) == why:
            return
        self._said[held.file] = why
        self._troubles.append((held, why))
        logger.bind(file=held.file, reason=why).warning("file could not be read whole; it is tried again every minute")

    async def _whole(self, task: _Task) -> _Found:
        held = task.held
        device = await self._device(held)
        reading = self._readers.submit(
            held.file,
            EVERYTHING | needed(task.pin),
            device=device,
            haste="urgent" if task.wanted else "background",
            cancelled=self._ending(task),
        )
        fingerprint, digests = await self._turn_of(task, reading)
        return await finishing(_looked_at, held, fingerprint, digests)

    async def _turn_of(self, task: _Task, reading: Future[Read]) -> Read:
        """What a reading gives. Raises Stopped when it was taken out of the line."""
        file, ours = task.held.file, asyncio.current_task()
        if task.wanted is None:
            self._behind[file] = reading
        try:
            return await asyncio.wrap_future(reading)
        except asyncio.CancelledError:
            if ours is None or ours.cancelling():
                raise
            raise Stopped(what=f"Reading {file}") from None
        finally:
            self._behind.pop(file, None)

    async def _device(self, held: Held) -> Device:
        """Nobody overtakes who asked before for the same device: the order of the readings is that of the tasks."""
        number = held.fingerprint.device
        async with self._asking.setdefault(number, asyncio.Lock()):
            if number not in self._devices:
                self._devices[number] = await finishing(device_of, held.file)
        return self._devices[number]

    def _ending(self, task: _Task) -> Callable[[], bool]:
        """Whether reading should end early, for the thread that reads: a file for which somebody waits by now is read again in
        haste, and one that may save a download must not take longer than it."""
        clock, seen, file = self._board.clock, self._board.plan, task.held.file
        end = clock.monotonic() + PATIENCE + task.held.fingerprint.size / SLOWEST

        def wanted_by_now() -> bool:
            nonlocal seen
            if self._board.plan is seen:
                return False
            seen = self._board.plan
            return any(each.held.file == file for each in self._asked())

        if task.wanted is None:
            return wanted_by_now
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


def _as_sound(twin: Held, fresh: list[Held]) -> Held:
    """Bytes that were found to be well formed under one name are so under another with the same ending."""
    ending = twin.shelf.name.rpartition(".")[2]
    if twin.verified or twin.digests is None:
        return twin
    for held in fresh:
        alike = held.digests is not None and held.digests.same_bytes(twin.digests)
        if alike and held.verified and held.shelf.name.rpartition(".")[2] == ending:
            return replace(twin, evidence="content", against="", verified_at=held.verified_at)
    return twin


def _urgency(task: _Task) -> tuple[bool, int]:
    return not (task.wanted and task.wanted.required), task.held.fingerprint.size


def _quick(files: Iterable[Held]) -> list[tuple[str, Fingerprint, str]]:
    """Of those that can be read; the others have their turn when the next file comes."""
    found: list[tuple[str, Fingerprint, str]] = []
    for held in files:
        try:
            found.append((held.file, *quick_hash(held.file)))
        except ModelManagerError as error:
            logger.bind(file=held.file, reason=str(error)).debug("no quick hash of a file")
    return found


def _looked_at(held: Held, fingerprint: Fingerprint, digests: Digests) -> _Found:
    """With what the beginning of the file says, while its pages are in memory."""
    head, header = beginning(held.file)
    unsound = sound(held.shelf.name, head, header, fingerprint.size)
    mark, quick = quick_hash(held.file)
    if mark != fingerprint:
        raise StillChanging(path=held.file, why="changed")
    return _Found(fingerprint=fingerprint, digests=digests, quick=quick, unsound=unsound)
