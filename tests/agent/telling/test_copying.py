from __future__ import annotations

from collections.abc import Sequence

import pytest

from model_manager.agent.holdings import shelves as backlog
from model_manager.agent.telling import copying as module
from model_manager.agent.telling.copying import Copying
from model_manager.errors import BusUnavailable
from model_manager.facts.event import DownloadFailed, DownloadStarted, DownloadVerified, RootBack
from model_manager.facts.telemetry import Telemetry
from tests.agent.stage import Stage, running, turns, until

BEGAN = DownloadStarted(folder="vae", name="a.pt", url="https://civitai.com/x", total=5, resumed_at=0, attempt=1)
BROKEN = DownloadFailed(folder="vae", name="a.pt", reason="no", attempt=1, final=False, retry_at="")
DONE = DownloadVerified(folder="vae", name="a.pt", size=5, sha256="", evidence="pin", fetched=5, seconds=1.0)


class Dashboard:
    def __init__(self) -> None:
        self.told: list[Telemetry] = []
        self.away = False

    async def copy(self, told: Sequence[Telemetry]) -> None:
        if self.away:
            raise BusUnavailable(why="away")
        self.told += told

    def of(self, kind: str) -> list[Telemetry]:
        return [each for each in self.told if each.eventType == kind]


@pytest.fixture
def dashboard(monkeypatch: pytest.MonkeyPatch) -> Dashboard:
    monkeypatch.setattr(module, "BREATH", 0.01)
    return Dashboard()


async def test_every_event_is_copied_once_and_a_download_remembers_where_it_began(
    scene: Stage, dashboard: Dashboard
) -> None:
    async with running(Copying(scene.board, scene.shelves, dashboard.copy).run):
        await turns(2)
        await scene.shelves.tell(BEGAN, BROKEN)
        await scene.shelves.tell(DONE)
        await until(lambda: dashboard.of("model.download.verified"))
    kinds = [each.eventType for each in dashboard.told]
    assert kinds == ["model.download.started", "model.download.failed", "model.download.verified"]
    assert {each.data["source"] for each in dashboard.told} == {"civitai"}


async def test_the_inventory_is_told_when_it_is_known_and_when_it_changed(scene: Stage, dashboard: Dashboard) -> None:
    async with running(Copying(scene.board, scene.shelves, dashboard.copy).run):
        await turns(3)
        assert not dashboard.told
        scene.board.scanned = True
        await until(lambda: dashboard.told)
        await scene.holds("vae/a.safetensors")
        await until(lambda: len(dashboard.of("model_inventory_updated")) == 2)
        await turns(3)
    counts = [each.data["models"].total_count for each in dashboard.of("model_inventory_updated")]
    assert counts == [0, 1]


async def test_e1_an_outage_is_said_once_and_the_inventory_is_told_after_it(
    scene: Stage, dashboard: Dashboard, logged: list[str]
) -> None:
    dashboard.away = scene.board.scanned = True
    async with running(Copying(scene.board, scene.shelves, dashboard.copy).run):
        await until(lambda: any("copies" in line for line in logged))
        await turns(5)
        dashboard.away = False
        await until(lambda: dashboard.of("model_inventory_updated"))
    assert sum("copies" in line for line in logged) == 1


async def test_who_was_dropped_for_being_slow_listens_again(
    scene: Stage, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "LISTENER_BACKLOG", 2)
    async with running(Copying(scene.board, scene.shelves, dashboard.copy).run):
        await turns(2)
        for _ in range(5):
            await scene.shelves.tell(RootBack(root="/m"))

        async def heard() -> bool:
            await scene.shelves.tell(BEGAN)
            return bool(dashboard.of("model.download.started"))

        await until(heard)
