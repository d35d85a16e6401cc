from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model_manager.agent.control.status import status_answer
from model_manager.facts import wire
from model_manager.facts.machine import Disk, Readiness, WorkflowReadiness
from model_manager.facts.plan import Fetch, Keep, Plan, Refuse
from model_manager.facts.transfer import Phase, Transfer
from tests.agent.stage import model, needs, stage, wanted
from tests.cli.conftest import Call
from tests.cli.gate import Gate

EVIL = "evil\x1b[31m\nname"


@pytest.fixture
async def body(tmp_path: Path) -> Any:
    """What a real agent's `/status` says when much is going on."""
    here, coming, never = (wanted(model(f"vae/{name}.safetensors", b"weights")) for name in ("here", "coming", "never"))
    async with stage(tmp_path) as scene:
        held = await scene.holds("vae/here.safetensors")
        board = scene.board
        board.requirements = needs(here, coming, never)
        board.plan = Plan(
            generation="g1",
            steps=(Keep(wanted=here, held=held), Fetch(wanted=coming, bytes=7), Refuse(wanted=never, why="no address")),
        )
        path = coming.model.path
        board.transfers = {
            path: Transfer(
                shelf=path,
                phase=Phase.FETCHING,
                bytes=5_000_000,
                total=10_000_000,
                speed=2e6,
                eta=190,
                connections=8,
                host="cdn.example",
            )
        }
        flows = (WorkflowReadiness(name="w", ready=True), WorkflowReadiness(name=EVIL, ready=False, reasons=("no",)))
        board.readiness = Readiness(
            ready=False, reasons=("vae/coming: fetching",), workflows=flows, required=3, present=1
        )
        board.disks = (Disk(root="/models", free=6_940_000_000, total=2 * 10**12, floor=0),)
        board.catalog_error = f"the catalog said {EVIL}"
        return json.loads(wire.dumps(status_answer(board, scene.shelves)))


def test_a_person_sees_what_is_here_what_comes_and_why_not(agent: Gate, call: Call, body: Any) -> None:
    agent.answers["/status"] = (200, body)
    code, out, _ = call("status")
    assert code == 0
    assert "1 of 3 required models" in out
    assert "vae/coming: fetching" in out
    assert "present (pin)" in out
    assert "fetching 50 % 2.0 MB/s 3m10s, 8 connections to cdn.example" in out
    assert "1 of 3 models, 5.0 of 10.0 MB, 1 failed" in out
    assert "refused" in out
    assert "6.94 GB free of 2.00 TB" in out


def test_k12_what_comes_from_outside_is_printed_escaped(agent: Gate, call: Call, body: Any) -> None:
    agent.answers["/status"] = (200, body)
    out = call("status")[1]
    assert "\x1b" not in out
    assert "evil\\x1b[31m\\nname" in out


def test_a_program_gets_the_answer_as_it_is(agent: Gate, call: Call, body: Any) -> None:
    agent.answers["/status"] = (200, body)
    code, out, _ = call("status", "--json")
    assert (code, json.loads(out)) == (0, body)


async def test_an_agent_that_has_just_started_can_be_looked_at(agent: Gate, call: Call, tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        agent.answers["/status"] = (200, json.loads(wire.dumps(status_answer(scene.board, scene.shelves))))
    code, out, _ = call("status")
    assert code == 0
    assert "starting" in out


def test_without_an_agent_the_way_to_start_it_is_told(call: Call) -> None:
    code, out, err = call("status")
    assert (code, out) == (75, "")
    assert "model-manager run" in err


@pytest.mark.parametrize("width", ["40", "60", "80"])
def test_a_narrow_terminal_gets_no_line_that_it_cannot_show(
    agent: Gate, call: Call, body: Any, width: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    body["disks"], body["problems"], body["readiness"]["reasons"] = [], [], []
    agent.answers["/status"] = (200, body)
    out = call("status")[1]
    assert max(map(len, out.splitlines())) <= int(width)
    assert "needed by" not in out
    assert "vae/coming" in out


@pytest.mark.parametrize(
    ("phase", "more", "text"),
    [
        ("verifying", {"bytes": 3, "total": 4}, "verifying 75 %"),
        ("waiting", {"why": "h was silent", "retry_at": "2020-01-01T00:00:00Z", "attempt": 3}, "waiting (again now, attempt 3): h was silent"),
        ("failed", {"why": "it is never right"}, "failed (attempt 1): it is never right"),
        ("fetching", {"bytes": 5_000_000, "total": None}, "fetching 5.00 MB"),
        ("placing", {}, "placing"),
    ],
)  # fmt: skip
def test_each_phase_says_what_is_known(agent: Gate, call: Call, body: Any, phase: str, more: Any, text: str) -> None:
    model = body["models"][1]
    plain = {"speed": 0, "eta": None, "connections": 0, "total": None}
    body["transfers"] = [body["transfers"][0] | plain | {"phase": phase} | more]
    model["state"], model["why"] = phase, more.get("why", "")
    agent.answers["/status"] = (200, body)
    assert text in call("status")[1]
