from __future__ import annotations

import json
from typing import Any

import pytest

from model_manager.agent.control.status import plan_answer
from model_manager.facts import wire
from model_manager.facts.plan import Fetch, Plan, Refuse
from tests.agent.stage import model, wanted
from tests.cli.conftest import Call
from tests.cli.gate import Gate


@pytest.fixture
def body() -> Any:
    """What a real agent's `/plan` says."""
    coming = wanted(model("vae/coming.safetensors", b"weights"))
    never = wanted(model("vae/\x1bnever.ckpt"), required=False, by=("machine",))
    steps = (Fetch(wanted=coming, bytes=17_200_000_000), Refuse(wanted=never, why=".ckpt files can carry code"))
    return json.loads(wire.dumps(plan_answer(Plan(generation="g7", steps=steps))))


def test_each_step_is_a_line_with_its_reason(agent: Gate, call: Call, body: Any) -> None:
    agent.answers["/plan"] = (200, body)
    code, out, _ = call("plan")
    assert code == 0
    assert any(line.split()[:2] == ["fetch", "vae/coming.safetensors"] for line in out.splitlines())
    assert "can carry code" in out
    assert "machine (optional)" in out
    assert "2 models, 17.2 GB to download, generation g7" in out
    assert "\x1b" not in out


def test_a_program_gets_the_plan_as_it_is(agent: Gate, call: Call, body: Any) -> None:
    agent.answers["/plan"] = (200, body)
    assert json.loads(call("plan", "--json")[1]) == body


def test_before_the_assignment_is_understood_there_is_no_plan(agent: Gate, call: Call) -> None:
    agent.answers["/plan"] = (503, {"error": "the assignment has not been understood yet; ask again in a moment"})
    code, out, err = call("plan")
    assert (code, out) == (65, "")
    assert "ask again" in err


def test_sizes_that_nobody_knows_are_said_to_be_unknown(agent: Gate, call: Call, body: Any) -> None:
    body["steps"].append(body["steps"][0] | {"name": "unknown.gguf", "bytes": 0})
    agent.answers["/plan"] = (200, body)
    out = call("plan")[1]
    assert "3 models, 17.2 GB and 1 of unknown size to download" in out
    assert any(line.split()[:3] == ["fetch", "vae/unknown.gguf", "?"] for line in out.splitlines())


def test_a_narrow_terminal_is_spared_who_needs_it(
    agent: Gate, call: Call, body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    agent.answers["/plan"] = (200, body)
    out = call("plan")[1]
    assert "needed by" not in out
    assert max(map(len, out.splitlines())) <= 60
