from __future__ import annotations

from tests.cli.conftest import Call
from tests.cli.gate import Gate


def test_a_scan_is_asked_for_and_says_where_to_look(agent: Gate, call: Call) -> None:
    agent.answers["/scan"] = (200, {"accepted": True})
    code, out, _ = call("scan")
    assert code == 0
    assert "events --follow" in out
    assert agent.asked == ["/scan"]


def test_without_an_agent_there_is_no_scan(call: Call) -> None:
    assert call("scan")[0] == 75
