"""The loop that learns what is said of the files: by what lies beside them, by their own headers, and by CivitAI."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Final, Protocol

from loguru import logger

from model_manager.agent.board import Board
from model_manager.agent.holdings.grouping import Grouping
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.threads import finishing
from model_manager.decisions.describing import from_embedded
from model_manager.errors import ModelManagerError
from model_manager.facts.companions import Belongings, belongings
from model_manager.facts.description import Lore, Oddity
from model_manager.facts.disk import Held
from model_manager.index.index import Index
from model_manager.library.contents import headers
from model_manager.neighbours import huggingface, sidecars

BATCH: Final = 256
"""Files that are looked at in one go."""

REST: Final = 3600.0
"""Seconds after which a quiet loop looks again, if nobody rings."""

PAUSE: Final = 15.0
"""Seconds between two rounds of questions, so that what is learnt meanwhile is asked at once."""

SINCE: Final = "described since"
"""The note of when the last look at what lies beside the models began, in seconds since the epoch."""

THOROUGH: Final = 3600.0
"""Seconds between two looks at every description beside a model: one that is written to in place does not change its directory,
so that a look at the directory alone does not show it."""

LEEWAY: Final = 600.0
"""Seconds by which the clock of a file server may be behind ours: what was laid down since then is looked at again."""


class Asking(Protocol):
    """Who asks a remote service what nobody here knows."""

    async def ask(self) -> float:
        """Put the questions that are due; seconds until the next may be."""
        ...


class Describing:
    """Files are described once, and again when they change or something is laid beside them."""

    def __init__(self, board: Board, shelves: Shelves, index: Index, grouping: Grouping, asking: Asking) -> None:
        self._board = board
        self._shelves = shelves
        self._index = index
        self._grouping = grouping
        self._asking = asking
        self._scan = ""
        self._asked_at = -PAUSE
        self._unread: set[str] = set()
        self._thorough_at = -math.inf

    async def run(self) -> None:
        while True:
            if self._board.scanned:
                await self._grouping.look()
            await self._take(_Heard(lore=self._shelves.take_came()))
            metadata, rest = self._board.settings.metadata, REST
            if metadata != "none":
                await self.look()
            if metadata == "civitai":
                rest = await self._ask()
            await self._board.bells.describing.wait(min(rest, REST))

    async def inquire(self) -> None:
        """Put every question that is due now."""
        while await self._asking.ask() <= 0:
            continue

    async def _ask(self) -> float:
        """Seconds until the next round."""
        clock = self._board.clock
        if (early := self._asked_at + PAUSE - clock.monotonic()) > 0:
            return early
        rest = await self._asking.ask()
        self._asked_at = clock.monotonic() - (PAUSE if rest <= 0 else 0)
        return rest

    async def look(self, without: Collection[str] = ()) -> int:
        """Describe everything that is new, or that something new lies beside, but for what lies in the roots `without`; how
        many new files that were."""
        await self._look_beside(without)
        done = 0
        while files := await self._index.undescribed(BATCH, without=(*self._board.lost_roots, *without)):
            await self._take(await finishing(_described, files, self._board.clock.now()))
            await self._index.described(files)
            done += len(files)
        return done

    async def _look_beside(self, without: Collection[str]) -> None:
        """After a scan: what HuggingFace's tools noted, what was laid beside models since the last time, and what could not
        be read before."""
        if self._board.scan_finished in ("", self._scan):
            return
        self._scan = self._board.scan_finished
        before, now, at = await self._index.note(SINCE), self._board.clock.epoch_ms() / 1000, self._board.clock.now()
        left_out = {*self._board.lost_roots, *without}
        known = [held for held in self._shelves.held.values() if held.root not in left_out]
        await self._take(await finishing(_noted, known, at))
        now_at = self._board.clock.monotonic()
        thorough = bool(without) or before is None or now_at - self._thorough_at >= THOROUGH
        self._thorough_at = now_at if thorough and not without else self._thorough_at
        if before is not None:
            await self._take(await finishing(_laid_beside, known, float(before) - LEEWAY, at, thorough))
        again = [held for held in known if held.file in self._unread]
        self._unread -= {held.file for held in again} | (self._unread - self._shelves.held.keys())
        await self._take(await finishing(_described, again, at))
        if not without:
            await self._index.set_note(SINCE, str(now))

    async def _take(self, found: _Heard) -> None:
        """Learn what was heard. What could not be read is tried again after the next scan."""
        for oddity in found.odd:
            logger.bind(where=oddity.where, reason=oddity.why).debug("left out of what is known of a model")
        self._unread |= found.unread
        if found.lore:
            await self._index.learn(found.lore, at=self._board.clock.now())


@dataclass(slots=True)
class _Heard:
    """What was heard of files, what was left out of it, and which files, or what lies beside them, could not be read."""

    lore: list[tuple[str, Lore]] = field(default_factory=list)
    odd: list[Oddity] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)


def _noted(held: Iterable[Held], at: str) -> _Heard:
    """What HuggingFace's tools noted of files."""
    heard = _Heard()
    for root in sorted({each.root for each in held}):
        try:
            findings = huggingface.read(root, at)
        except ModelManagerError as error:
            heard.odd.append(Oddity(where=root, why=str(error)))
            continue
        heard.lore += [(each.file, each) for each in findings.lore]
        heard.odd += findings.odd
    return heard


