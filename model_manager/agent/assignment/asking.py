"""Models that a person asked for: until they lie here, a restart does not forget them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

import orjson
from loguru import logger

from model_manager.agent.holdings.shelves import Shelves
from model_manager.errors import ModelManagerError
from model_manager.facts.asked import MOST, asked_models, asked_shape
from model_manager.facts.model import Model
from model_manager.facts.shelf import ShelfPath


class Asking:
    def __init__(self, file: Path, shelves: Shelves) -> None:
        """`file` holds what was asked for and is not here yet; addresses in it may hold secrets, so only its owner reads it."""
        self._file = file
        self._shelves = shelves
        self._models: dict[ShelfPath, Model] = {}
        self._open = self._remembered()
        self._models |= self._open

    @property
    def models(self) -> Collection[Model]:
        """What was asked for since the start, and before it what was not here yet."""
        return self._models.values()

    def add(self, models: Iterable[Model]) -> None:
        new = {model.path: model for model in models}
        self._models |= new
        self._keep(self._open | new)

    def settle(self) -> None:
        """What has come is not asked for again after a restart, also if somebody deletes it."""
        rest = {path: model for path, model in self._open.items() if not self._shelves.holds(model)}
        if len(rest) < len(self._open):
            self._keep(rest)

    def _keep(self, rest: dict[ShelfPath, Model]) -> None:
        self._open = rest = dict(list(rest.items())[-MOST:])
        temporary = self._file.with_suffix(".tmp")
        try:
            if not rest:
                self._file.unlink(missing_ok=True)
                return
            with open(temporary, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(orjson.dumps(asked_shape(rest.values())))
            temporary.replace(self._file)
        except OSError as error:
            logger.bind(file=str(self._file), reason=error.strerror).warning(
                "what was asked for cannot be kept for a restart"
            )

    def _remembered(self) -> dict[ShelfPath, Model]:
        try:
            content = orjson.loads(self._file.read_bytes())
            return {model.path: model for model in asked_models(content if isinstance(content, dict) else {})}
        except FileNotFoundError:
            return {}
        except (OSError, orjson.JSONDecodeError, ModelManagerError) as error:
            logger.bind(file=str(self._file), reason=str(error)).warning(
                "what was asked for before the restart cannot be read; ask again"
            )
            return {}
