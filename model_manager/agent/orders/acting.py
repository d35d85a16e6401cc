"""What the agent does when somebody asks: through its socket, or through Redis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from model_manager.agent.assignment.wanting import Wanting
from model_manager.agent.board import Board
from model_manager.agent.control.socket import Action, Asked
from model_manager.agent.holdings.exposing import Exposing
from model_manager.agent.holdings.hashing import Hashing
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.holdings.verifying import Verifying
from model_manager.agent.orders.finding import Fetch, Finding
from model_manager.agent.orders.obeying import Hands
from model_manager.agent.orders.removing import Removing
from model_manager.agent.orders.showing import Showing
from model_manager.agent.reloading import Reloading
from model_manager.agent.transfers.fetching import Fetching
from model_manager.facts.asked import asked_models
from model_manager.facts.disk import Root
from model_manager.facts.model import Model
from model_manager.index.reading import Shop

Reload = Callable[[], str]
"""Adopts what changed; says why not, or nothing."""


def reload_of(board: Board, reloading: Reloading, fetching: Fetching) -> Reload:
    """Settings, tokens and the assignment file are read again; what waits for another attempt is tried now."""

    def reload() -> str:
        accepted = reloading.reload()
        fetching.nudge()
        return "" if accepted else board.settings_error or board.assignment_error

    return reload


def hands_of(
    board: Board, hashing: Hashing, verifying: Verifying, reload: Reload, finding: Finding, stop: Callable[[], None]
) -> Hands:
    """What orders through Redis do."""

    def scan() -> None:
        board.bells.noticing.ring()
        hashing.nudge()

    return Hands(
        scan=scan,
        verify=verifying.ask,
        verified=lambda: verifying.finished,
        reload=reload,
        find=finding.find,
        stop=stop,
    )


def fetch_of(wanting: Wanting, fetching: Fetching) -> Action:
    """Models that a person asks for are fetched beside the assignment's."""

    async def fetch(asked: Asked) -> dict[str, Any]:
        models = asked_models(asked)
        wanting.ask(models)
        fetching.nudge()
        return {"accepted": True, "models": [str(model.path) for model in models]}

    return fetch


def wish_of(check: Callable[[str], object], wanting: Wanting, fetching: Fetching) -> Fetch:
    """The same for who asks through Redis: addresses are judged by `check` (it raises BadUrl) before anything is wanted, and again
    at each connection."""

    def wish(models: Sequence[Model]) -> None:
        for model in models:
            for source in model.sources:
                check(source.url)
        wanting.ask(models)
        fetching.nudge()

    return wish


def finding_of(board: Board, shelves: Shelves, shop: Callable[[], Shop], own: Root, fetch: Fetch) -> Finding:
    """Who answers what askers want to know."""
    return Finding(Showing(board, shelves, shop), Removing(board, shelves, own, board.bells.noticing.ring), fetch)


def actions(reload: Reload, exposing: Exposing) -> dict[str, Action]:
    """What a POST on the socket does to the agent; `library_actions` are the others."""

    async def adopt(_: Asked) -> dict[str, Any]:
        why = reload()
        return {"accepted": not why, "reason": why}

    async def expose(_: Asked) -> dict[str, Any]:
        await exposing.expose()
        return {"accepted": True, "extra_model_paths": str(exposing.yaml)}

    return {"reload": adopt, "expose": expose}
