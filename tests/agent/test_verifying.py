from __future__ import annotations

import os
from dataclasses import replace

from model_manager.agent.verifying import Verifying
from model_manager.facts.event import ModelChanged
from model_manager.facts.identity import Digests
from tests.agent.stage import AT, Stage, running, until
from tests.stories.machine import safetensors, sha256

A = "vae/a.safetensors"
DATA, ROTTEN = safetensors(5000), safetensors(5000, 9)


def finished(logged: list[str]) -> bool:
    return any("verification finished" in line for line in logged)


async def test_c12_a_file_that_rotted_is_not_verified_any_more(scene: Stage, logged: list[str]) -> None:
    held = await scene.holds(A, DATA)
    file = scene.put(A, ROTTEN)
    os.utime(file, ns=(held.fingerprint.mtime_ns, held.fingerprint.mtime_ns))
    verifying = Verifying(scene.board, scene.shelves, scene.readers)
    async with running(verifying.run):
        assert verifying.ask() == 1
        await until(lambda: finished(logged))
    now = scene.shelves.held[held.file]
    assert now.digests is not None
    assert (now.verified, now.digests.sha256) == (False, sha256(ROTTEN))
    assert any("rotted on disk" in line for line in logged)
    (told,) = await scene.told(ModelChanged)
    assert not told.models[0].verified


async def test_c12_a_file_is_compared_by_what_is_known_of_it_and_the_rest_is_learnt(scene: Stage, logged) -> None:
    held = await scene.holds(A, DATA)
    rotten = await scene.holds("vae/b.safetensors", DATA)
    await scene.shelves.enter(replace(held, digests=Digests(blake3=held.digests.blake3)))
    await scene.shelves.enter(replace(rotten, digests=Digests(blake3="e" * 64)))
    verifying = Verifying(scene.board, scene.shelves, scene.readers)
    async with running(verifying.run):
        verifying.ask()
        await until(lambda: finished(logged))
    assert scene.shelves.held[held.file] == held
    assert scene.shelves.held[rotten.file] == rotten.unjudged(rotten.digests)


async def test_a_file_that_is_as_it_was_says_when_it_was_last_seen_so(scene: Stage, logged: list[str]) -> None:
    held = await scene.holds(A, DATA)
    await scene.shelves.enter(replace(held, verified_at="2020-01-01T00:00:00.000Z"))
    verifying = Verifying(scene.board, scene.shelves, scene.readers)
    async with running(verifying.run):
        verifying.ask()
        await until(lambda: finished(logged))
    assert scene.shelves.held[held.file] == replace(held, verified_at=AT)


async def test_a_file_that_was_changed_openly_is_left_to_who_notices(scene: Stage, logged: list[str]) -> None:
    held = await scene.holds(A, DATA)
    scene.put(A, DATA + b"more")
    verifying = Verifying(scene.board, scene.shelves, scene.readers)
    async with running(verifying.run):
        verifying.ask()
        await until(lambda: finished(logged))
    assert scene.shelves.held[held.file] == held


async def test_a_file_that_cannot_be_read_is_told_and_the_others_are_read(scene: Stage, logged: list[str]) -> None:
    gone = await scene.holds("loras/gone.safetensors", DATA)
    os.unlink(gone.file)
    held = await scene.holds(A, DATA)
    await scene.shelves.enter(replace(held, verified_at="2020-01-01T00:00:00.000Z"))
    verifying = Verifying(scene.board, scene.shelves, scene.readers)
    async with running(verifying.run):
        assert verifying.ask() == 2
        await until(lambda: finished(logged))
    assert any("could not be verified" in line for line in logged)
    assert scene.shelves.held[held.file].verified_at == AT


async def test_asking_twice_reads_once_and_unread_files_are_left_out(scene: Stage) -> None:
    await scene.holds(A, DATA)
    await scene.holds("loras/new.safetensors", DATA, hashed=False, evidence=None)
    verifying = Verifying(scene.board, scene.shelves, scene.readers)
    assert verifying.ask() == 1
    assert verifying.ask() == 1
