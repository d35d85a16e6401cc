from __future__ import annotations

import asyncio
import os
import threading
import time
from dataclasses import replace

import pytest

from model_manager.agent.holdings import hashing as module
from model_manager.agent.holdings.hashing import Hashing
from model_manager.decisions.planning import plan
from model_manager.errors import DiskUnavailable, StillChanging, Stopped
from model_manager.facts.disk import Held
from model_manager.facts.event import ModelAppeared, ModelChanged
from model_manager.facts.identity import Digests, Pin
from model_manager.facts.model import Model
from model_manager.facts.plan import Fetch, Link
from model_manager.index.reading import Shop
from model_manager.library.contents import readers as reading_pool
from model_manager.library.contents.sampling import quick_hash
from tests.agent.stage import AT, Stage, model, needs, running, turns, until
from tests.stories.machine import safetensors, sha256

A, B = "vae/a.safetensors", "loras/b.safetensors"
DATA = safetensors(5000)
UNREAD = {"hashed": False, "evidence": None}


def hashing(scene: Stage, *models: Model) -> Hashing:
    scene.board.plan = plan(needs(*models), scene.shelves.held.values())
    return Hashing(scene.board, scene.shelves, scene.index, scene.readers)


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


def candidates(scene: Stage) -> tuple[Held, ...]:
    """What the download of A would wait for, as a plan of this moment has it."""
    asked = needs(model(A, DATA))
    return tuple(
        held
        for step in plan(asked, scene.shelves.relevant(asked)).steps
        if isinstance(step, Fetch)
        for held in step.candidates
    )


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


async def test_what_is_required_is_read_before_the_rest(scene: Stage, reading: list[str]) -> None:
    await scene.holds(B, DATA, **UNREAD)
    await scene.holds(A, DATA, **UNREAD)
    async with running(hashing(scene, model(A, DATA)).run):
        await until(lambda: known(scene, B).digests and known(scene, A).digests)
    assert reading == ["a.safetensors", "b.safetensors"]


async def test_of_what_is_waited_for_the_small_is_read_first(scene: Stage, reading: list[str]) -> None:
    large = safetensors(50_000)
    await scene.holds(A, large, **UNREAD)
    await scene.holds(B, DATA, **UNREAD)
    async with running(hashing(scene, model(A, large), model("vae/c.safetensors", DATA)).run):
        await until(lambda: known(scene, A).digests)
    assert reading == ["b.safetensors", "a.safetensors"]


async def test_what_lacks_a_digest_is_read_last_and_keeps_its_evidence(scene: Stage, reading: list[str]) -> None:
    held = await scene.holds(A, DATA)
    await scene.shelves.enter(replace(held, digests=Digests(blake3=held.digests.blake3), verified_at="2020"))
    await scene.holds(B, safetensors(5000, 7), **UNREAD)
    async with running(hashing(scene, model(A, DATA, pin=Pin.parse(f"blake3:{held.digests.blake3}"))).run):
        await until(lambda: known(scene, A).digests.complete)
    assert reading == ["b.safetensors", "a.safetensors"]
    assert known(scene, A) == replace(held, verified_at=AT)
    assert all(
        model.verified for told in await scene.told(ModelChanged) for model in told.models if model.path == held.file
    )


async def test_c12_a_file_that_rotted_before_its_second_digest_is_verified_no_more(scene: Stage, logged) -> None:
    held = await scene.holds(A, DATA)
    await scene.shelves.enter(replace(held, digests=Digests(blake3="e" * 64)))
    async with running(hashing(scene).run):
        await until(lambda: known(scene, A).digests.complete)
    assert not known(scene, A).verified
    assert known(scene, A).digests == held.digests
    assert any("rotted on disk" in line for line in logged)


async def test_i3_a_file_of_the_very_length_is_read_to_save_a_download(scene: Stage, reading: list[str]) -> None:
    await scene.holds("loras/first.safetensors", b"another length", **UNREAD)
    await scene.holds(B, DATA, **UNREAD)
    wanted = model(A, DATA)
    async with running(hashing(scene, wanted).run):
        await until(lambda: known(scene, B).digests)
    assert reading[0] == "b.safetensors"
    assert (known(scene, B).evidence, known(scene, B).against) == ("pin", str(wanted.pin))
    (step,) = plan(needs(wanted), scene.shelves.relevant(needs(wanted))).steps
    assert isinstance(step, Link)


async def test_what_was_no_twin_is_judged_by_its_own_content_and_waited_for_no_more(scene: Stage) -> None:
    await scene.holds(B, safetensors(5000, 7), **UNREAD)
    wanted = model(A, DATA)
    async with running(hashing(scene, wanted).run):
        await until(lambda: known(scene, B).digests)
    assert known(scene, B).evidence == "content"
    (step,) = plan(needs(wanted), scene.shelves.relevant(needs(wanted))).steps
    assert isinstance(step, Fetch)
    assert not step.waits


