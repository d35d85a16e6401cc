"""Directories that a person wants looked at, besides those of the settings: kept in the index, changed while we run."""

from __future__ import annotations

import os

from model_manager.agent.board import Board
from model_manager.agent.holdings.roots import Roots
from model_manager.agent.threads import finishing
from model_manager.errors import BadRequest
from model_manager.facts.directory import Directory


class Tracking:
    """Only read: what a person tracks is indexed and watched, and never written to."""

    def __init__(self, board: Board, roots: Roots) -> None:
        self._board = board
        self._roots = roots

    async def add(self, path: str, folder: str | None = None) -> Directory:
        """Track a directory. `folder` is what the whole of it is (`loras`), None for one with such folders in it.

        Raises BadRequest when it is no directory, or lies in one that is tracked, or has one in it.
        """
        path = os.path.normpath(path)
        if not _is_utf8(path):
            raise BadRequest(why=f"the name {path} is not UTF-8", fix="Rename the directory, or link to it by another.")
        if not os.path.isabs(path) or not await finishing(os.path.isdir, path):
            raise BadRequest(
                why=f"{path} is no directory on this machine", fix="Give the whole path of one that exists."
            )
        if folder is not None and (not folder or "/" in folder or folder.startswith(".")):
            raise BadRequest(why=f"'{folder}' is no folder of ComfyUI", fix="Write for example loras.")
        if why := await finishing(self._roots.overlap, path):
            raise BadRequest(
                why=f"{path} {why}",
                fix="'model-manager model dir list' shows what is tracked, 'model-manager model index sync' looks at it now.",
            )
        tracked = await self._roots.track(path, folder, self._board.clock.now())
        self._board.bells.noticing.ring()
        return tracked

    async def remove(self, path: str) -> None:
        """Forget a directory and what is known of its files; the files stay. Raises BadRequest when no person tracks it."""
        path = os.path.normpath(path)
        if not await self._roots.untrack(path, self._board.clock.now()):
            raise BadRequest(
                why=f"{path} is not tracked by a person",
                fix="'model-manager model dir list' shows what is; the others are in the settings.",
            )
        self._board.bells.noticing.ring()

    async def all(self) -> tuple[Directory, ...]:
        """Every directory that is looked at, with its state."""
        return await self._roots.directories()


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
