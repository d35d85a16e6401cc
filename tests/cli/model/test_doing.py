from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from model_manager.cli.model.doing import LOG, Agent, agent_of, done
from model_manager.errors import AgentAway, AlreadyRunning, Refused, Unavailable
from model_manager.library.lock import hold
from tests.cli.conftest import Call
from tests.cli.gate import Gate
from tests.cli.model.conftest import settings_of


@pytest.fixture(autouse=True)
def alone(bare: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MACHINE_ID", "m1")


async def nothing(_bench: Any) -> str:
    return "bench"


def test_an_agent_that_answers_is_asked(agent: Gate, tmp_path: Path) -> None:
    agent.answers["/scan"] = (200, {"accepted": True})
    assert done(tmp_path, agent=lambda there: there.post("/scan", {"a": 1}), bench=nothing) == {"accepted": True}
    assert agent.bodies == [{"a": 1}]


def test_without_an_agent_it_is_done_here(tmp_path: Path) -> None:
    assert agent_of(tmp_path) is None
    assert done(tmp_path, agent=lambda _: "agent", bench=nothing) == "bench"
    assert (tmp_path / "index.sqlite").exists()


def test_a_socket_that_a_dead_agent_left_counts_as_none(tmp_path: Path) -> None:
    from tests.cli.gate import gate_at

    with gate_at(tmp_path / "control.sock"):
        os.link(tmp_path / "control.sock", tmp_path / "kept")
    (tmp_path / "kept").rename(tmp_path / "control.sock")
    assert done(tmp_path, agent=lambda _: "agent", bench=nothing) == "bench"


@pytest.mark.parametrize(("status", "kind"), [(400, Refused), (404, Refused), (409, Refused), (503, Unavailable)])
def test_what_an_agent_refuses_is_said_in_its_own_words(
    agent: Gate, tmp_path: Path, status: int, kind: type[Exception]
) -> None:
    agent.answers["/import"] = (status, {"error": "this is why"})
    with pytest.raises(kind, match="this is why"):
        done(tmp_path, agent=lambda there: there.post("/import", {}), bench=nothing)


def test_an_agent_of_another_version_is_no_riddle(agent: Gate, tmp_path: Path) -> None:
    agent.answers["/status"] = (200, {"state": "ready"})
    with pytest.raises(AgentAway, match="restart it"):
        Agent(tmp_path / "control.sock").status()


def test_i1_two_at_once_never_write_one_index(tmp_path: Path, call: Call) -> None:
    with hold(str(tmp_path / "lock"), "The state directory"):
        with pytest.raises(AlreadyRunning):
            done(tmp_path, agent=lambda _: "agent", bench=nothing)
        assert call("model", "index", "sync")[0] == AlreadyRunning.exit_code


def test_nobody_is_served_so_that_files_are_read_at_full_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def pace(bench: Any) -> float | None:
        return bench.board.settings.pace

    assert settings_of(tmp_path).pace == 250_000_000
    assert done(tmp_path, agent=lambda _: None, bench=pace) is None
    monkeypatch.setenv("MODEL_MANAGER_READ_RATE", "5MB")
    assert done(tmp_path, agent=lambda _: None, bench=pace) == 5_000_000


def test_d8_ctrl_c_leaves_in_good_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended: list[str] = []

    async def interrupted(_bench: Any) -> None:
        import asyncio

        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.sleep(30)
        finally:
            ended.append("in order")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as left:
        done(tmp_path, agent=lambda _: None, bench=interrupted)
    assert (left.value.code, ended) == (130, ["in order"])
    assert "everything learnt so far is kept" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before


def test_what_happens_is_logged_and_not_shouted(own: Path, tmp_path: Path, call: Call) -> None:
    own.rename(own.with_name("away"))
    _, out, err = call("model", "index", "sync")
    assert "models directory is away" in (tmp_path / LOG).read_text()
    assert "ERROR" not in out + err