@pytest.mark.parametrize(
    "error", [DiskUnavailable(doing="read", path="x", why="EIO"), StillChanging(path="x", why="changed")]
)
async def test_no_download_waits_for_a_file_that_cannot_be_read(scene: Stage, monkeypatch, error) -> None:
    def failing(*_: object, **__: object):
        raise error

    monkeypatch.setattr(reading_pool, "digest_file", failing)
    await scene.holds(B, DATA, **UNREAD)
    loop = hashing(scene, model(A, DATA))
    assert candidates(scene)
    async with running(loop.run):
        await until(lambda: not candidates(scene))
        loop.nudge()
        assert candidates(scene)


async def test_no_download_waits_for_a_file_longer_than_the_download_would_take(
    scene: Stage, monkeypatch, logged
) -> None:
    def endless(file: str, algorithms: object, *, cancelled, **_: object):
        while not cancelled():
            scene.clock.seconds += 1
        raise Stopped(what=f"Reading {file}")

    monkeypatch.setattr(reading_pool, "digest_file", endless)
    await scene.holds(B, DATA, **UNREAD)
    before = scene.clock.seconds
    async with running(hashing(scene, model(A, DATA)).run):
        await until(lambda: not candidates(scene))
    assert module.PATIENCE <= scene.clock.seconds - before <= module.PATIENCE + 5
    assert any("longer than a download" in line for line in logged)


async def test_what_nobody_waits_for_makes_way(scene: Stage, monkeypatch, reading: list[str]) -> None:
    """A long file is being read in the background when somebody wants another one."""
    real, begun = reading_pool.digest_file, threading.Event()

    def long_at_first(file: str, algorithms: object, *, cancelled, pace, **more: object):
        if not begun.is_set():
            begun.set()
            while not (pace.held or reading or cancelled()):
                time.sleep(0.001)
            pace.take(1, cancelled)
        return real(file, algorithms, cancelled=cancelled, pace=pace, **more)

    monkeypatch.setattr(reading_pool, "digest_file", long_at_first)
    await scene.holds(B, DATA, **UNREAD)
    async with running(hashing(scene).run):
        await until(begun.is_set)
        await scene.holds(A, DATA, **UNREAD)
        scene.board.plan = plan(needs(model(A, DATA)), scene.shelves.held.values())
        scene.board.bells.hashing.ring()
        await until(lambda: known(scene, A).digests)
        await until(lambda: known(scene, B).digests)
    assert reading == ["a.safetensors", "b.safetensors"]


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
    real = reading_pool.digest_file

    def failing(file: str, *args: object, **more: object):
        tries.append(file)
        if len(tries) == 1:
            raise DiskUnavailable(doing="read", path=file, why="Input/output error")
        return real(file, *args, **more)

    monkeypatch.setattr(reading_pool, "digest_file", failing)
    await scene.holds(A, DATA, **UNREAD)
    async with running(hashing(scene).run):
        await until(lambda: tries)
        scene.board.bells.hashing.ring()
        await turns()
        assert len(tries) == 1
        await until(lambda: troubles(scene))
        assert "Input/output error" in troubles(scene)[0]
        scene.clock.seconds += module.AGAIN
        scene.board.bells.hashing.ring()
        await until(lambda: known(scene, A).digests)
    assert any("Input/output error" in line for line in logged)
    assert troubles(scene) == []


async def test_why_a_file_cannot_be_read_is_said_once_however_often_it_is_tried(
    scene: Stage, monkeypatch, logged
) -> None:
    tries: list[str] = []

    def failing(file: str, *_: object, **__: object):
        tries.append(file)
        raise DiskUnavailable(doing="read", path=file, why="Permission denied")

    monkeypatch.setattr(reading_pool, "digest_file", failing)
    await scene.holds(A, DATA, **UNREAD)
    async with running(hashing(scene).run):
        for number in range(1, 4):
            await until(lambda number=number: len(tries) == number)
            await until(lambda number=number: scene.board.counters.hash_errors == number)
            scene.clock.seconds += module.AGAIN
            scene.board.bells.hashing.ring()
    assert sum("could not be read whole" in line for line in logged) == 1


def troubles(scene: Stage) -> list[str]:
    with Shop.open(scene.state / "index.sqlite") as shop:
        return [each.trouble for each in shop.listing() if each.trouble]


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


async def test_what_stands_in_line_behind_a_long_file_is_read_in_haste_once_it_is_wanted(
    scene: Stage, monkeypatch, reading: list[str]
) -> None:
    real, begun, hastes = reading_pool.digest_file, threading.Event(), []

    def long_at_first(file: str, algorithms: object, *, cancelled, lasting, **more: object):
        hastes.append((os.path.basename(file), lasting))
        if not begun.is_set():
            begun.set()
            while not (reading or cancelled()):
                time.sleep(0.001)
        return real(file, algorithms, cancelled=cancelled, lasting=lasting, **more)

    monkeypatch.setattr(reading_pool, "digest_file", long_at_first)
    for place in (B, "loras/c.safetensors", A):
        await scene.holds(place, safetensors(5000, len(place)), **UNREAD)
    loop = hashing(scene)
    async with running(loop.run):
        await until(lambda: len(loop._behind) == 3)
        scene.board.plan = plan(needs(model(A, safetensors(5000, len(A)))), scene.shelves.held.values())
        scene.board.bells.hashing.ring()
        await until(lambda: loop.idle)
    assert reading[0] == "a.safetensors"
    assert hastes[:2] == [("b.safetensors", False), ("a.safetensors", True)]
    assert known(scene, A).evidence == "pin"


