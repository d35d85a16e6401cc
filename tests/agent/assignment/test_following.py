from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from model_manager.agent.assignment import following as module
from model_manager.agent.assignment.following import Following
from model_manager.agent.assignment.wanting import Wanting
from model_manager.bus.assignments import Pushed, push, pushed
from model_manager.bus.connection import connect
from model_manager.bus.keys import Keys
from model_manager.errors import BadRecord, BusUnavailable
from model_manager.facts.identity import MachineId
from model_manager.facts.model import Assignment
from model_manager.sources.catalog_cache import CachedCatalog
from tests.agent.assignment.test_wanting import Catalog
from tests.agent.stage import Stage, running, until
from tests.bus.servers import Server

FLUX, SDXL = Assignment(workflows=("flux",)), Assignment(workflows=("sdxl",))
Said = Pushed | BadRecord | BusUnavailable | None


@pytest.fixture
def wanting(scene: Stage) -> Wanting:
    return Wanting(scene.board, scene.shelves, CachedCatalog(Catalog(), scene.state / "cache"), scene.state)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server("valkey")
    yield made
    made.close()


class Script:
    """What Redis says, connection by connection; then it is silent."""

    def __init__(self, *connections: list[Said]) -> None:
        self.connections = list(connections)
        self.begun = 0

    async def __call__(self) -> AsyncIterator[Pushed | BadRecord | None]:
        self.begun += 1
        for said in self.connections.pop(0) if self.connections else []:
            if isinstance(said, BusUnavailable):
                raise said
            yield said
        await until(lambda: False)


async def followed(scene: Stage, wanting: Wanting, *connections: list[Said], monkeypatch: pytest.MonkeyPatch) -> Script:
    monkeypatch.setattr(module, "AGAIN", 0.01)
    script = Script(*connections)
    async with running(Following(scene.board, wanting, script).run):
        await until(lambda: script.begun >= max(1, len(connections)) and not script.connections)
    return script


async def test_what_is_pushed_is_wanted(scene: Stage, wanting: Wanting, monkeypatch) -> None:
    await followed(scene, wanting, [Pushed(FLUX, "add"), Pushed(SDXL, "replace")], monkeypatch=monkeypatch)
    assert wanting.assignment() == SDXL


async def test_what_cannot_be_read_keeps_the_last_one_and_is_told(scene: Stage, wanting: Wanting, monkeypatch) -> None:
    bad = BadRecord(name="machine:m1:assignment", why="it names nothing")
    await followed(scene, wanting, [Pushed(FLUX, "replace"), bad], monkeypatch=monkeypatch)
    assert wanting.assignment() == FLUX
    assert "it names nothing" in scene.board.pushed_error


async def test_a_good_one_after_it_clears_the_complaint(scene: Stage, wanting: Wanting, monkeypatch) -> None:
    bad = BadRecord(name="machine:m1:assignment", why="it names nothing")
    await followed(scene, wanting, [bad, Pushed(FLUX, "add")], monkeypatch=monkeypatch)
    assert scene.board.pushed_error == ""


async def test_e1_silence_and_absence_narrow_nothing(scene: Stage, wanting: Wanting, monkeypatch) -> None:
    away = BusUnavailable(why="connection refused")
    script = await followed(scene, wanting, [Pushed(FLUX, "replace"), away], [away], [None], monkeypatch=monkeypatch)
    assert script.begun == 3
    assert wanting.assignment() == FLUX


async def test_a_push_through_a_real_server_arrives(
    scene: Stage, wanting: Wanting, server: Server, tmp_path: Path
) -> None:
    redis, machine = connect(server.url), MachineId.parse("m1")
    following = Following(scene.board, wanting, lambda: pushed(redis, Keys(""), machine, every=0.05))
    async with running(following.run):
        await push(redis, Keys(""), machine, FLUX, "replace")
        await until(lambda: wanting.assignment() == FLUX)
    await redis.aclose()
