from __future__ import annotations

import asyncio
import os

import pytest

from model_manager.agent import hashing as module
from model_manager.agent.hashing import Hashing
from model_manager.decisions.planning import plan
from model_manager.errors import DiskUnavailable
from model_manager.facts.event import ModelAppeared, ModelChanged
from model_manager.facts.model import Model
from tests.agent.stage import Stage, model, needs, running, turns, until
from tests.stories.machine import safetensors, sha256

A, B = "vae/a.safetensors", "loras/b.safetensors"
DATA = safetensors(5000)
UNREAD = {"hashed": False, "evidence": None}


def hashing(scene: Stage, *models: Model) -> Hashing:
    scene.board.plan = plan(needs(*models), scene.shelves.held.values())
    return Hashing(scene.board, scene.shelves)


def known(scene: Stage, place: str):
    return scene.shelves.held[str(scene.store / place)]


async def test_what_nobody_knows_is_read_whole_and_judged_by_its_content(scene: Stage) -> None:
    await scene.holds(A, DATA, **UNREAD)
    async with running(hashing(scene).run):
        await until(lambda: known(scene, A).digests)
    assert known(scene, A).digests.sha256 == sha256(DATA)
    assert known(scene, A).evidence == "content"


async def test_a_file_that_is_no_model_is_hashed_and_not_verified(scene: Stage) -> None:
    await scene.holds(A, b"<html>login</html>", **UNREAD)
    async with running(hashing(scene).run):
        await until(lambda: known(scene, A).digests)
    assert not known(scene, A).verified


async def test_what_is_required_is_judged_by_its_pin(scene: Stage) -> None:
    await scene.holds(A, DATA, **UNREAD)
    async with running(hashing(scene, model(A, DATA)).run):
        await until(lambda: known(scene, A).digests)
    assert (known(scene, A).evidence, known(scene, A).against) == ("pin", f"sha256|blake3:{sha256(DATA)}")


async def test_another_file_in_a_required_place_is_not_verified_and_said_so(scene: Stage, logged: list[str]) -> None:
    await scene.holds(A, safetensors(5000, 7), **UNREAD)
    async with running(hashing(scene, model(A, DATA)).run):
        await until(lambda: known(scene, A).digests)
    assert not known(scene, A).verified
    assert any("not this model" in line for line in logged)


async def test_what_is_required_is_read_before_the_rest(scene: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real = module.digest_file

    def noted(file: str, *args: object, **more: object):
        order.append(os.path.basename(file))
        return real(file, *args, **more)

    monkeypatch.setattr(module, "digest_file", noted)
    await scene.holds(B, DATA, **UNREAD)
    await scene.holds(A, DATA, **UNREAD)
    async with running(hashing(scene, model(A, DATA)).run):
        await until(lambda: known(scene, B).digests and known(scene, A).digests)
    assert order == ["a.safetensors", "b.safetensors"]


async def test_many_small_files_are_one_change(scene: Stage) -> None:
    for number in range(10):
        await scene.holds(f"loras/{number}.safetensors", DATA, **UNREAD)
    async with running(hashing(scene).run):
        await until(lambda: all(held.digests for held in scene.shelves.held.values()))
    assert len(await scene.told(ModelChanged)) <= 3
    assert len(await scene.told(ModelAppeared)) == 10


async def test_h3_a_file_that_changed_meanwhile_is_left_to_who_notices(scene: Stage) -> None:
    held = await scene.holds(A, DATA, **UNREAD)
    scene.put(A, DATA + b"more")
    async with running(hashing(scene).run):
        await until(lambda: scene.board.suspects)
        await turns()
    assert known(scene, A) == held
    assert scene.board.suspects == {held.file}


async def test_a_file_that_cannot_be_read_is_tried_again_after_a_while(scene: Stage, monkeypatch, logged) -> None:
    tries: list[str] = []
    real = module.digest_file

    def failing(file: str, *args: object, **more: object):
        tries.append(file)
        if len(tries) == 1:
            raise DiskUnavailable(doing="read", path=file, why="Input/output error")
        return real(file, *args, **more)

    monkeypatch.setattr(module, "digest_file", failing)
    await scene.holds(A, DATA, **UNREAD)
    async with running(hashing(scene).run):
        await until(lambda: tries)
        scene.board.bells.hashing.ring()
        await turns()
        assert len(tries) == 1
        scene.clock.seconds += module.AGAIN
        scene.board.bells.hashing.ring()
        await until(lambda: known(scene, A).digests)
    assert any("Input/output error" in line for line in logged)


async def test_c10_nothing_is_read_in_a_directory_that_is_away(scene: Stage) -> None:
    await scene.holds(A, DATA, **UNREAD)
    scene.board.lost_roots[str(scene.store)] = "it does not exist"
    async with running(hashing(scene).run):
        await turns()
        assert known(scene, A).digests is None
        scene.board.lost_roots.clear()
        scene.board.bells.hashing.ring()
        await until(lambda: known(scene, A).digests)


async def test_a_reading_that_is_stopped_ends_at_once_and_leaves_no_trace(scene: Stage) -> None:
    large = scene.put(A, b"")
    with large.open("wb") as file:
        file.truncate(20_000_000_000)
    await scene.shelves.enter(scene.held(A, hashed=False, evidence=None))
    loop = asyncio.get_running_loop().create_task(hashing(scene).run())
    await until(lambda: scene.board.hashing)
    loop.cancel()
    await asyncio.wait([loop], timeout=10)
    assert loop.cancelled()
    assert scene.board.hashing == ""
    assert known(scene, A).digests is None
