from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.cli.answers import answer, socket_of
from model_manager.errors import AgentAway, Refused
from tests.cli.gate import Gate


def test_an_answer_is_its_json(agent: Gate, tmp_path: Path) -> None:
    agent.answers["/plan"] = (200, {"steps": []})
    assert answer(tmp_path, "GET", "/plan") == {"steps": []}


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (409, {"accepted": False, "reason": "a restart is needed"}, "a restart is needed"),
        (503, {"error": "ask again in a moment"}, "ask again in a moment"),
        (500, {}, "answered 500"),
    ],
)
def test_a_refusal_is_raised_with_its_reason(agent: Gate, tmp_path: Path, status: int, body: object, why: str) -> None:
    agent.answers["/reload"] = (status, body)
    with pytest.raises(Refused, match=why):
        answer(tmp_path, "POST", "/reload")


def test_an_agent_that_is_away_is_no_refusal(tmp_path: Path) -> None:
    with pytest.raises(AgentAway, match="model-manager run"):
        answer(tmp_path, "GET", "/status")


def test_the_socket_lies_in_the_state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_MANAGER_STATE_DIR", "/from/environment")
    assert socket_of(None) == Path("/from/environment/control.sock")
    assert socket_of(tmp_path) == tmp_path / "control.sock"
