"""What other programs on this machine know of the files that are held, taken in when a person asks for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from model_manager.agent.board import Board
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.threads import finishing
from model_manager.errors import BadForeign
from model_manager.facts.description import Findings, Lore, Oddity
from model_manager.index.index import Index
from model_manager.neighbours import comfygit, huggingface, stablequeue, webui


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import came to. `files`: of which something was known. `strangers`: files that are not held, or that changed
    since. `odd`: what was left out, and why."""

    files: tuple[str, ...]
    strangers: tuple[str, ...]
    odd: tuple[Oddity, ...]


class Importing:
    """Nothing of the other program is changed, and what it claims is never a proof."""

    def __init__(self, board: Board, shelves: Shelves, index: Index) -> None:
        self._board = board
        self._shelves = shelves
        self._index = index

    async def take(self, path: str, *, base: str | None = None, dry: bool = False) -> Imported:
        """Read a database, or a directory, of another program. `base`: where its models are on this machine, if it says
        otherwise. `dry`: enter nothing.

        Raises BadForeign for what is no such thing, ForeignBusy, DiskUnavailable.
        """
        at = self._board.clock.now()
        times = {file: held.fingerprint.mtime_ns for file, held in self._shelves.held.items()}
        findings = await finishing(_read, path, at, base, times)
        held = [lore for lore in findings.lore if self._is_as_then(lore)]
        strangers = {lore.file for lore in findings.lore} - {lore.file for lore in held}
        if not dry:
            strangers |= set(await self._index.learn([(lore.file, lore) for lore in held], at=at))
        return Imported(
            files=tuple(sorted({lore.file for lore in held} - strangers)),
            strangers=tuple(sorted(strangers)),
            odd=findings.odd,
        )

    def _is_as_then(self, lore: Lore) -> bool:
        held = self._shelves.held.get(lore.file)
        return held is not None and lore.size in (None, held.fingerprint.size)


def _read(path: str, at: str, base: str | None, times: Mapping[str, int]) -> Findings:
    """The content decides what it is: a directory of a web UI or of HuggingFace's tools, or a database."""
    if os.path.isdir(path):
        found = [webui.read(path, times), huggingface.read(path, at)]
        if not any(each.lore or each.odd for each in found):
            raise BadForeign(
                path=path,
                why="it has no cache of A1111 or Forge that speaks of a model which is tracked here, and HuggingFace's tools "
                "noted no download in it",
            )
        return Findings(
            lore=tuple(lore for each in found for lore in each.lore),
            odd=tuple(odd for each in found for odd in each.odd),
        )
    try:
        return comfygit.read(path, base=base)
    except BadForeign as first:
        try:
            return stablequeue.read(path, at, base=base)
        except BadForeign as second:
            hints = ("a cache of A1111 or Forge is read by its directory",) if path.endswith(".json") else ()
            whys = dict.fromkeys((*(str(error.facts["why"]) for error in (first, second)), *hints))
            raise BadForeign(path=path, why=", and ".join(whys)) from None
