"""The catalog's own word of its changes: who it concerns looks at once, nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from model_manager.agent.assignment import hearing as module
from model_manager.agent.assignment.hearing import Hearing
from model_manager.agent.assignment.wanting import Wanting
from model_manager.errors import CatalogUnreachable, ModelManagerError, NotAuthorized, NotFound
from model_manager.sources.catalog_cache import CachedCatalog
from model_manager.sources.catalog_feed import Heard
from tests.agent.assignment.test_wanting import Catalog
from tests.agent.stage import Stage, running, until

AWAY = CatalogUnreachable(host="catalog:80", why="it hung up")
ABSENT = NotFound(where="the catalog", name="/changes/stream")
REFUSED = NotAuthorized(host="catalog:80", status=401, name="catalog", why="it wants a key", token="EMPROPS_API_KEY")


def said(cursor: str, *subjects: str) -> Heard:
    return Heard(cursor=cursor, subjects=frozenset(subjects))


class Feed:
    """What it says, connection by connection; then it is silent."""

    def __init__(self, *connections: list[Heard | ModelManagerError]) -> None:
        self.connections = list(connections)
        self.cursors: list[str] = []

    async def __call__(self, cursor: str) -> AsyncIterator[Heard]:
        self.cursors.append(cursor)
        for each in self.connections.pop(0) if self.connections else []:
            if isinstance(each, ModelManagerError):
                raise each
            yield each
        if not self.connections:
            await until(lambda: False)


@pytest.fixture
async def wanting(scene: Stage) -> Wanting:
    scene.configure(WORKFLOW_IDS="w,absent")
    made = Wanting(scene.board, scene.shelves, CachedCatalog(Catalog(), scene.state / "cache"), scene.state)
    await made.look()
    return made


async def rung(scene: Stage) -> bool:
    return await scene.board.bells.wanting.wait(0)


@pytest.mark.parametrize(
    ("subjects", "rings"),
    [
        (None, True),
        ({"w"}, True),
        ({"some-id", "a.safetensors"}, True),
        ({"absent"}, True),
        ({"v", "b.safetensors"}, False),
        (set(), False),
    ],
)
async def test_only_what_concerns_this_machine_is_looked_at(scene: Stage, wanting: Wanting, subjects, rings) -> None:
    wanting.hear(None if subjects is None else frozenset(subjects))
    assert await rung(scene) is rings


async def test_until_the_first_description_anything_may_concern_us(scene: Stage) -> None:
    fresh = Wanting(scene.board, scene.shelves, CachedCatalog(Catalog(), scene.state / "cache"), scene.state)
    fresh.hear(frozenset({"whatever"}))
    assert await rung(scene)


async def test_what_happened_before_the_first_word_is_looked_at_too(scene: Stage, wanting: Wanting) -> None:
    async with running(Hearing(scene.board, wanting, Feed([said("e-1")])).run):
        await until(lambda: wanting.fed)
        assert await scene.board.bells.wanting.wait(20)


async def test_it_goes_on_where_it_was_and_misses_nothing(scene: Stage, wanting: Wanting, monkeypatch) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.01)
    feed = Feed([said("e-1"), said("e-2", "v")], [AWAY], [said("e-3", "w")])
    async with running(Hearing(scene.board, wanting, feed).run):
        await until(lambda: len(feed.cursors) == 3)
    assert feed.cursors == ["", "e-2", "e-2"]


@pytest.mark.parametrize("failure", [ABSENT, REFUSED])
async def test_without_a_feed_the_catalog_is_polled_as_ever(
    scene: Stage, wanting: Wanting, monkeypatch, failure
) -> None:
    monkeypatch.setattr(module, "ABSENT", 0.01)
    feed = Feed([failure], [failure], [failure])
    async with running(Hearing(scene.board, wanting, feed).run):
        await until(lambda: len(feed.cursors) >= 3)
    assert not wanting.fed
