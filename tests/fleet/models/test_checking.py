"""The check for newer versions: against a loopback CivitAI that answers, wants quiet, lies or goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web as server

from model_manager.fleet.models import checking
from model_manager.fleet.models.checking import Checking
from model_manager.fleet.models.finding import Finding
from model_manager.fleet.models.releases import Releases
from model_manager.fleet.registry import Registry
from model_manager.fleet.store import Store
from model_manager.sources.civitai_releases import civitai_releases_at
from tests.fleet.made import Now
from tests.fleet.models.test_finding import many
from tests.sources.serving import Handler, served
from tests.sources.test_civitai_releases import Site

DEADLINE = 20.0


class Scene:
    def __init__(self, directory: Path, url: str, models: int, hours: float = 0) -> None:
        self.now = Now()
        view = many(models)
        self.store = Store(directory / "fleet.sqlite")
        self.registry = Registry(view, Finding(view), self.store)
        self.releases = Releases(directory / "releases.sqlite", self.now)
        self.checking = self.another(url, hours)

    def another(self, url: str, hours: float = 0, releases: Releases | None = None) -> Checking:
        publishing = lambda: civitai_releases_at(url, per_second=1e6)  # noqa: E731
        return Checking(self.registry, releases or self.releases, publishing, hours)

    async def told(self, numbers: Mapping[int, str]) -> None:
        places = await self.registry.places()
        await self.store.tell_all("manual", {places[n]: {"civitai_id": number} for n, number in numbers.items()})

    async def until(self, *states: str) -> Any:
        async with asyncio.timeout(DEADLINE):
            while (check := await self.releases.check()).state not in states:
                await asyncio.sleep(0.01)
        return check

    async def close(self) -> None:
        await self.store.close()
        await self.releases.close()


@asynccontextmanager
async def scene(directory: Path, handler: Handler, models: int = 60, **more: Any) -> AsyncIterator[Scene]:
    async with served(handler) as host, asyncio.TaskGroup() as group:
        made = Scene(directory, f"http://{host}", models, **more)
        task = group.create_task(made.checking.run())
        yield made
        task.cancel()
        await made.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "EVERY", 0.05)
    monkeypatch.setattr(checking, "LOOK", 0.01)
    monkeypatch.setattr(checking, "PAUSES", (0.0, 0.0, 0.0))


async def test_every_model_with_a_number_is_asked_about_once(tmp_path: Path) -> None:
    site = Site()
    async with scene(tmp_path, site) as made:
        await made.told({n: str(n) for n in range(50)} | {50: "7", 51: "none", 52: "<script>"})
        await made.checking.begin()
        check = await made.until("done")
        assert (check.total, check.fresh, check.asked, check.absent) == (49, 0, 49, 25)
        assert sorted(number for asked in site.asked for number in asked) == list(range(1, 50))
        said = made.releases.of("2")
        assert said is not None
        assert said.releases is not None
        await made.checking.begin()
        check = await made.until("done")
        assert (check.fresh, check.asked, len(site.asked)) == (49, 0, 3)
        await made.checking.begin(again=True)
        async with asyncio.timeout(DEADLINE):
            while len(site.asked) < 6:
                await asyncio.sleep(0.01)


async def test_nobody_is_asked_by_itself_unless_it_is_wished_for(tmp_path: Path) -> None:
    site = Site()
    async with scene(tmp_path, site) as made:
        await made.told({0: "2"})
        await asyncio.sleep(0.3)
        assert site.asked == []
        assert (await made.releases.check()).state == "idle"


async def test_where_it_is_wished_for_it_is_asked_every_so_many_hours(tmp_path: Path) -> None:
    site = Site()
    async with scene(tmp_path, site, hours=24) as made:
        made.now.seconds += 25 * 3600
        await made.told({0: "2"})
        await made.until("done")
        first = len(site.asked)
        made.now.seconds += 25 * 3600
        async with asyncio.timeout(DEADLINE):
            while len(site.asked) <= first:
                await asyncio.sleep(0.01)


class Shaky(Site):
    """It fails so often before it answers."""

    def __init__(self, failures: int, status: int = 503, **headers: str) -> None:
        super().__init__()
        self.left, self.status, self.more = failures, status, headers

    async def __call__(self, request: server.Request) -> server.Response:
        if self.left > 0:
            self.left -= 1
            return server.Response(status=self.status, headers={k.replace("_", "-"): v for k, v in self.more.items()})
        return await super().__call__(request)


async def test_b11_who_does_not_answer_is_asked_again_and_what_was_learnt_stays(tmp_path: Path) -> None:
    async with scene(tmp_path, Shaky(2)) as made:
        await made.told({n: str(n) for n in range(1, 5)})
        await made.checking.begin()
        check = await made.until("done", "failed")
        assert (check.state, check.asked, check.why) == ("done", 4, "")


@pytest.mark.parametrize(
    ("site", "word"),
    [(Shaky(1000), "503"), (Shaky(1000, 429, Retry_After="86400"), "429"), (Shaky(1000, 401), "CIVITAI_TOKEN")],
)
async def test_who_never_answers_ends_the_check_with_the_reason(tmp_path: Path, site: Shaky, word: str) -> None:
    async with scene(tmp_path, site) as made:
        await made.told({n: str(n) for n in range(1, 5)})
        await made.checking.begin()
        check = await made.until("failed")
        assert word in check.why
        assert site.left > 900
        site.left = 0
        await made.checking.begin()
        assert (await made.until("done", "failed")).state in ("done", "failed")


async def test_a_check_that_is_stopped_by_another_aggregator_ends_and_keeps_what_it_learnt(tmp_path: Path) -> None:
    waiting, site = asyncio.Event(), Site()

    async def slow(request: server.Request) -> server.Response:
        if site.asked:
            await waiting.wait()
        return await site(request)

    async with scene(tmp_path, slow) as made:
        await made.told({n: str(n) for n in range(1, 60)})
        await made.checking.begin()
        async with asyncio.timeout(DEADLINE):
            while not made.releases.version:
                await asyncio.sleep(0.01)
        other = Releases(tmp_path / "releases.sqlite", made.now)
        elsewhere = made.another("http://127.0.0.1:9", releases=other)
        assert (await elsewhere.begin()).state == "running", "one goes on already"
        assert (await elsewhere.stop()).state == "stopping"
        waiting.set()
        check = await made.until("stopped")
        assert check.asked == 40
        assert len(site.asked) == 2
        await other.close()
