from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from model_manager.cli import onlooking as module
from model_manager.cli.onlooking import Onlooker
from model_manager.facts.event import AssignmentChanged, DownloadFailed, ReadinessChanged, RootLost
from model_manager.facts.machine import Readiness
from model_manager.facts.transfer import Phase, Transfer
from tests.agent.stage import Stage, model, needs, running, stage, turns, until

OPEN = Readiness(ready=True, reasons=(), required=1, present=1)
READY = ReadinessChanged(ready=True, reasons=(), workflows={})
CLOSED = ReadinessChanged(ready=False, reasons=("vae/a is missing",), workflows={})


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path) as made:
        made.board.requirements = needs(model("vae/a.safetensors"))
        yield made


@pytest.fixture
def seen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """All that was written to standard error."""
    monkeypatch.setattr(module, "LOOK", 0.005)
    text: list[str] = []

    def looking() -> str:
        text.append(capsys.readouterr().err)
        return "".join(text)

    return looking


def onlooker(scene: Stage, *, demo: bool = False, terminal: bool = True) -> Onlooker:
    return Onlooker(scene.board.settings, demo=demo, terminal=terminal)


async def test_a_terminal_gets_a_line_for_each_event_and_the_guide_once(scene: Stage, seen) -> None:
    async with running(lambda: onlooker(scene).look(scene.board, scene.shelves)):
        await until(lambda: "models in" in seen())
        await scene.shelves.tell(
            AssignmentChanged(generation="g", workflows=("w",), collections=(), models=(), required=1, problems=())
        )
        scene.board.readiness = OPEN
        await scene.shelves.tell(READY)
        await until(lambda: "wait -- echo go" in seen())
        await turns()
    assert "assignment: w needs 1 models" in seen()
    assert seen().count("ready: the gate is open") == 1
    assert seen().count("Try, in another terminal") == 1
    assert "rm " + str(scene.store / "vae/a.safetensors") in seen()


async def test_a_gate_that_was_never_open_is_no_news_and_one_that_closes_is(scene: Stage, seen) -> None:
    async with running(lambda: onlooker(scene).look(scene.board, scene.shelves)):
        await until(lambda: "models in" in seen())
        for event in (CLOSED, READY, CLOSED):
            await scene.shelves.tell(event)
        await until(lambda: "not ready: vae/a is missing" in seen())
        await turns()
    assert seen().count("not ready") == 1


async def test_k12_what_comes_from_outside_moves_no_cursor(scene: Stage, seen) -> None:
    evil = "evil\x1b[2J[bold]\nname"
    async with running(lambda: onlooker(scene).look(scene.board, scene.shelves)):
        await until(lambda: "models in" in seen())
        await scene.shelves.tell(RootLost(root="/m", why=evil))
        failed = DownloadFailed(folder="vae", name="a", reason=evil, attempt=1, final=True, retry_at="")
        await scene.shelves.tell(failed)
        await until(lambda: "failed:" in seen())
    assert "\x1b[2J" not in seen()
    assert seen().count("evil\\x1b[2J[bold]\\nname") == 2


async def test_a_download_has_a_bar_while_it_moves(scene: Stage, seen) -> None:
    path = model("vae/a.safetensors").path
    watching = onlooker(scene)
    scene.board.transfers[path] = Transfer(shelf=path, phase=Phase.FETCHING, bytes=3, total=7)
    watching._draw(scene.board)
    (bar,) = watching._progress.tasks
    assert (bar.completed, bar.total) == (3, 7)
    scene.board.transfers[path] = Transfer(shelf=path, phase=Phase.WAITING, why="connection refused")
    watching._draw(scene.board)
    assert watching._progress.tasks[0].fields["phase"] == "waiting: connection refused"
    scene.board.transfers.clear()
    watching._draw(scene.board)
    assert watching._progress.tasks == []


@pytest.mark.parametrize("demo", [True, False])
async def test_elsewhere_the_log_speaks_and_the_guide_is_for_the_sample(scene: Stage, seen, demo: bool) -> None:
    scene.board.readiness = OPEN
    await onlooker(scene, demo=demo, terminal=False).look(scene.board, scene.shelves)
    assert ("Try, in another terminal" in seen()) is demo
