from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from model_manager.agent.transfers import gathering as module
from model_manager.agent.transfers.downloading import Arrived
from model_manager.errors import Corrupt, OriginUnavailable
from model_manager.facts.plan import Fetch
from model_manager.facts.transfer import Phase, Transfer
from model_manager.library.incoming.buffers import BLOCK, Buffers
from model_manager.library.markers import PARTIAL
from model_manager.library.space import Space
from model_manager.sources.memory import Drop, FlakyOrigin, Hang, Step, Thing
from tests.agent.stage import Stage, model, until, wanted
from tests.stories.machine import safetensors

PLACE = "vae/small.safetensors"
DATA = safetensors(5 * BLOCK + 12_345)
ETAG = '"one"'


class Lingering(FlakyOrigin):
    """It waits before the bytes at `at` until it is let go on."""

    def __init__(self, things: dict[str, Thing], script: tuple[Step, ...] = (), at: int = 0) -> None:
        super().__init__(things, script)
        self._at = at
        self.go_on = asyncio.Event()

    async def _pieces(self, data: bytes) -> AsyncIterator[bytes]:
        async for piece in super()._pieces(data):
            if self.sent > self._at:
                await self.go_on.wait()
            yield piece


class Bringing:
    def __init__(self, scene: Stage, *script: Step, at: int = 1 << 40, blocks: int = 64) -> None:
        self.model = model(PLACE, DATA)
        self.origin = Lingering({self.model.sources[0].url: Thing(data=DATA, etag=ETAG)}, script, at)
        self.buffers = Buffers(blocks)
        self.downloading = scene.downloading(self.origin)
        self.downloading._buffers = self.buffers
        self.downloading._space = Space(0)
        self.reports: list[Transfer] = []
        self.moved: list[Phase] = []
        self.folder = scene.store / PARTIAL
        self.final = scene.store / PLACE

    async def __call__(self, number: int = 1) -> Arrived:
        step = Fetch(wanted=wanted(self.model), bytes=0)
        source = self.model.sources[0]
        return await self.downloading.attempt(
            step,
            source,
            number,
            self.reports.append,
            self._tell,
            moved=lambda: self.moved.append(self.reports[-1].phase),
        )

    async def _tell(self, _: object) -> None:
        """Nobody listens."""

    @property
    def on_disk(self) -> int:
        return max((part.stat().st_size for part in self.folder.glob("*.part")), default=0)

    @property
    def journals(self) -> list[Path]:
        return list(self.folder.glob("*.json"))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)


async def test_a_short_object_frees_the_line_when_its_last_byte_came(scene: Stage) -> None:
    bringing = Bringing(scene)
    await bringing()
    assert bringing.moved == [Phase.VERIFYING]
    assert bringing.final.read_bytes() == DATA
    assert bringing.buffers.free == 64


async def test_nothing_is_on_the_disk_before_a_short_object_is_whole(
    scene: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 60.0)
    bringing = Bringing(scene, at=4 * BLOCK)
    task = asyncio.get_running_loop().create_task(bringing())
    await until(lambda: bringing.origin.sent > 4 * BLOCK)
    assert (bringing.on_disk, bringing.journals) == (0, [])
    bringing.origin.go_on.set()
    await task
    assert bringing.final.read_bytes() == DATA


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("at", [0, 100_000, BLOCK + 1, 4 * BLOCK, 5 * BLOCK])
async def test_d1_what_lingers_is_written_as_it_comes(scene: Stage, at: int) -> None:
    bringing = Bringing(scene, at=at)
    task = asyncio.get_running_loop().create_task(bringing())
    await until(lambda: bringing.journals and bringing.on_disk >= at // BLOCK * BLOCK)
    bringing.origin.go_on.set()
    arrived = await task
    assert bringing.final.read_bytes() == DATA
    assert arrived.verified.fetched == bringing.origin.sent == len(DATA)
    assert bringing.moved == []
    assert bringing.buffers.free == 64


async def test_many_that_lack_memory_come_all_the_same(scene: Stage) -> None:
    bringing = Bringing(scene, blocks=3)
    await bringing()
    assert bringing.final.read_bytes() == DATA
    assert bringing.buffers.free == 3


@pytest.mark.parametrize("after", [500, 100_000, 3 * BLOCK + 5])
async def test_a1_what_came_of_a_short_object_before_a_break_is_kept(scene: Stage, after: int) -> None:
    bringing = Bringing(scene, Drop(after=after))
    with pytest.raises(OriginUnavailable):
        await bringing()
    assert bringing.buffers.free == 64
    arrived = await bringing(2)
    resumed = bringing.origin.opened[1][1]
    assert resumed == (after if after >= 1024 else 0)
    assert arrived.verified.fetched == len(DATA) - resumed
    assert bringing.final.read_bytes() == DATA


@pytest.mark.usefixtures("hasty")
async def test_a1_a_break_after_the_take_over_keeps_what_came(scene: Stage) -> None:
    bringing = Bringing(scene, Drop(after=4 * BLOCK + 99), at=3 * BLOCK)
    task = asyncio.get_running_loop().create_task(bringing())
    await until(lambda: bringing.on_disk >= 3 * BLOCK)
    bringing.origin.go_on.set()
    with pytest.raises(OriginUnavailable):
        await task
    await bringing(2)
    assert bringing.origin.opened[1][1] == 4 * BLOCK + 99
    assert bringing.final.read_bytes() == DATA


@pytest.mark.parametrize("taken_over", [False, True])
async def test_i4_a_cancel_keeps_what_came(scene: Stage, taken_over: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05 if taken_over else 60.0)
    bringing = Bringing(scene, Hang(after=3 * BLOCK + 99))
    task = asyncio.get_running_loop().create_task(bringing())
    await until(lambda: bringing.origin.sent == 3 * BLOCK + 99 and (not taken_over or bringing.on_disk >= 3 * BLOCK))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bringing.buffers.free == 64
    await bringing(2)
    assert bringing.origin.opened[1][1] >= 3 * BLOCK
    assert bringing.final.read_bytes() == DATA


async def test_b9_a_web_page_that_is_short_leaves_nothing(scene: Stage) -> None:
    bringing = Bringing(scene)
    page = b"<!DOCTYPE html><title>Sign in</title>" + bytes(len(DATA))
    bringing.origin.things[bringing.model.sources[0].url] = Thing(data=page[: len(DATA)], etag=ETAG)
    with pytest.raises(Corrupt, match="web page"):
        await bringing()
    assert (bringing.on_disk, bringing.journals, bringing.buffers.free) == (0, [], 64)
