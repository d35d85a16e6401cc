"""What a full look at a root left out: said once and not with every look, counted, and kept for whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from loguru import logger

from model_manager.agent.board import Board
from model_manager.errors import printable
from model_manager.facts.directory import Remark
from model_manager.facts.directory import Scan as Look
from model_manager.library.scanning import Scan, Skipped

SHOWN: Final = 10
"""Places of each kind that are named; the others are counted."""

LONGEST: Final = 4096
"""Letters of a path (PATH_MAX)."""


class Remarking:
    """Remembers what was said of each root."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._said: dict[str, frozenset[Skipped]] = {}

    def of(self, root: str, scan: Scan) -> Look:
        """What the index keeps of a look that ended now."""
        self._say(root, scan.blocked)
        if scan.blocked:
            self._board.unreadable[root] = len(scan.blocked)
        else:
            self._board.unreadable.pop(root, None)
        return Look(
            path=root,
            state="here",
            at=self._board.clock.now(),
            seconds=scan.seconds,
            files=scan.files,
            bytes=scan.bytes,
            unreadable=len(scan.blocked),
            passed_over=len(scan.skipped),
            remarks=(*_remarks(scan.blocked, unreadable=True), *_remarks(scan.skipped, unreadable=False)),
        )

    def _say(self, root: str, blocked: Sequence[Skipped]) -> None:
        before, now = self._said.get(root, frozenset()), frozenset(blocked)
        self._said[root] = now
        news = [each for each in blocked if each not in before]
        for each in news[:SHOWN]:
            logger.bind(place=printable(each.path, LONGEST), reason=each.why).warning(
                "cannot be looked at; what was known there stays. Let this account read it, or take it out of the directory"
            )
        if len(news) > SHOWN:
            logger.bind(directory=root, more=len(news) - SHOWN).warning("more places cannot be looked at")
        if before and not now:
            logger.bind(directory=root).info("everything in the directory can be looked at again")


def _remarks(places: Sequence[Skipped], *, unreadable: bool) -> tuple[Remark, ...]:
    return tuple(
        Remark(path=printable(each.path, LONGEST), why=each.why, unreadable=unreadable)
        for each in islice(places, SHOWN)
    )
