"""The loop that owns readiness: it looks at the files themselves, so that ready never lies."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from pathlib import Path
from typing import Final

from loguru import logger

from model_manager.agent.bell import Bell
from model_manager.agent.board import Board
from model_manager.agent.holdings.shelves import Shelves
from model_manager.decisions.planning import plan
from model_manager.decisions.readying import readiness
from model_manager.facts import wire
from model_manager.facts.disk import Held
from model_manager.facts.event import ReadinessChanged
from model_manager.facts.machine import Readiness
from model_manager.facts.model import Requirements
from model_manager.facts.plan import Check, Fetch, Keep, Link, Plan, Refuse, Step
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Phase
from model_manager.library.scanning import fingerprint_of

LOOK: Final = 1.0
"""Seconds between looks at every required file. A vanished one is seen within this, and one stat."""


READY: Final = "ready.json"


class Gate:
    """`<state>/ready.json` stands there only while every required model does."""

    def __init__(self, board: Board, shelves: Shelves, state: Path) -> None:
        self._board = board
        self._shelves = shelves
        self.file = state / READY
        self._written = False
        self._planned: Requirements | None = None
        self._untold: deque[ReadinessChanged] = deque(maxlen=1000)
        self._telling = Bell()

    def close(self) -> None:
        """Withdraw the readiness file, whoever wrote it."""
        self._written = False
        self.file.unlink(missing_ok=True)

    async def run(self) -> None:
        self.close()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tell_for_ever(), name="gate tells")
            await self._look_for_ever()

    async def _tell_for_ever(self) -> None:
        """Beside the looking: an index that is locked or has no space must not keep an open gate open."""
        while True:
            await self._telling.wait()
            while self._untold:
                await self._shelves.tell(self._untold.popleft())

    async def _look_for_ever(self) -> None:
        current: Plan | None = None
        while True:
            if current is None or self._planned is not self._board.requirements or await self._rung():
                current = self._plan()
            new = await self._look(current)
            if new != self._board.readiness:
                await self._change(new)
            if new.ready and not self._written:
                await self._write_down(new)
            if self._board.scanned and self._board.requirements is not None:
                self._board.first_look.set()

    async def _rung(self) -> bool:
        return await self._board.bells.gate.wait(LOOK)

    def _plan(self) -> Plan:
        board = self._board
        self._planned = board.requirements
        if self._planned is None:
            return Plan(generation="")
        settings = board.settings
        return plan(
            self._planned,
            self._shelves.relevant(self._planned),
            unpinned=settings.unpinned,
            allow_pickle=settings.allow_pickle,
        )

    async def _look(self, current: Plan) -> Readiness:
        held = [step.held.file for step in current.steps if isinstance(step, Keep)]
        there = await asyncio.to_thread(lambda: {file: fingerprint_of(file) for file in held})
        lacking: dict[ShelfPath, str] = {}
        for step in current.steps:
            if isinstance(step, Keep) and there[step.held.file] != step.held.fingerprint:
                lacking[step.wanted.model.path] = self._lost(step.held)
            elif why := self._why(step):
                lacking[step.wanted.model.path] = why
        if not self._board.scanned:
            return Readiness(ready=False, reasons=("the model directories are being looked through",))
        # What is lacking belongs to the plan: newer requirements, held against an older plan, would lack nothing.
        return readiness(self._planned, lacking)

    def _lost(self, held: Held) -> str:
        """Why a file that the index knows is not what lies there; and a nudge to whoever notices."""
        if held.root in self._board.lost_roots:
            return f"its directory is away: {self._board.lost_roots[held.root]}"
        self._board.suspects.add(held.file)
        return "it is not there any more" if fingerprint_of(held.file) is None else "it was changed on disk"

    def _why(self, step: Step) -> str | None:
        match step:
            case Keep():
                return None
            case Check():
                return "a file is there and is being verified"
            case Refuse(why=why):
                return why
            case Link() | Fetch():
                return self._progress(step.wanted.model.path)

    def _progress(self, path: ShelfPath) -> str:
        transfer = self._board.transfers.get(path)
        if transfer is None:
            return "it is not here yet"
        if transfer.phase in (Phase.WAITING, Phase.FAILED):
            return f"{transfer.phase}: {transfer.why}"
        return str(transfer.phase)

    async def _change(self, new: Readiness) -> None:
        old = self._board.readiness
        told = (old.ready, _ready(old)) != (new.ready, _ready(new)) or not old.generation
        if not new.ready:
            self.close()
        self._board.readiness = new
        if new.ready:
            await self._write_down(new)
        if old.ready != new.ready:
            self._announce(new)
        if told:
            self._untold.append(ReadinessChanged(ready=new.ready, reasons=new.reasons, workflows=_ready(new)))
            self._telling.ring()
            self._board.bells.beating.ring()

    def _announce(self, new: Readiness) -> None:
        counters = self._board.counters
        if new.ready and counters.ready_seconds is None:
            counters.ready_seconds = self._board.clock.monotonic() - self._board.started
        if new.ready:
            logger.bind(required=new.required, generation=new.generation).success("ready: the gate is open")
        else:
            logger.bind(reasons=list(new.reasons)).warning("not ready: the gate is closed")

    async def _write_down(self, new: Readiness) -> None:
        """On a full disk the socket still answers; the file follows when it can be written."""
        try:
            await asyncio.to_thread(self._write, new)
            self._written = True
        except OSError as error:
            logger.bind(file=str(self.file), reason=error.strerror).warning("the readiness file cannot be written yet")

    def _write(self, new: Readiness) -> None:
        """By rename: a reader sees the old file, the new one, or none, and can tell another boot's by its id."""
        temporary = self.file.with_suffix(".tmp")
        temporary.write_bytes(
            wire.dumps(
                {
                    "ready": True,
                    "pid": os.getpid(),
                    "boot_id": boot_id(),
                    "epoch": self._board.epoch,
                    "instance": self._board.instance,
                    "generation": new.generation,
                    "workflows": _ready(new),
                    "at": self._board.clock.now(),
                }
            )
        )
        temporary.replace(self.file)


def _ready(readiness: Readiness) -> dict[str, bool]:
    return {flow.name: flow.ready for flow in readiness.workflows}


def boot_id() -> str:
    """The kernel's id of this boot; empty where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
