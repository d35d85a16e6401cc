from __future__ import annotations

from tests.cli.conftest import Call
from tests.cli.gate import Gate


def test_verifying_says_how_much_it_will_read(agent: Gate, call: Call) -> None:
    agent.answers["/verify"] = (200, {"accepted": True, "files": 12})
    code, out, _ = call("verify")
    assert code == 0
    assert "verifying 12 files" in out


def test_without_an_agent_nothing_is_verified(call: Call) -> None:
    assert call("verify")[0] == 75
