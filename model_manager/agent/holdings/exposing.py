"""The loop that shows our store to a ComfyUI whose own tree its installer wipes on every boot."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from loguru import logger

from model_manager.agent.board import Board
from model_manager.errors import ModelManagerError
from model_manager.library.folders import expose, extra_model_paths

LOOK: Final = 5.0
"""Seconds between looks at whether the tree was cloned anew."""


class Exposing:
    """`<state>/extra_model_paths.yaml` always; links below ComfyUI's models directory where that is another directory."""

    def __init__(self, board: Board, store: Path, state: Path) -> None:
        self._board = board
        self._store = store
        self.yaml = state / "extra_model_paths.yaml"
        self._why = ""

    async def run(self) -> None:
        while True:
            await self.expose()
            await asyncio.sleep(LOOK)

    async def expose(self) -> None:
        """Do it now; what stands in the way is said once and tried again."""
        try:
            await asyncio.to_thread(self._expose)
            self._why = ""
        except (ModelManagerError, OSError) as error:
            if str(error) != self._why:
                self._why = str(error)
                logger.bind(reason=str(error)).warning("the store could not be shown to ComfyUI")

    def _expose(self) -> None:
        text = extra_model_paths(self._store)
        if not self.yaml.exists() or self.yaml.read_text() != text:
            temporary = self.yaml.with_suffix(".tmp")
            temporary.write_text(text)
            temporary.replace(self.yaml)
        tree = self._board.settings.comfyui_models_dir
        if self._board.settings.expose == "links" and tree and tree.is_dir() and not _same(tree, self._store):
            expose(self._store, tree)


def _same(a: Path, b: Path) -> bool:
    return a.resolve() == b.resolve()
