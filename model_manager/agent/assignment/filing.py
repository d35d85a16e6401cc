"""The loop that reads workflow files that are assignments: those that are named, and those of a watched directory."""

from __future__ import annotations

import asyncio
import glob
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loguru import logger

from model_manager.agent.board import Board
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.threads import finishing
from model_manager.decisions.workflows.referring import carried
from model_manager.errors import ModelManagerError, Unavailable, printable
from model_manager.facts.flow import Flow
from model_manager.facts.workflow import Workflow
from model_manager.library.carried.embedded import embedded
from model_manager.settings import Settings

LOOK: Final = 1.0
"""Seconds between looks at the files."""

MOST: Final = 1_000
"""Workflow files of one machine."""

ENDINGS: Final = frozenset(
    {".json", ".png", ".webp", ".jpg", ".jpeg", ".flac", ".mp4", ".m4a", ".mov", ".webm", ".mkv"}
)
"""What counts as a workflow file in a watched directory; nothing does whose name begins with a dot."""

Stamp = tuple[int, int, int]


@dataclass(slots=True)
class _Sheet:
    """What was read of a file last, as it was at `stamp`; None to read it again. `why` it cannot be read."""

    stamp: Stamp | None = None
    workflow: Workflow | None = None
    why: str = ""


@dataclass(slots=True)
class Listing:
    """`files` in order. `away`: what could not be looked at, and why; files below it that were known stay."""

    files: dict[str, None] = field(default_factory=dict)
    away: dict[str, str] = field(default_factory=dict)


class Filing:
    """A file that cannot be read keeps what was read of it last; one that never could is unknown, and holds the gate."""

    def __init__(self, board: Board, shelves: Shelves) -> None:
        self._board = board
        self._shelves = shelves
        self._sheets: dict[str, _Sheet] = {}
        self._comings = shelves.comings
        board.flows = None if named(board.settings) else ()

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK)

    async def look(self) -> None:
        """Read what changed, and tell who has to know."""
        listing = await finishing(listed, self._board.settings)
        for file in [known for known in self._sheets if any(_below(known, place) for place in listing.away)]:
            listing.files.setdefault(file)
        for file in listing.files:
            await self._read(file)
        self._sheets = {file: self._sheets[file] for file in listing.files}
        self._tell(tuple(self._flows(listing)), listing.away)

    async def _read(self, file: str) -> None:
        sheet = self._sheets.setdefault(file, _Sheet())
        stamp = _stamp(file)
        if stamp == sheet.stamp and stamp is not None:
            return
        sheet.stamp = stamp
        try:
            sheet.workflow, sheet.why = await finishing(read, file), ""
        except ModelManagerError as error:
            sheet.why = printable(error, 500)
            sheet.stamp = None if isinstance(error, Unavailable) else stamp

    def _flows(self, listing: Listing) -> Iterator[Flow]:
        taken: set[str] = set()
        for file, sheet in self._sheets.items():
            plain = os.path.basename(file)
            name = file if plain in taken else plain
            taken.add(name)
            yield Flow(name=name, file=file, workflow=sheet.workflow, why=sheet.why)
        for place, why in listing.away.items():
            if not any(_below(file, place) for file in self._sheets):
                yield Flow(name=place, file=place, why=why)

    def _tell(self, flows: tuple[Flow, ...], away: Mapping[str, str]) -> None:
        board, comings = self._board, self._shelves.comings
        whys = {flow.file: flow.why for flow in flows if flow.why} | dict(away)
        self._complain("; ".join(f"{file}: {why}" for file, why in whys.items()))
        if flows != board.flows:
            board.flows = flows
            logger.bind(files=[flow.name for flow in flows]).info("workflow files read")
            board.bells.wanting.ring()
        elif flows and comings != self._comings:
            board.bells.wanting.ring()  # which file a reference means depends on what lies here
        self._comings = comings

    def _complain(self, why: str) -> None:
        if why and why != self._board.flows_error:
            log = logger.bind(reason=why)
            log.error(
                "workflow files cannot be read; what was read of them before stays, and what is unknown is not ready"
            )
        self._board.flows_error = why


def named(settings: Settings) -> bool:
    """Whether any file or directory is named."""
    return bool(settings.workflow_files or settings.workflow_dir)


def listed(settings: Settings) -> Listing:
    """The files that are named now: each path, what a pattern finds, and the watched directory's. Blocks."""
    found = Listing()
    for text in settings.workflow_files:
        path = os.path.abspath(os.path.expanduser(text))
        if glob.has_magic(path):
            _add_pattern(path, found)
        else:
            found.files[path] = None
    if settings.workflow_dir:
        _add_directory(str(settings.workflow_dir.expanduser().absolute()), found)
    if len(found.files) > MOST:
        found.files = dict.fromkeys(list(found.files)[:MOST])
        found.away["WORKFLOW_FILES"] = f"there are more than {MOST} workflow files; name fewer"
    return found


def _add_pattern(pattern: str, found: Listing) -> None:
    fixed = Path(pattern)
    while glob.has_magic(str(fixed)):
        fixed = fixed.parent
    if not os.access(fixed, os.R_OK | os.X_OK):
        found.away[str(fixed)] = "there is no such directory that can be read; make it, or change WORKFLOW_FILES"
        return
    found.files |= dict.fromkeys(file for file in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(file))


def _add_directory(directory: str, found: Listing) -> None:
    try:
        names = sorted(os.listdir(directory))
    except OSError as error:
        found.away[directory] = (
            f"it cannot be looked at ({error.strerror}); make it, or change MODEL_MANAGER_WORKFLOW_DIR"
        )
        return
    for name in names:
        file = f"{directory}/{name}"
        if not name.startswith(".") and os.path.splitext(name)[1].lower() in ENDINGS and os.path.isfile(file):
            found.files[file] = None


def read(file: str) -> Workflow:
    """The workflow in a file of any form that is read. Blocks. Raises BadWorkflow, Unavailable and what `embedded` raises."""
    found = embedded(file)
    return carried(os.path.basename(file), found.document, found.prompt, found.workflow)


def _below(file: str, place: str) -> bool:
    return file.startswith(f"{place.rstrip('/')}/")


def _stamp(file: str) -> Stamp | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
