from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from model_manager.agent.holdings import shelves as backlog
from model_manager.agent.transfers import progressing as module
from model_manager.agent.transfers.progressing import Progressing
from model_manager.bus.publishing import Bus
from model_manager.errors import BusUnavailable
from model_manager.facts.event import DownloadStarted, RootBack
from model_manager.facts.plan import Fetch, Plan
from model_manager.facts.transfer import Phase, Total, Transfer
from tests.agent.stage import Stage, model, running, turns, until, wanted

COMING = wanted(model("vae/a.safetensors", b"x" * 100))
PATH = COMING.model.path


class Heard:
    """A bus that keeps what it is told."""

    def __init__(self) -> None:
        self.progress_told: list[tuple[Sequence[Transfer], Total | None]] = []
        self.away = False

    async def progress(self, transfers: Sequence[Transfer], total: Total | None = None) -> None:
        if self.away:
            raise BusUnavailable(why="gone")
        self.progress_told.append((transfers, total))

    async def scan_status(self, fields: Any) -> None:
        self.scan = fields


@pytest.fixture
def heard(scene: Stage, monkeypatch: pytest.MonkeyPatch) -> Heard:
    monkeypatch.setattr(module, "LOOK", 0.005)
    monkeypatch.setattr(module, "TOLD", 0.005)
    scene.board.plan = Plan(generation="g", steps=(Fetch(wanted=COMING, bytes=100),))
    return Heard()


def progressing(scene: Stage, heard: Heard) -> Progressing:
    return Progressing(scene.board, scene.shelves, cast(Bus, heard))


def fetching(scene: Stage, have: int) -> None:
    scene.board.transfers[PATH] = Transfer(shelf=PATH, phase=Phase.FETCHING, bytes=have, total=100)


async def test_the_speed_of_all_together_is_on_the_board(scene: Stage, heard: Heard) -> None:
    fetching(scene, 0)
    async with running(progressing(scene, heard).run):
        await until(lambda: heard.progress_told)
        await scene.shelves.tell(
            DownloadStarted(folder=PATH.folder, name=PATH.name, url="u", total=100, resumed_at=0, attempt=1)
        )
        await turns()
        fetching(scene, 40)
        await turns()
        scene.clock.seconds += 2
        await until(lambda: scene.board.speed == 20.0)
        await until(lambda: heard.progress_told[-1][1] and heard.progress_told[-1][1].eta == 3.0)


async def test_what_stays_the_same_is_not_told_again_before_its_lease_needs_it(scene: Stage, heard: Heard) -> None:
    fetching(scene, 5)
    async with running(progressing(scene, heard).run):
        await until(lambda: heard.progress_told)
        await turns()
        assert len(heard.progress_told) == 1
        scene.clock.seconds += scene.board.settings.heartbeat_seconds
        await until(lambda: len(heard.progress_told) == 2)


async def test_what_failed_or_is_queued_is_counted_only(scene: Stage, heard: Heard) -> None:
    scene.board.transfers[PATH] = Transfer(shelf=PATH, phase=Phase.FAILED, why="404")
    async with running(progressing(scene, heard).run):
        transfers, total = (await until(lambda: heard.progress_told))[0]
    assert transfers == []
    assert total is not None
    assert (total.models, total.failed) == (1, 1)


async def test_e1_an_outage_of_redis_ends_nothing(scene: Stage, heard: Heard) -> None:
    heard.away = True
    fetching(scene, 5)
    async with running(progressing(scene, heard).run):
        await turns()
        heard.away = False
        await until(lambda: heard.progress_told)


async def test_measuring_goes_on_after_more_was_told_than_it_could_hear(
    scene: Stage, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "LISTENER_BACKLOG", 1)
    async with running(progressing(scene, heard).run):
        await until(lambda: scene.shelves._listeners)
        (first,) = scene.shelves._listeners
        for number in range(20):
            await scene.shelves.tell(RootBack(root=f"/{number}"))
        await until(lambda: scene.shelves._listeners and first not in scene.shelves._listeners)
