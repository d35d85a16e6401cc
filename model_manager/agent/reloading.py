"""The loop that adopts changes: SIGHUP, `POST /reload` and the watched files all lead here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from loguru import logger

from model_manager.agent.assignment.wanting import Wanting
from model_manager.agent.board import Board
from model_manager.decisions.reloading import Adopt, Restart, reload
from model_manager.errors import BadSettings
from model_manager.settings import FILE_VARIABLE, Settings, change_of

LOOK: Final = 1.0
"""Seconds between looks at the watched files."""


class Reloading:
    """All of a change is adopted or none of it; what was refused stays visible until it is mended."""

    def __init__(
        self, board: Board, wanting: Wanting, load: Callable[[], Settings], adopted: Callable[[Settings], None]
    ) -> None:
        self._board = board
        self._wanting = wanting
        self._load = load
        self._adopted = adopted
        self._files = [wanting.file, *([Path(path)] if (path := os.environ.get(FILE_VARIABLE)) else [])]

    async def run(self) -> None:
        seen = self._stamps()
        while True:
            rung = await self._board.bells.reloading.wait(LOOK)
            stamps = self._stamps()
            if rung or stamps != seen:
                seen = stamps
                self.reload()

    def _stamps(self) -> list[tuple[int, int] | None]:
        return [_stamp(path) for path in self._files]

    def reload(self) -> bool:
        """Read everything again now. Whether all of it was adopted."""
        settings_taken = self._reload_settings()
        file_taken = self._wanting.read_file()
        self._board.bells.wanting.ring()
        self._board.bells.gate.ring()
        self._board.bells.fetching.ring()
        return settings_taken and file_taken

    def _reload_settings(self) -> bool:
        try:
            new = self._load()
        except BadSettings as error:
            return self._refuse(str(error))
        match reload(_plain(self._board.settings), _plain(new), _live()):
            case Restart(fields=fields):
                return self._refuse(
                    f"a restart is needed to change {', '.join(fields)}: pm2 restart model-manager --update-env"
                )
            case Adopt(changed=changed):
                self._board.settings_error = ""
                self._board.settings = new
                self._adopted(new)
                logger.bind(changed=list(changed)).info("settings read again")
                return True

    def _refuse(self, why: str) -> bool:
        self._board.settings_error = why
        logger.bind(reason=why).error("new settings refused whole; the previous ones stay")
        return False


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _plain(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in Settings.model_fields}


def _live() -> frozenset[str]:
    return frozenset(name for name in Settings.model_fields if change_of(name) == "live")
