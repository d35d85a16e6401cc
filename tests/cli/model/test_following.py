from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from model_manager.cli.model import following
from model_manager.cli.model.doing import Agent
from model_manager.cli.model.following import reading, scanned


class Scripted(Agent):
    """Answers one status after the other; the last one for ever."""

    def __init__(self, answers: Iterable[dict[str, Any]]) -> None:
        super().__init__(Path("/nowhere"))
        self._answers = list(answers)

    def status(self) -> dict[str, Any]:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def scan(started: str, finished: str) -> dict[str, Any]:
    return {"scan": {"started": started, "finished": finished}}


def left(unhashed: int, hashing: str = "") -> dict[str, Any]:
    return {"inventory": {"unhashed": unhashed, "hashing": hashing}}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PAUSE", 0.001)


def test_only_a_scan_that_began_after_the_question_answers_it() -> None:
    asked: list[str] = []
    after = scan("t2", "t3")
    agent = Scripted([scan("t1", ""), scan("t1", ""), scan("t1", "t1b"), scan("t2", ""), after])
    assert scanned(agent, lambda: asked.append("scan")) == after
    assert asked == ["scan"]


def test_reading_is_followed_to_its_end() -> None:
    agent = Scripted([left(2, "a"), left(1), left(1, "b"), left(0)])
    assert [status["inventory"]["unhashed"] for status in reading(agent)] == [2, 1, 1, 0]


def test_what_cannot_be_read_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "IDLE", 0.05)
    seen = list(reading(Scripted([left(3, "a"), left(3)])))
    assert seen[-1]["inventory"]["unhashed"] == 3
    assert len(seen) > 2
