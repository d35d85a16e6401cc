"""What workflow files need here, told in the words of a catalog, so that they are wanted, fetched and judged like all others."""

from __future__ import annotations

from collections.abc import Callable

from model_manager.agent.assignment.judging import judgement
from model_manager.agent.board import Board
from model_manager.agent.threads import finishing
from model_manager.decisions.needing import derived, known_models, names, with_flows
from model_manager.facts.flow import Flow
from model_manager.facts.model import Assignment, Described
from model_manager.index.reading import Shop


class Deriving:
    def __init__(self, board: Board, shop: Callable[[], Shop]) -> None:
        """`shop` opens the index to read it."""
        self._board = board
        self._shop = shop

    def asks(self, flows: tuple[Flow, ...]) -> Assignment:
        """What to ask the catalog for."""
        return Assignment(models=names(flow.workflow for flow in flows if flow.workflow))

    async def described(self, flows: tuple[Flow, ...], described: Described) -> Described:
        """What the catalog said, and what the files say as if it had. Raises IndexUnavailable, BadSetting."""
        read = [flow for flow in flows if flow.workflow]
        workflows = [flow.workflow for flow in read if flow.workflow]
        judged = await finishing(judgement, self._shop, self._board.settings, workflows, indexed=True)
        rulings = {flow.file: found for flow, found in zip(read, judged.found, strict=True)}
        catalog = known_models(described)
        return with_flows(
            described,
            [derived(flow, rulings.get(flow.file, ()), judged.files, catalog, judged.addresses) for flow in flows],
        )
