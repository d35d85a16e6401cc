"""Files that somebody far away wants removed, or back: said first, then moved to the trash of the store, never unlinked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from loguru import logger

from model_manager.agent.board import Board
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.threads import finishing
from model_manager.decisions.removing import refusal, wanted_at
from model_manager.facts.companions import belongings, is_model, stem
from model_manager.facts.disk import Diff, Held, Root
from model_manager.facts.order import Order
from model_manager.library import trash
from model_manager.library.trash import Moved


@dataclass(frozen=True, slots=True, kw_only=True)
class Going:
    """A model that may go, and the files beside it that are its own."""

    held: Held
    beside: tuple[str, ...]


class Removing:
    """Only files of the store go: other directories are not ours. What an assignment requires stays, unless it is forced."""

    def __init__(self, board: Board, shelves: Shelves, root: Root, look: Callable[[], None]) -> None:
        """`look`: begin a full scan."""
        self._board = board
        self._shelves = shelves
        self._root = root
        self._look = look

    async def remove(self, order: Order, files: Sequence[str]) -> dict[str, Any]:
        """What goes, or without `confirm` would go, of these files. Raises what `throw` raises."""
        judged = list(self._judged(files, force="force" in order.options))
        going = [each for each in judged if isinstance(each, Held)]
        refused = [each for each in judged if isinstance(each, dict)]
        listed = await finishing(_with_companions, going)
        if "confirm" not in order.options:
            return _told(listed, refused, dry=True)
        moved = await self._throw(order.id, listed)
        gone = {*moved.files}
        left = [{"path": each.file, "why": each.why} for each in moved.left]
        until = datetime.now(UTC).timestamp() + trash.KEEP
        stamp = datetime.fromtimestamp(until, UTC).isoformat(timespec="seconds")
        done = [each for each in listed if each.held.file in gone]
        return _told(done, [*refused, *left], dry=False) | {"until": stamp if done else ""}

    async def restore(self, order: Order) -> dict[str, Any]:
        """Bring back what the named order removed. Raises what `bring_back` raises."""
        moved = await finishing(trash.bring_back, self._root, order.files[0])
        self._look()
        logger.bind(files=list(moved.files), order=order.files[0]).info("removed files were brought back")
        return {
            "files": [{"type": _kind(file), "path": file} for file in moved.files],
            "refused": [{"path": each.file, "why": each.why} for each in moved.left],
        }

    def _judged(self, files: Sequence[str], *, force: bool) -> Iterator[Held | dict[str, str]]:
        requirements = self._board.requirements
        wanted = wanted_at(requirements)
        for file in files:
            held = self._shelves.held[file]
            why = refusal(held, self._root.path, requirements, wanted.get(held.shelf.slot), force=force)
            yield {"path": file, "why": why} if why else held

    async def _throw(self, order: str, listed: Sequence[Going]) -> Moved:
        names = [name for each in listed for name in (each.held.file, *each.beside)]
        moved = await finishing(trash.throw, self._root, order, names)
        gone = {*moved.files}
        known = (self._shelves.held.get(each.held.file) for each in listed if each.held.file in gone)
        await self._shelves.change(Diff(vanished=tuple(held for held in known if held)))
        logger.bind(files=list(moved.files), order=order).warning("files were removed because somebody asked for it")
        return moved


def _with_companions(going: Sequence[Held]) -> list[Going]:
    """JSON files and previews go with the last model of their name."""
    leaving = {held.file for held in going}
    return [Going(held=held, beside=_beside(held.file, leaving)) for held in going]


def _beside(file: str, leaving: set[str]) -> tuple[str, ...]:
    directory, name = os.path.split(file)
    try:
        names = os.listdir(directory)
    except OSError:
        return ()
    twins = [each for each in names if is_model(each) and each != name and stem(each) == stem(name)]
    if any(os.path.join(directory, each) not in leaving for each in twins):
        return ()
    own = belongings(names).get(name)
    found = (*own.json, own.preview) if own else ()
    return tuple(os.path.join(directory, each) for each in found if each)


def _told(listed: Sequence[Going], refused: Sequence[dict[str, str]], *, dry: bool) -> dict[str, Any]:
    files = [
        {"type": _kind(file), "path": file} for each in listed for file in dict.fromkeys((each.held.file, *each.beside))
    ]
    size = sum(each.held.fingerprint.size for each in listed)
    return {"files": files, "refused": list(refused), "bytes": size, "dry": dry, "until": ""}


def _kind(file: str) -> str:
    name = os.path.basename(file)
    return "model" if is_model(name) else "metadata" if name.lower().endswith((".json", ".info")) else "preview"
