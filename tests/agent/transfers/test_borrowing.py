from __future__ import annotations

import os
from pathlib import Path

import pytest

from model_manager.agent.holdings.hashing import Hashing
from model_manager.agent.transfers import borrowing as module
from model_manager.agent.transfers.borrowing import Borrowing
from model_manager.decisions.planning import plan
from model_manager.facts.disk import Held
from model_manager.facts.identity import Pin
from model_manager.facts.model import Model
from model_manager.facts.plan import Fetch, Keep, Link, Step
from model_manager.library.incoming.placing import link
from tests.agent.stage import Stage, model, needs, running, until
from tests.stories.machine import safetensors, sha256

DATA = safetensors(5000)
A = model("vae/a.safetensors", DATA)


class Cache:
    """HuggingFace's cache beside the store, and who looks into it."""

    def __init__(self, scene: Stage) -> None:
        self.scene = scene
        self.path = scene.store.parent / "hub"
        self.borrowing = Borrowing(scene.board, scene.shelves, str(self.path))

    def put(self, data: bytes, name: str = "") -> Path:
        file = self.path / "models--o--n" / "blobs" / (name or sha256(data))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return file

    async def step(self, wanted: Model = A) -> Step:
        """What the agent would do now, after a look."""
        scene = self.scene
        scene.board.requirements = needs(wanted)
        await self.borrowing.look()
        scene.board.plan = plan(needs(wanted), scene.shelves.relevant(needs(wanted)))
        return scene.board.plan.steps[0]

    async def read(self) -> None:
        """Let the candidates of the plan be read."""
        waiting = [held.file for step in self.scene.board.plan.steps for held in step.candidates]
        async with running(Hashing(self.scene.board, self.scene.shelves, self.scene.index, self.scene.readers).run):
            await until(lambda: all(self.scene.shelves.lent[file].digests for file in waiting))

    def place(self, step: Link) -> Held:
        source = step.held
        path = step.wanted.model.path
        link(source.file, source.fingerprint, source.digests, self.scene.root, path)
        return self.scene.held(str(path))


@pytest.fixture
def cache(scene: Stage) -> Cache:
    return Cache(scene)


async def test_a_wanted_file_of_the_cache_is_read_and_then_linked_and_the_cache_stays(cache: Cache) -> None:
    blob = cache.put(DATA)
    before = blob.stat()
    fetch = await cache.step()
    assert isinstance(fetch, Fetch)
    assert [held.file for held in fetch.candidates] == [str(blob)]
    await cache.read()
    found = await cache.step()
    assert isinstance(found, Link)
    assert (found.held.evidence, found.held.against) == ("pin", str(A.pin))

    held = cache.place(found)
    await cache.scene.shelves.enter(held)

    assert isinstance(await cache.step(), Keep)
    assert cache.scene.shelves.lent == {}
    assert (cache.scene.store / str(A.path)).read_bytes() == DATA
    assert blob.stat().st_mtime_ns == before.st_mtime_ns
    assert sorted(os.listdir(blob.parent)) == [blob.name]


async def test_k6_a_name_proves_nothing(cache: Cache) -> None:
    cache.put(safetensors(5000, 9), sha256(DATA))
    assert (await cache.step()).waits
    await cache.read()
    step = await cache.step()
    assert isinstance(step, Fetch)
    assert not step.waits


async def test_a_blob_that_changed_since_it_was_read_is_read_again(cache: Cache) -> None:
    blob = cache.put(DATA)
    await cache.step()
    await cache.read()
    blob.write_bytes(DATA + b"more")
    step = await cache.step()
    assert isinstance(step, Fetch)
    assert [held.digests for held in step.candidates] == [None]
    blob.unlink()
    assert not (await cache.step()).waits
    assert cache.scene.shelves.lent == {}


async def test_only_what_is_pinned_by_sha256_and_missing_is_looked_for(cache: Cache, monkeypatch) -> None:
    asked: list[frozenset[str]] = []
    real = module.blobs
    monkeypatch.setattr(module, "blobs", lambda path, names: asked.append(names) or real(path, names))
    cache.put(DATA)
    for other in (
        model("vae/a.safetensors"),
        model("vae/a.safetensors", DATA, pin=Pin.parse(f"blake3:{sha256(DATA)}")),
    ):
        await cache.step(other)
    await cache.scene.holds("loras/x.safetensors", DATA)
    await cache.step()
    assert asked == []


async def test_an_empty_cache_is_searched_once_in_a_while(cache: Cache) -> None:
    assert not (await cache.step()).waits
    cache.put(DATA)
    assert not (await cache.step()).waits
    cache.scene.clock.seconds += module.AGAIN
    assert (await cache.step()).waits


async def test_nothing_is_looked_for_before_anything_is_wanted(cache: Cache) -> None:
    await cache.borrowing.look()
    assert cache.scene.shelves.lent == {}
