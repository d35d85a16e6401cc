from __future__ import annotations

from dataclasses import replace

import pytest

from model_manager.agent.holdings import departed as module
from model_manager.agent.holdings.departed import REMEMBERED, Departed
from tests.decisions.making import held


def test_what_left_is_remembered_for_a_while() -> None:
    departed, file = Departed(), held("vae/a.pt")
    departed.remember([file], 100.0)
    assert departed.lately(100.0 + REMEMBERED) == [file]
    assert departed.lately(101.0 + REMEMBERED) == []


def test_what_nobody_read_is_not_worth_remembering() -> None:
    departed = Departed()
    departed.remember([held("vae/a.pt", sha256=None)], 1.0)
    assert departed.lately(1.0) == []


def test_the_last_state_of_a_path_counts() -> None:
    departed, file = Departed(), held("vae/a.pt")
    later = replace(file, fingerprint=replace(file.fingerprint, size=7))
    departed.remember([file], 1.0)
    departed.remember([later], 2.0)
    assert departed.lately(2.0) == [later]


def test_the_memory_is_bounded_by_number_and_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_MOST", 3)
    departed = Departed()
    departed.remember([held(f"vae/{n}.pt") for n in range(5)], 1.0)
    assert [item.shelf.name for item in departed.lately(1.0)] == ["2.pt", "3.pt", "4.pt"]
    departed.remember([], 2.0 + REMEMBERED)
    assert departed._left == {}
