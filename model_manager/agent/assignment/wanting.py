"""The loop that owns what this machine was told to serve, and what that needs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import orjson
from loguru import logger

from model_manager.agent.assignment.asking import Asking
from model_manager.agent.assignment.deriving import Deriving
from model_manager.agent.assignment.manifest import write_manifest
from model_manager.agent.board import Board
from model_manager.agent.holdings.shelves import Shelves
from model_manager.decisions.including import including
from model_manager.decisions.requiring import requirements
from model_manager.errors import BadAssignment, BadRecord, BadSetting, CatalogUnavailable, IndexUnavailable
from model_manager.facts import wire
from model_manager.facts.event import AssignmentChanged
from model_manager.facts.flow import Flow
from model_manager.facts.model import Assignment, Described, Model, Requirements, Undescribed
from model_manager.facts.record import assignment_record
from model_manager.sources.catalog_cache import CachedCatalog

DEBOUNCE: Final = 0.5
"""Seconds of quiet before a changed assignment is taken up: a flapping source costs one look, not a thrash."""

IMPATIENT: Final = 5.0
"""Seconds before the next look while the catalog has not described everything; doubling from here to the usual."""

FED: Final = 10.0
"""Times the usual pause between two looks while the catalog tells by itself what changes."""

Mode = Literal["add", "replace"]


class Wanting:
    """Environment, file and pushed assignment together; the catalog's description of them; the requirements that follow."""

    def __init__(
        self, board: Board, shelves: Shelves, catalog: CachedCatalog, state: Path, deriving: Deriving | None = None
    ) -> None:
        """`deriving`: what workflow files need, where these are assignments."""
        self._deriving = deriving
        self._board = board
        self._shelves = shelves
        self._catalog = catalog
        self._state = state
        self._pushed_file = state / "pushed-assignment.json"
        self._file = board.settings.assignment_file or state / "assignment.json"
        self._from_file = Assignment()
        self._pushed, self._mode = self._remembered()
        self._demanded: tuple[tuple[str, ...], ...] = ()
        self._asking = Asking(state / "asked-models.json", shelves)
        self._subjects: frozenset[str] | None = None
        self.fed = False

    @property
    def file(self) -> Path:
        """The assignment file that is watched."""
        return self._file

    async def run(self) -> None:
        self.read_file()
        impatience = IMPATIENT
        while True:
            await self.look()
            at_most = self._board.settings.catalog_poll_seconds * (FED if self.fed and self._settled else 1)
            if await self._board.bells.wanting.wait(at_most if self._settled else min(impatience, at_most)):
                impatience = IMPATIENT
                await asyncio.sleep(DEBOUNCE)
            else:
                impatience = IMPATIENT if self._settled else impatience * 2

    @property
    def _settled(self) -> bool:
        current = self._board.requirements
        return current is not None and current.complete and not current.stale

    def read_file(self) -> bool:
        """Take the assignment file; a bad one is refused whole and the old one stays. Whether it was taken."""
        try:
            self._from_file = read_assignment(self._file) if self._file.exists() else Assignment()
        except (BadRecord, OSError) as error:
            self._board.assignment_error = str(error)
            logger.bind(file=str(self._file), reason=str(error)).error(
                "assignment file refused; the previous one stays"
            )
            return False
        self._board.assignment_error = ""
        return True

    def push(self, assignment: Assignment, mode: Mode) -> None:
        """Take what was pushed through Redis; it outlives a restart without Redis."""
        if (assignment, mode) == (self._pushed, self._mode):
            return
        self._pushed, self._mode = assignment, mode
        try:
            temporary = self._pushed_file.with_suffix(".tmp")
            temporary.write_bytes(wire.dumps({"assignment": assignment, "mode": mode}))
            temporary.replace(self._pushed_file)
        except OSError as error:
            logger.bind(file=str(self._pushed_file), reason=error.strerror).warning(
                "the pushed assignment cannot be kept for a restart without Redis"
            )
        self._board.bells.wanting.ring()

    def demand(self, models: tuple[tuple[str, ...], ...]) -> None:
        """Models that jobs wait for, each by the names that the catalog may have it under. They never hold the gate."""
        if models == self._demanded:
            return
        self._demanded = models
        logger.bind(models=[names[0] for names in models]).info("what jobs wait for has changed")
        self._board.bells.wanting.ring()

    def ask(self, models: Iterable[Model]) -> None:
        """Models that a person wants here. They never hold the gate."""
        self._asking.add(models)
        self._board.bells.wanting.ring()

    def hear(self, subjects: frozenset[str] | None) -> None:
        """The catalog has changed at these ids and names, or with None anywhere; it is looked at if that concerns us."""
        if subjects is None or self._subjects is None or not self._subjects.isdisjoint(subjects):
            self._board.bells.wanting.ring()

    def assignment(self) -> Assignment:
        if self._mode == "replace":
            return self._pushed
        return self._board.settings.assignment.with_(self._from_file).with_(self._pushed)

    async def look(self) -> None:
        """Ask the catalog what the assignment means now, and adopt it if that changed."""
        flows = () if self._deriving is None or self._mode == "replace" else self._board.flows
        if flows is None:
            return  # nobody has looked at the workflow files yet
        begun = self._board.clock.monotonic()
        self._asking.settle()
        self._subjects = None
        try:
            described = await self._described(flows)
        except CatalogUnavailable as error:
            self._complain(str(error))
            return
        except (IndexUnavailable, BadSetting) as error:
            self._board.judging_error = str(error)
            return
        self._board.judging_error = ""
        assignment = self.assignment().with_(Assignment(workflows=tuple(flow.name for flow in flows)))
        new = including(requirements(assignment, described, self._demanded), self._asking.models)
        if self._board.counters.discovery_seconds is None and new.complete:
            self._board.counters.discovery_seconds = self._board.clock.monotonic() - begun
        self._complain("; ".join(described.doubts))
        await self._adopt(new)

    async def _described(self, flows: tuple[Flow, ...]) -> Described:
        """By the catalog, and workflow files by what they say themselves. Raises CatalogUnavailable, IndexUnavailable, BadSetting."""
        asked = self.assignment().with_(Assignment(models=tuple(name for names in self._demanded for name in names)))
        if self._deriving is not None and flows:
            asked = asked.with_(self._deriving.asks(flows))
        described = await self._catalog.describe(asked)
        self._subjects = _subjects(described)
        if self._deriving is None or not flows:
            return described
        return await self._deriving.described(flows, described)

    def _complain(self, why: str) -> None:
        if why and why != self._board.catalog_error:
            logger.bind(reason=why).warning("the catalog's answer is doubtful; what was known before stays")
        self._board.catalog_error = why

    async def _adopt(self, new: Requirements) -> None:
        old = self._board.requirements
        self._board.requirements = new
        if old is not None and old.generation == new.generation and old.problems == new.problems:
            return
        await self._write_manifest(new)
        logger.bind(
            generation=new.generation,
            workflows=[need.name for need in new.workflows],
            models=len(new.wanted),
            problems=[f"{problem.subject}: {problem.why}" for problem in new.problems],
        ).info("assignment understood")
        await self._shelves.tell(_changed(new))
        self._board.bells.fetching.ring()
        self._board.bells.gate.ring()

    async def _write_manifest(self, new: Requirements) -> None:
        file = self._state / "model-manifest.json"
        try:
            await asyncio.to_thread(write_manifest, file, new, self._board.clock.now())
        except OSError as error:
            log = logger.bind(file=str(file), reason=error.strerror)
            log.warning("the manifest cannot be written; the old one stays")

    def _remembered(self) -> tuple[Assignment, Mode]:
        try:
            content = wire.loads(self._pushed_file.read_bytes())
            return assignment_record(content["assignment"], str(self._pushed_file)), "replace" if content[
                "mode"
            ] == "replace" else "add"
        except (OSError, BadRecord, KeyError, TypeError):
            return Assignment(), "add"