def _laid_beside(held: Iterable[Held], since: float, at: str, thorough: bool) -> _Heard:
    """What lies beside models and came there, or was written to, after a time (Unix seconds); unless `thorough`, in directories
    that changed since."""
    heard = _Heard()
    for directory, files in _by_directory(held):
        if not thorough and _changed(directory) < since:
            continue
        for each, near in _neighbours(directory, files, heard):
            beside = [os.path.join(directory, name) for name in (*near.json, near.preview) if name]
            if any(_changed(path) >= since for path in beside):
                _hear_beside(each, near, at, heard)
    return heard


def _described(held: Iterable[Held], at: str) -> _Heard:
    """What lies beside each file and in its header."""
    heard = _Heard()
    for directory, files in _by_directory(held):
        for each, near in _neighbours(directory, files, heard):
            _hear_beside(each, near, at, heard)
            _hear_header(each, at, heard)
    return heard


def _by_directory(held: Iterable[Held]) -> Iterator[tuple[str, list[Held]]]:
    ordered = sorted(held, key=lambda each: os.path.split(each.file))
    for directory, files in groupby(ordered, key=lambda each: os.path.dirname(each.file)):
        yield directory, list(files)


def _changed(path: str) -> float:
    """When something was last put there, in Unix seconds: what was moved there keeps its mtime and not its ctime. 0 when
    nothing is there."""
    try:
        state = os.stat(path)
    except OSError:
        return 0.0
    return max(state.st_mtime, state.st_ctime)


def _neighbours(directory: str, files: list[Held], heard: _Heard) -> Iterator[tuple[Held, Belongings]]:
    try:
        beside = belongings(sidecars.names(directory))
    except ModelManagerError as error:
        heard.odd.append(Oddity(where=directory, why=str(error)))
        heard.unread |= {each.file for each in files}
        return
    for each in files:
        yield each, beside.get(os.path.basename(each.file), Belongings())


def _hear_beside(held: Held, near: Belongings, at: str, heard: _Heard) -> None:
    found, odd = sidecars.read(held.file, held.fingerprint.size, near, at)
    heard.odd += odd
    if found.told or found.claims or found.addresses or found.preview:
        heard.lore.append((held.file, found))


def _hear_header(held: Held, at: str, heard: _Heard) -> None:
    try:
        values, odd = headers.read(held.file)
    except ModelManagerError as error:
        heard.odd.append(Oddity(where=held.file, why=str(error)))
        heard.unread.add(held.file)
        return
    heard.odd += odd
    said = from_embedded(values, at)
    if said.told or said.claims or said.addresses:
        size = held.fingerprint.size
        heard.lore.append((held.file, replace(Lore(file=held.file, size=size), **said._asdict())))
