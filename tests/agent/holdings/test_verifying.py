from __future__ import annotations

import asyncio
import os
import threading
import time
from dataclasses import replace

import pytest

from model_manager.agent.control.status import problems
from model_manager.agent.holdings.verifying import Verifying
from model_manager.decisions.digesting import EVERYTHING, QUICKEST
from model_manager.facts.disk import Diff, Held
from model_manager.facts.event import ModelChanged
from model_manager.facts.identity import Digests
from model_manager.index.reading import Shop
from model_manager.library.contents import readers as reading_pool
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


async def test_c12_a_byte_that_was_read_wrong_once_is_no_rot_and_is_told(scene: Stage, monkeypatch, logged) -> None:
    held = await scene.holds(A, DATA)
    asked: list[frozenset[str]] = []
    real = reading_pool.digest_file

    def once_wrong(file: str, algorithms: frozenset, **more: object):
        asked.append(algorithms)
        mark, digests = real(file, algorithms, **more)
        return mark, replace(digests, blake3="e" * 64) if len(asked) == 1 else digests

    monkeypatch.setattr(reading_pool, "digest_file", once_wrong)
    verifying = Verifying(scene.board, scene.shelves, scene.readers)
    verifying.ask()
    await verifying.verify()
    assert scene.shelves.held[held.file].verified
    assert asked == [QUICKEST, EVERYTHING]
    assert any("read otherwise" in line for line in logged)
    assert not any("rotted" in line for line in logged)


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
    assert verifying.unread.keys() == {gone.file}
    assert any("1 files could not be read again" in line for line in problems(scene.board))
    with Shop.open(scene.state / "index.sqlite") as shop:
        assert [each.file for each in shop.listing() if each.trouble] == [gone.file]


async def test_a_file_that_left_or_changed_since_somebody_asked_is_counted_as_unread(scene: Stage) -> None:
    held = await scene.holds(A, DATA)
    left = await scene.holds("vae/left.safetensors", DATA)
    verifying = Verifying(scene.board, scene.shelves, scene.readers)
    verifying.ask()
    await scene.shelves.change(Diff(vanished=(left,)))
    scene.put(A, DATA + b"more")
    await verifying.verify()
    assert verifying.unread.keys() == {left.file, held.file}


async def test_asking_twice_reads_once_and_unread_files_are_left_out(scene: Stage) -> None:
    await scene.holds(A, DATA)
    await scene.holds("loras/new.safetensors", DATA, hashed=False, evidence=None)
    verifying = Verifying(scene.board, scene.shelves, scene.readers)
    assert verifying.ask() == 1
    assert verifying.ask() == 1


OLD, OLDER = "2020-01-02T00:00:00.000Z", "2020-01-01T00:00:00.000Z"


async def seen_at(scene: Stage, place: str, at: str) -> Held:
    held = replace(await scene.holds(place, safetensors(5000, len(place))), verified_at=at)
    await scene.shelves.enter(held)
    return held


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files in the order in which they are read."""
    order: list[str] = []
    real = reading_pool.digest_file

    def noted(file: str, *args: object, **more: object):
        order.append(os.path.basename(file))
        return real(file, *args, **more)

    monkeypatch.setattr(reading_pool, "digest_file", noted)
    return order


async def test_only_the_files_that_were_asked_for_are_read(scene: Stage, reading: list[str]) -> None:
    asked = await seen_at(scene, A, OLD)
    await seen_at(scene, "loras/b.safetensors", OLD)
    verifying = Verifying(scene.board, scene.shelves, scene.readers)
    assert verifying.ask([asked.file, "/no/such/file"]) == 1
    await verifying.verify()
    assert reading == ["a.safetensors"]


async def test_c12_the_scrub_reads_what_was_read_longest_ago_first_and_leaves_what_was_read_lately(
    scene: Stage, reading: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene.clock, "later", lambda seconds: "2025-12-03T03:04:05.000Z")
    await seen_at(scene, A, OLD)
    await seen_at(scene, "loras/older.safetensors", OLDER)
    await scene.holds("loras/fresh.safetensors", DATA)
    await scene.holds("loras/unread.safetensors", DATA, hashed=False, evidence=None)
    await Verifying(scene.board, scene.shelves, scene.readers).scrub()
    assert reading == ["older.safetensors", "a.safetensors"]
    assert {held.verified_at for held in scene.shelves.held.values() if held.verified} == {AT}


async def test_the_scrub_asks_how_many_days_the_settings_say(scene: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    monkeypatch.setattr(scene.clock, "later", lambda seconds: asked.append(seconds) or OLDER)
    scene.configure(MODEL_MANAGER_SCRUB_DAYS="2.5")
    await Verifying(scene.board, scene.shelves, scene.readers).scrub()
    assert asked == [-2.5 * 86_400]


async def test_c12_rot_that_the_scrub_finds_is_told_and_the_file_is_verified_no_more(scene: Stage, logged) -> None:
    held = await seen_at(scene, A, OLD)
    file = scene.put(A, ROTTEN)
    os.utime(file, ns=(held.fingerprint.mtime_ns, held.fingerprint.mtime_ns))
    await Verifying(scene.board, scene.shelves, scene.readers).scrub()
    assert not scene.shelves.held[held.file].verified
    assert not (await scene.told(ModelChanged))[-1].models[0].verified
    assert any("rotted on disk" in line for line in logged)


async def test_the_scrub_goes_at_its_own_pace_which_a_reload_changes(scene: Stage, monkeypatch) -> None:
    rates: list[object] = []
    monkeypatch.setattr(scene.readers, "set_rate", lambda haste, rate: rates.append((haste, rate)))
    verifying = Verifying(scene.board, scene.shelves, scene.readers)
    await verifying.scrub()
    scene.configure(MODEL_MANAGER_SCRUB_RATE="7MB")
    await verifying.scrub()
    assert rates == [("scrub", 50_000_000), ("scrub", 7_000_000)]


async def test_zero_days_mean_that_nothing_is_ever_scrubbed(scene: Stage, reading: list[str]) -> None:
    await seen_at(scene, A, OLDER)
    scene.configure(MODEL_MANAGER_SCRUB_DAYS="0")
    await Verifying(scene.board, scene.shelves, scene.readers).scrub()
    assert reading == []


async def test_c10_nothing_is_scrubbed_in_a_directory_that_is_away(scene: Stage, reading: list[str]) -> None:
    await seen_at(scene, A, OLDER)
    scene.board.lost_roots[str(scene.store)] = "it does not exist"
    await Verifying(scene.board, scene.shelves, scene.readers).scrub()
    assert reading == []


async def test_the_scrub_lets_go_of_a_long_file_when_somebody_asks_for_another(
    scene: Stage, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    real, begun = reading_pool.digest_file, threading.Event()

    def endless(file: str, *args: object, cancelled, **more: object):
        if file.endswith("long.safetensors"):
            begun.set()
            while not cancelled():
                time.sleep(0.001)
        return real(file, *args, cancelled=cancelled, **more)

    monkeypatch.setattr(reading_pool, "digest_file", endless)
    long = await seen_at(scene, "loras/long.safetensors", OLDER)
    asked = await seen_at(scene, A, OLD)
    verifying = Verifying(scene.board, scene.shelves, scene.readers)
    async with asyncio.TaskGroup() as group:
        group.create_task(verifying.scrub())
        await until(begun.is_set)
        verifying.ask([asked.file])
    await verifying.verify()
    assert scene.shelves.held[asked.file].verified_at == AT
    assert scene.shelves.held[long.file] == long
    assert not any("could not be verified" in line for line in logged)