def _subjects(described: Described) -> frozenset[str]:
    """Every name and id on which this description rests; of what is missing, the name that would mend it."""
    named = {name for name, _ in described.models} | {each.name for each in described.workflows}
    known = (*described.workflows, *(model for _, model in described.models))
    records = [each for each in known if not isinstance(each, Undescribed)]
    collections = {each.name if isinstance(each, Undescribed) else each.id for each in described.collections}
    return frozenset(named | collections | {each.name for each in records} | {each.id for each in records if each.id})


def _changed(new: Requirements) -> AssignmentChanged:
    return AssignmentChanged(
        generation=new.generation,
        workflows=tuple(need.name for need in new.workflows),
        collections=new.assignment.collections,
        models=tuple(str(wanted.model.path) for wanted in new.wanted),
        required=sum(wanted.required for wanted in new.wanted),
        problems=tuple(f"{problem.subject}: {problem.why}" for problem in new.problems),
    )


def read_assignment(path: Path) -> Assignment:
    """The assignment in a JSON file. Raises BadAssignment when it is none, OSError when it cannot be read."""
    try:
        content = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise BadAssignment(name=str(path), why=f"it is not JSON ({error})") from None
    return assignment_record(content, str(path))


def assignment_text(assignment: Assignment) -> str:
    """An assignment as a file that a person edits."""
    content = {"workflows": assignment.workflows, "collections": assignment.collections, "models": assignment.models}
    return orjson.dumps(content, option=orjson.OPT_INDENT_2).decode() + "\n"
