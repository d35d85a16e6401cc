"""What a workflow needs, as the catalog says; asked at most once in a while, and never twice at the same time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from model_manager.decisions.forecasting import needed_by
from model_manager.decisions.requiring import requirements
from model_manager.errors import ModelManagerError, printable
from model_manager.facts.fleet import Needed
from model_manager.facts.model import Assignment, Described, Undescribed

Describe = Callable[[Assignment], Awaitable[Described]]

MOST: Final = 1_000
"""Workflows that are remembered."""

PATIENCE: Final = 10.0
"""Seconds that an answer waits for the catalog."""

NO_CATALOG: Final = "no catalog is named; set EMPROPS_API_BASE_URL where the aggregator runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """`unknown`: why they are not known, or not all of them; empty when they are. `missing`: there is no such workflow or
    collection. `workflows` that a collection lists."""

    models: tuple[Needed, ...] = ()
    workflows: tuple[str, ...] = ()
    unknown: str = ""
    missing: bool = False


class Demand:
    """`describe` asks the catalog, None when there is none; an answer counts for `keep` seconds."""

    def __init__(self, describe: Describe | None, keep: float, monotonic: Callable[[], float]) -> None:
        self._describe = describe
        self._keep = keep
        self._monotonic = monotonic
        self._known: OrderedDict[Assignment, tuple[float, Needs]] = OrderedDict()
        self._asking = asyncio.Lock()

    async def of(self, workflow: str) -> Needs:
        """A catalog that does not answer is a reason, never an empty need."""
        return await self._of(Assignment(workflows=(workflow,)))

    async def of_collection(self, collection: str) -> Needs:
        """What all of its workflows need together."""
        return await self._of(Assignment(collections=(collection,)))

    async def _of(self, assignment: Assignment) -> Needs:
        if self._describe is None:
            return Needs(unknown=NO_CATALOG)
        try:
            async with asyncio.timeout(PATIENCE), self._asking:
                known = self._known.get(assignment)
                if known is None or self._monotonic() - known[0] > self._keep:
                    known = self._monotonic(), await self._asked(self._describe, assignment)
                self._remember(assignment, known)
                return known[1]
        except TimeoutError:
            return Needs(unknown=f"the catalog did not answer within {PATIENCE:.0f} s")
        except ModelManagerError as error:
            return Needs(unknown=printable(error))

    def _remember(self, assignment: Assignment, known: tuple[float, Needs]) -> None:
        self._known[assignment] = known
        self._known.move_to_end(assignment)
        while len(self._known) > MOST:
            self._known.popitem(last=False)

    async def _asked(self, describe: Describe, assignment: Assignment) -> Needs:
        described = await describe(assignment)
        understood = requirements(assignment, described)
        models = {each.path: each for need in understood.workflows for each in needed_by(need, understood)}
        lost = [problem.why for problem in understood.problems if problem.kind == "unknown_collection"]
        unknown = [*lost, *(need.unknown for need in understood.workflows if need.unknown)]
        asked_for = described.collections if assignment.collections else described.workflows
        return Needs(
            models=tuple(models.values()),
            workflows=tuple(need.name for need in understood.workflows),
            unknown="; ".join(dict.fromkeys(unknown)),
            missing=any(isinstance(each, Undescribed) and each.missing for each in asked_for),
        )
