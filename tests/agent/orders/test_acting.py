from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from model_manager.agent.orders.acting import actions, fetch_of, hands_of, reload_of
from tests.agent.stage import Stage


class Nudged:
    def __init__(self) -> None:
        self.times = 0

    def nudge(self) -> None:
        self.times += 1


@pytest.mark.parametrize(("accepted", "why"), [(True, ""), (False, "a restart is needed")])
async def test_a_reload_says_why_not_and_tries_waiting_downloads_again(scene: Stage, accepted: bool, why: str) -> None:
    scene.board.settings_error = why
    fetching: Any = Nudged()
    reload = reload_of(scene.board, cast(Any, SimpleNamespace(reload=lambda: accepted)), fetching)
    assert await actions(reload, cast(Any, None))["reload"]({}) == {"accepted": accepted, "reason": why}
    assert fetching.times == 1


async def test_directories_are_exposed_and_where_is_said() -> None:
    async def expose() -> None:
        exposed.append(True)

    exposed: list[bool] = []
    exposing: Any = SimpleNamespace(expose=expose, yaml=Path("/s/extra_model_paths.yaml"))
    answer = await actions(lambda: "", exposing)["expose"]({})
    assert answer == {"accepted": True, "extra_model_paths": "/s/extra_model_paths.yaml"}
    assert exposed


async def test_a_scan_rings_and_files_that_could_not_be_read_are_tried_again(scene: Stage) -> None:
    hashing: Any = Nudged()
    verifying: Any = SimpleNamespace(ask=lambda files: 3, finished=7)
    finding: Any = SimpleNamespace(find=None)
    hands = hands_of(scene.board, hashing, verifying, lambda: "", finding, lambda: None)
    hands.scan()
    assert await scene.board.bells.noticing.wait(0)
    assert (hashing.times, hands.verified(), hands.verify(None)) == (1, 7, 3)


async def test_models_that_a_person_asks_for_are_wanted_at_once(scene: Stage) -> None:
    fetching: Any = Nudged()
    wanted: list[Any] = []
    wanting: Any = SimpleNamespace(ask=wanted.extend)
    answer = await fetch_of(wanting, fetching)({"models": [{"path": "vae/a.pt", "sources": ["https://x.example/a"]}]})
    assert answer == {"accepted": True, "models": ["vae/a.pt"]}
    assert ([str(model.path) for model in wanted], fetching.times) == (["vae/a.pt"], 1)
