from __future__ import annotations

from tests.cli.conftest import Call
from tests.cli.gate import Gate


def test_a_reload_that_was_adopted_says_so(agent: Gate, call: Call) -> None:
    agent.answers["/reload"] = (200, {"accepted": True, "reason": ""})
    assert call("reload") == (0, "reloaded\n", "")
    assert agent.asked == ["/reload"]


def test_a_reload_that_was_refused_fails_with_its_reason(agent: Gate, call: Call) -> None:
    agent.answers["/reload"] = (409, {"accepted": False, "reason": "a restart is needed to change concurrency"})
    code, out, err = call("reload")
    assert (code, out) == (65, "")
    assert "a restart is needed to change concurrency" in err


def test_without_an_agent_nothing_was_reloaded(call: Call) -> None:
    code, out, err = call("reload")
    assert (code, out) == (75, "")
    assert "No agent answers" in err
