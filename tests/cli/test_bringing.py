from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model_manager.cli import bringing
from model_manager.cli.bringing import Arrival, _by_agent, brought, cost, say
from model_manager.cli.model.gauge import Gauge
from model_manager.errors import NotBrought
from model_manager.facts.model import Model, Size, Source
from model_manager.facts.shelf import ShelfPath


def model(name: str, size: int | None = None) -> Model:
    return Model(
        name=name,
        path=ShelfPath(folder="vae", name=name),
        sources=(Source(url="https://x.example/a"),),
        size=Size(bytes=size, exact=True) if size else None,
    )


class Agent:
    """Answers in turn, the last one for ever."""

    def __init__(self, *plans: list[dict[str, str]], transfers: list[dict[str, Any]] | None = None) -> None:
        self.plans = list(plans)
        self.transfers = transfers or []
        self.posted: list[tuple[str, Any]] = []

    def post(self, path: str, body: Any) -> dict[str, Any]:
        self.posted.append((path, body))
        return {"accepted": True}

    def get(self, path: str) -> dict[str, Any]:
        if path == "/progress":
            return {"transfers": self.transfers}
        return {"steps": self.plans.pop(0) if len(self.plans) > 1 else self.plans[0]}


def step(name: str, kind: str, why: str = "") -> dict[str, str]:
    return {"folder": "vae", "name": name, "step": kind, "why": why}


def transfer(name: str, phase: str, why: str = "") -> dict[str, Any]:
    return {"folder": "vae", "name": name, "phase": phase, "why": why, "bytes": 1, "total": 5}


def test_an_agent_is_asked_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bringing, "PAUSE", 0)
    agent = Agent([], [step("a.pt", "fetch")], [step("a.pt", "keep")])
    with Gauge("fetched") as gauge:
        found = _by_agent(agent, [model("a.pt", 5)], gauge)  # type: ignore[arg-type]
    assert found == (Arrival(path="vae/a.pt", outcome="here"),)
    assert agent.posted[0][0] == "/fetch"
    assert agent.posted[0][1]["models"][0]["path"] == "vae/a.pt"


def test_what_an_agent_refuses_or_fails_at_is_said() -> None:
    steps = [step("a.pt", "refuse", "no"), step("b.pt", "fetch")]
    agent = Agent(steps, transfers=[transfer("b.pt", "failed", "gone")])
    with Gauge("fetched") as gauge:
        found = _by_agent(agent, [model("a.pt"), model("b.pt")], gauge)  # type: ignore[arg-type]
    assert {(each.path, each.outcome, each.why) for each in found} == {
        ("vae/a.pt", "failed", "no"), ("vae/b.pt", "failed", "gone"),
    }  # fmt: skip


def test_nothing_to_bring_touches_nothing(tmp_path: Path) -> None:
    assert brought(tmp_path / "none", [], None) == ()
    assert not (tmp_path / "none").exists()


def test_one_failure_is_the_end_of_the_command_and_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    say([Arrival(path="vae/a.pt", outcome="fetched")])
    with pytest.raises(NotBrought, match="1 of 2 models could not be had: gone"):
        say([Arrival(path="vae/a.pt", outcome="here"), Arrival(path="vae/b.pt", outcome="failed", why="gone")])
    assert "failed   vae/b.pt: gone" in capsys.readouterr().err


def test_the_cost_says_what_nobody_knows() -> None:
    assert cost([model("a.pt", 2_000_000)]) == "1 model, 2.00 MB"
    assert cost([model("a.pt", 2_000_000), model("b.pt")]) == "2 models, 2.00 MB, 1 of unknown size"
