"""Several models from one origin on loopback that caps each connection: how many of the connections that the owner allows
bring bytes at once, whoever measures the speed meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from model_manager.agent.clock import Clock
from model_manager.agent.transfers import drawing
from model_manager.agent.transfers.downloading import Arrived, Downloading
from model_manager.facts.event import DownloadStarted
from model_manager.facts.plan import Fetch
from model_manager.library.incoming.buffers import Buffers
from model_manager.library.space import Space
from model_manager.sources.credentials import Credentials
from model_manager.sources.https import HttpsOrigin
from model_manager.sources.transport.limits import Limits
from model_manager.sources.transport.web import web
from tests.agent.stage import Stage, model, wanted
from tests.stories.machine import safetensors, sha256
from tests.stories.origin import FaultyOrigin, Reply, Request, Thing, faulty_origin

MIB = 1024 * 1024
ALLOWED = 8


class Capped:
    """128 KiB each 10 ms and connection; how many ranges are on their way at once, and how many were at most."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def __call__(self, request: Request, thing: Thing, reply: Reply) -> None:
        self.now += request.stop is not None
        self.most = max(self.most, self.now)
        try:
            await reply.honest(request, thing, pause=0.01, piece=128 * 1024)
        finally:
            self.now -= request.stop is not None


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decisions and spans for files of some megabytes."""
    monkeypatch.setattr(drawing, "LOOK", 0.02)
    monkeypatch.setattr(drawing, "FIRST_WAIT", 0.01)
    monkeypatch.setattr("model_manager.agent.transfers.gauge.MEASURED", 0.1)
    monkeypatch.setattr("model_manager.agent.transfers.widths.LOOK", 0.02)
    monkeypatch.setattr("model_manager.agent.transfers.widths.WORTH", 0.1)
    monkeypatch.setattr("model_manager.decisions.spanning.SHORTEST", 2 * MIB)


async def arrived(scene: Stage, origin: FaultyOrigin, capped: Capped, count: int, size: int) -> list[Arrived]:
    """So many models at once, over at most ALLOWED connections."""
    scene.configure(MODEL_DOWNLOAD_CONNECTIONS=f"*={ALLOWED}")
    settings, data = scene.board.settings, [safetensors(size, number) for number in range(count)]
    wishes = [
        model(f"vae/{number}.safetensors", content, url=origin.put(f"{number}", content, capped))
        for number, content in enumerate(data)
    ]
    limits = Limits(settings.quotas)
    async with web(Credentials(), allow=[origin.host], limits=limits) as net, asyncio.TaskGroup() as group:
        origins = (HttpsOrigin(net),)
        downloading = Downloading(origins, scene.root, Space(0), Clock(), lambda: settings, Buffers())
        tasks = [
            group.create_task(
                downloading.attempt(Fetch(wanted=wanted(wish), bytes=0), wish.sources[0], 1, lambda _: None, _told)
            )
            for wish in wishes
        ]
    return [task.result() for task in tasks]


async def _told(event: DownloadStarted) -> None:
    """Nobody listens."""


@pytest.mark.parametrize(("count", "size", "ranges"), [(1, 64 * MIB, 8), (4, 24 * MIB, 8), (5, 24 * MIB, 6)])
@pytest.mark.usefixtures("hasty")
async def test_every_connection_that_is_allowed_brings_a_range_of_some_model(
    scene: Stage, count: int, size: int, ranges: int
) -> None:
    """Of five models three get two of the eight, and the others read on what they opened."""
    capped = Capped()
    async with faulty_origin() as origin:
        brought = await arrived(scene, origin, capped, count, size)
    assert [one.verified.sha256 for one in brought] == [sha256(safetensors(size, number)) for number in range(count)]
    assert capped.most == ranges
