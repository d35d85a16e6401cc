from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from loguru import logger
from rich.console import Console

from model_manager.cli import onlooking as module
from model_manager.cli.onlooking import Onlooker, failure_text
from model_manager.facts.event import AssignmentChanged, DownloadFailed, ReadinessChanged, RootLost
from model_manager.facts.machine import Readiness
from model_manager.facts.plan import Fetch, Plan
from model_manager.facts.transfer import Phase, Transfer
from tests.agent.stage import Stage, model, needs, running, stage, turns, until, wanted

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


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(str(message)), format="{message}")
    yield lines
    logger.remove(handler)


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
        await until(lambda: "failed " in seen())
    assert "\x1b[2J" not in seen()
    assert seen().count("evil\\x1b[2J[bold]\\nname") == 2


async def test_a_download_has_a_line_while_it_moves(scene: Stage, seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    coming = wanted(model("vae/a.safetensors", b"x" * 100))
    path = coming.model.path
    scene.board.plan = Plan(generation="g", steps=(Fetch(wanted=coming, bytes=100),))
    scene.board.transfers[path] = Transfer(shelf=path, phase=Phase.FETCHING, bytes=43, total=100)
    watching = onlooker(scene)
    watching._console = Console(stderr=True, force_terminal=True, highlight=False)
    async with running(lambda: watching.look(scene.board, scene.shelves)):
        await until(lambda: " 43%" in seen())
        await until(lambda: "0 of 1 models" in seen())
        scene.board.transfers[path] = Transfer(shelf=path, phase=Phase.WAITING, why="connection refused")
        await until(lambda: "waiting: connection refused" in seen())


def broken(name: str = "a", *, final: bool = False, reason: str = "h was silent") -> DownloadFailed:
    return DownloadFailed(
        folder="vae", name=name, reason=reason, attempt=2, final=final, retry_at="2026-01-02T03:04:17Z"
    )


async def test_a_retry_says_why_and_a_reason_that_comes_again_is_counted(scene: Stage, seen) -> None:
    watching = onlooker(scene)
    for _ in range(9):
        watching._tell([broken()])
        watching._tell_unsaid()
    watching._tell([broken(final=True, reason="h does not have it")])
    lines = [line for line in seen().splitlines() if line]
    assert len(lines) == 5
    assert lines[0].startswith("waiting   vae/a (again ")
    assert lines[0].endswith(": h was silent")
    assert ["times so far" in line for line in lines] == [False, True, True, True, False]
    assert "8 times so far" in lines[3]
    assert lines[4].startswith("failed    vae/a")


async def test_a1_a_host_that_goes_away_is_no_flood(scene: Stage, seen) -> None:
    watching = onlooker(scene)
    watching._tell([broken(str(number)) for number in range(200)])
    watching._tell_unsaid()
    watching._tell_unsaid()
    lines = seen().splitlines()
    assert len(lines) == module.AT_ONCE + 1
    assert lines[-1] == "and 195 more downloads broke off; 'status' says why"


async def test_what_is_remembered_of_failures_is_bounded(scene: Stage, seen) -> None:
    watching = onlooker(scene)
    watching._tell([broken(str(number)) for number in range(module.REMEMBERED + 50)])
    assert len(watching._repeated) == module.REMEMBERED


def test_a_failure_says_when_it_is_tried_again() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert failure_text(broken(), 1, now) == "waiting   vae/a (again in 12s): h was silent"
    assert failure_text(broken(), 4, now) == "waiting   vae/a (again in 12s, 4 times so far): h was silent"
    assert failure_text(replace(broken(final=True), retry_at=""), 1, now) == "failed    vae/a: h was silent"


@pytest.mark.parametrize("demo", [True, False])
async def test_elsewhere_the_log_speaks_and_the_guide_is_for_the_sample(scene: Stage, seen, demo: bool) -> None:
    scene.board.readiness = OPEN
    async with running(lambda: onlooker(scene, demo=demo, terminal=False).look(scene.board, scene.shelves)):
        await turns()
    assert seen().count("Try, in another terminal") == int(demo)


async def test_elsewhere_a_line_of_the_log_says_now_and_then_how_far_it_is(scene: Stage, seen, logged) -> None:
    coming = wanted(model("vae/a.safetensors", b"x" * 100))
    path = coming.model.path
    scene.board.plan = Plan(generation="g", steps=(Fetch(wanted=coming, bytes=100),))
    scene.board.transfers[path] = Transfer(shelf=path, phase=Phase.FETCHING, bytes=43, total=100)
    async with running(lambda: onlooker(scene, terminal=False).look(scene.board, scene.shelves)):
        await until(lambda: "0 of 1 models, 43 of 100 B" in "".join(logged))
        scene.board.transfers[path] = Transfer(shelf=path, phase=Phase.FETCHING, bytes=44, total=100)
        await turns()
        assert len(logged) == 1
        scene.clock.seconds += 10
        await until(lambda: len(logged) == 2)