async def test_a_device_is_read_by_as_many_as_it_likes_and_others_are_not_kept_waiting(
    scene: Stage, monkeypatch
) -> None:
    real, most = reading_pool.digest_file, []
    scene.readers._workers = lambda device: 2

    def together(file: str, *args: object, cancelled, **more: object):
        """It ends only while another one is read too."""
        most.append(file)
        while len(most) < 2 and not cancelled():
            time.sleep(0.001)
        return real(file, *args, cancelled=cancelled, **more)

    monkeypatch.setattr(reading_pool, "digest_file", together)
    await scene.holds(A, DATA, **UNREAD)
    await scene.holds(B, safetensors(5000, 7), **UNREAD)
    async with running(hashing(scene).run):
        await until(lambda: known(scene, A).digests and known(scene, B).digests)
    assert len(most) == 2


async def test_everything_is_learnt_in_one_reading_the_tensor_hash_and_the_quick_hash_too(scene: Stage) -> None:
    await scene.holds(A, DATA, **UNREAD)
    loop = hashing(scene)
    assert not loop.idle
    async with running(loop.run):
        await until(lambda: loop.idle)
    length = 8 + int.from_bytes(DATA[:8], "little")
    assert known(scene, A).digests.tensor == sha256(DATA[length:])
    with Shop.open(scene.state / "index.sqlite") as shop:
        (found,) = shop.find("a.safetensors")
    assert found.quick == quick_hash(known(scene, A).file)[1]
    assert found.digests == known(scene, A).digests


async def test_the_other_name_of_a_file_that_was_read_is_known_and_sound_without_being_read(
    scene: Stage, reading: list[str]
) -> None:
    await scene.holds(A, DATA, **UNREAD)
    os.link(scene.store / A, scene.put(B).with_name("c.safetensors"))
    (scene.store / B).unlink()
    await scene.shelves.enter(scene.held("loras/c.safetensors", **UNREAD))
    loop = hashing(scene)
    scene.readers._workers = lambda device: 1
    async with running(loop.run):
        await until(lambda: loop.idle)
    other = known(scene, "loras/c.safetensors")
    assert (other.digests, other.evidence) == (known(scene, A).digests, "content")


async def test_many_files_that_cannot_be_read_are_each_tried_once_and_the_others_are_read(
    scene: Stage, monkeypatch, logged
) -> None:
    tries: list[str] = []
    real = reading_pool.digest_file

    def failing(file: str, *args: object, **more: object):
        tries.append(file)
        if "bad" in file:
            raise DiskUnavailable(doing="read", path=file, why="Permission denied")
        return real(file, *args, **more)

    monkeypatch.setattr(reading_pool, "digest_file", failing)
    for number in range(100):
        await scene.holds(f"loras/bad{number}.safetensors", DATA, **UNREAD)
    await scene.holds(A, DATA, **UNREAD)
    loop = hashing(scene)
    async with running(loop.run):
        await until(lambda: loop.idle)
        for _ in range(5):
            scene.board.bells.hashing.ring()
            await turns(2)
    assert len(tries) == 101
    assert known(scene, A).digests
    assert scene.board.counters.hash_errors == 100


async def test_what_was_learnt_when_the_loop_was_stopped_can_still_be_told(scene: Stage) -> None:
    await scene.holds(A, DATA, **UNREAD)
    await scene.holds(B, safetensors(5000, 7), **UNREAD)
    loop = hashing(scene)
    task = asyncio.get_running_loop().create_task(loop.run())
    await until(lambda: loop._learnt or known(scene, A).digests)
    task.cancel()
    await asyncio.wait([task])
    learnt = {held.file for held in loop._learnt}
    await loop.tell()
    assert not loop._learnt
    assert all(scene.shelves.held[file].digests for file in learnt)


async def test_what_was_hashed_on_its_way_here_gets_its_quick_hash_too_and_is_not_read_whole(
    scene: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: object, **__: object):
        raise AssertionError("it was read whole")

    held = await scene.holds(A, DATA)
    gone = await scene.holds("vae/gone.safetensors", DATA + b"x")
    os.unlink(gone.file)
    monkeypatch.setattr(reading_pool, "digest_file", nobody)
    async with running(hashing(scene).run):
        await until(lambda: quick(scene) == {held.file: quick_hash(held.file)[1], gone.file: ""})
        later = await scene.holds("vae/later.safetensors", DATA + b"yy")
        await until(lambda: quick(scene).get(later.file) == quick_hash(later.file)[1])


def quick(scene: Stage) -> dict[str, str]:
    with Shop.open(scene.state / "index.sqlite") as shop:
        return {each.file: each.quick for each in shop.listing()}
