from __future__ import annotations

from typing import Any

import pytest

from model_manager.agent.board import Board
from model_manager.facts.machine import Readiness
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Phase, Transfer
from tests.agent.stage import Stage, needs

OPEN = Readiness(ready=True, reasons=())
PATH = ShelfPath(folder="vae", name="a.gguf")


def moving(phase: Phase) -> dict[ShelfPath, Transfer]:
    return {PATH: Transfer(shelf=PATH, phase=phase)}


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "starting"),
        ({"scanned": True}, "discovering"),
        ({"requirements": needs()}, "waiting"),
        ({"requirements": needs(), "transfers": moving(Phase.QUEUED)}, "fetching"),
        ({"requirements": needs(), "transfers": moving(Phase.FETCHING)}, "fetching"),
        ({"requirements": needs(), "transfers": moving(Phase.WAITING)}, "waiting"),
        ({"requirements": needs(), "transfers": moving(Phase.FAILED)}, "waiting"),
        ({"readiness": OPEN}, "ready"),
        ({"readiness": OPEN, "bus": "away"}, "ready"),
        ({"readiness": OPEN, "bus": "conflict"}, "degraded"),
        ({"readiness": OPEN, "lost_roots": {"/m": "it does not exist"}}, "degraded"),
        ({"readiness": OPEN, "stopping": True}, "stopping"),
    ],
)
def test_the_state_is_one_word(scene: Stage, changes: dict[str, Any], word: str) -> None:
    for name, value in changes.items():
        setattr(scene.board, name, value)
    assert scene.board.state == word


def test_a_new_board_is_closed_and_shares_nothing(scene: Stage) -> None:
    fresh = Board(settings=scene.board.settings, clock=scene.clock, started=0.0, machine_id="m2")
    assert not fresh.readiness.ready
    assert fresh.readiness.reasons
    assert fresh.transfers is not scene.board.transfers
    assert fresh.bells.gate is not scene.board.bells.gate
