"""Models that a person wants here, without an agent: the agent's own plan, downloads and readings, until each is here or failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from model_manager.agent.board import Board
from model_manager.agent.holdings.hashing import Hashing
from model_manager.agent.holdings.noticing import Noticing
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.transfers.fetching import Fetching
from model_manager.facts.description import Address, Lore
from model_manager.facts.disk import Held
from model_manager.facts.event import DownloadVerified, Envelope
from model_manager.facts.model import Assignment, Model, Requirements, Wanted
from model_manager.facts.plan import Keep, Refuse, Step
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Phase
from model_manager.index.index import Index

TICK: Final = 0.1
"""Seconds between two looks at how far it is."""

ASKED: Final = "person"
"""Who needs these models."""

Watch = Callable[[Board], None]
"""Shown how far it is, ten times a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What became of one model: it was `here`, or is now, `linked` or `fetched`; or it `failed`, and why."""

    model: Model
    outcome: Literal["here", "linked", "fetched", "failed"]
    why: str = ""
    held: Held | None = None


class Bringing:
    """One at a time; the board's requirements are its own for that long."""

    def __init__(
        self, board: Board, shelves: Shelves, index: Index, fetching: Fetching, hashing: Hashing, noticing: Noticing
    ) -> None:
        self._board = board
        self._shelves = shelves
        self._index = index
        self._fetching = fetching
        self._hashing = hashing
        self._noticing = noticing
        self._failed: dict[ShelfPath, str] = {}

    async def bring(self, models: Sequence[Model], watch: Watch = lambda _: None) -> tuple[Brought, ...]:
        """Every model to its place, each verified as any download, after a look through the directories. What is cancelled goes
        on where it ended."""
        await self._noticing.reconcile()
        before = set(self._shelves.held)
        self._board.requirements = requirements = _requirements(models)
        self._board.scanned = True
        with self._shelves.listening() as news:
            try:
                await self._until_settled(requirements, watch)
            finally:
                await self._hashing.tell()
                plan, self._board.requirements = self._board.plan, None
            fetched = set(_fetched(news))
        brought = [self._brought(step, before, fetched) for step in plan.steps] if plan else []
        await self._remember(brought)
        return tuple(brought)

    async def _until_settled(self, requirements: Requirements, watch: Watch) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._fetching.run()), group.create_task(self._hashing.run())]
            while not self._settled(requirements):
                watch(self._board)
                await asyncio.wait(tasks, timeout=TICK, return_when=asyncio.FIRST_COMPLETED)
            watch(self._board)
            for task in tasks:
                task.cancel()

    def _settled(self, requirements: Requirements) -> bool:
        """Every model is here, refused or failed; why it failed is noted, for a download that is let go of forgets it."""
        plan = self._board.plan
        if plan is None or plan.generation != requirements.generation:
            return False
        transfers = self._board.transfers.values()
        self._failed = {each.shelf: each.why for each in transfers if each.phase is Phase.FAILED}
        return all(isinstance(step, Keep | Refuse) or step.wanted.model.path in self._failed for step in plan.steps)

    def _brought(self, step: Step, before: set[str], fetched: set[ShelfPath]) -> Brought:
        model = step.wanted.model
        if not isinstance(step, Keep):
            why = step.why if isinstance(step, Refuse) else self._failed.get(model.path, "")
            return Brought(model=model, outcome="failed", why=why)
        held = self._shelves.held.get(step.held.file, step.held)
        if held.file in before and model.path not in fetched:
            return Brought(model=model, outcome="here", held=held)
        return Brought(model=model, outcome="fetched" if model.path in fetched else "linked", held=held)

    async def _remember(self, brought: Sequence[Brought]) -> None:
        """Where it came from, so that it can be had again."""
        lore = [
            (each.held.file, Lore(file=each.held.file, addresses=addresses))
            for each in brought
            if each.held and (addresses := _addresses(each.model))
        ]
        if lore:
            await self._index.learn(lore, at=self._board.clock.now())


def _fetched(news: asyncio.Queue[tuple[Envelope, ...]]) -> Iterator[ShelfPath]:
    """What was downloaded, as the fleet is told of it."""
    while not news.empty():
        for envelope in news.get_nowait():
            if isinstance(envelope.event, DownloadVerified):
                yield ShelfPath(folder=envelope.event.folder, name=envelope.event.name)


def _addresses(model: Model) -> tuple[Address, ...]:
    return tuple(address for source in model.sources if (address := Address.parse(source.url)))


def _requirements(models: Sequence[Model]) -> Requirements:
    wanted = {model.path: Wanted(model=model, required=True, needed_by=(ASKED,)) for model in models}
    return Requirements(generation=f"{ASKED} {id(models)}", assignment=Assignment(), wanted=tuple(wanted.values()))
