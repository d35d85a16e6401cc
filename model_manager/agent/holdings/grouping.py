"""Which files are one model: shards and diffusers folders, looked for whenever files came or left, and after each scan."""

from __future__ import annotations

from loguru import logger

from model_manager.agent.board import Board
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.threads import finishing
from model_manager.decisions.bundling import bundles
from model_manager.errors import ModelManagerError
from model_manager.facts.disk import Held
from model_manager.index.index import Index
from model_manager.library.contents.bundles import markers_below


class Grouping:
    """What it found is in the index alone, so that a restart, or a look that failed, leaves nothing behind."""

    def __init__(self, board: Board, shelves: Shelves, index: Index) -> None:
        self._board = board
        self._shelves = shelves
        self._index = index
        self._seen: tuple[int, str] | None = None

    async def look(self) -> None:
        """Enter the group of each file, as far as it is news. A group that fell apart is dissolved; of a directory that is
        away nothing is said."""
        scan = self._board.scan_finished or (self._seen[1] if self._seen else "")
        seen = (self._shelves.comings, scan)
        if seen == self._seen:
            return
        there = tuple(held for held in self._shelves.held.values() if held.root not in self._board.lost_roots)
        now = await finishing(_grouped, there)
        before = await self._index.bundled()
        news = {file: key for file, key in now.items() if before.get(file, "") != key}
        if news:
            await self._index.bundle(tuple(news.items()))
        self._seen = seen


def _grouped(held: tuple[Held, ...]) -> dict[str, str]:
    """Path → key of its group, "" for a model of its own; nothing of directories that cannot be looked at."""
    markers: set[str] = set()
    away: set[str] = set()
    for root in sorted({each.root for each in held}):
        try:
            markers |= markers_below(root)
        except ModelManagerError as error:
            away.add(root)
            logger.bind(directory=root, reason=str(error)).debug("groups of files could not be looked for")
    looked = [each for each in held if each.root not in away]
    found = bundles(((each.file, each.shelf) for each in looked), markers)
    return {each.file: found[each.file].key if each.file in found else "" for each in looked}
