from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model_manager.agent.control.status import problems
from model_manager.agent.holdings import looking
from model_manager.agent.holdings import noticing as module
from model_manager.agent.holdings.noticing import Noticing
from model_manager.agent.holdings.roots import Roots
from model_manager.facts.disk import Diff, Held, Root
from model_manager.facts.event import ModelAppeared, ModelChanged, ModelVanished, RootBack, RootLost, ScanFinished
from model_manager.library.markers import MARKER
from model_manager.library.watching import Watcher
from tests.agent.stage import Stage, running, turns, until

A, B = "vae/a.safetensors", "loras/b.safetensors"


def noticing(scene: Stage, *others: Root) -> Noticing:
    roots = Roots([scene.root, *others], scene.index)
    return Noticing(scene.board, scene.shelves, roots, Watcher([root.path for root in roots.all]))


def calm(scene: Stage, place: str, content: bytes = b"weights") -> Path:
    """A file that was written long ago."""
    file = scene.put(place, content)
    os.utime(file, (1_700_000_000, 1_700_000_000))
    return file


def files(scene: Stage) -> set[str]:
    return {str(held.shelf) for held in scene.shelves.held.values()}


async def settled(scene: Stage, eyes: Noticing, *paths: Path) -> None:
    """The hints are looked at, and once more after the settle time."""
    for _ in range(2):
        await eyes._take_up({*map(str, paths), *eyes._hints, *eyes._restless})
        scene.clock.seconds += 1


async def test_what_lies_there_at_the_start_is_entered_and_the_scan_told_once(scene: Stage) -> None:
    calm(scene, A)
    calm(scene, B)
    eyes = noticing(scene)
    await eyes.reconcile()
    scene.board.scanned = True
    await eyes.reconcile()
    assert files(scene) == {A, B}
    (scan,) = await scene.told(ScanFinished)
    assert (scan.files, scan.appeared, scan.bytes) == (2, 2, 14)
    assert len(await scene.told(ModelAppeared)) == 1


async def test_h1_a_reconcile_finds_what_no_hint_told_of(scene: Stage) -> None:
    held = await scene.holds(A)
    Path(held.file).unlink()
    calm(scene, B)
    await noticing(scene).reconcile()
    assert files(scene) == {B}
    (gone,) = await scene.told(ModelVanished)
    assert gone.models[0].path == held.file


async def test_what_is_known_and_unchanged_keeps_its_verdict(scene: Stage) -> None:
    held = await scene.holds(A)
    await noticing(scene).reconcile()
    assert scene.shelves.held[held.file] == held
    assert await scene.told(ModelChanged) == []


async def test_what_was_changed_has_to_be_judged_anew(scene: Stage) -> None:
    held = await scene.holds(A)
    calm(scene, A, b"something else")
    await noticing(scene).reconcile()
    assert not scene.shelves.held[held.file].verified
    assert scene.shelves.held[held.file].digests is None


async def test_h3_a_file_that_grows_is_not_indexed_until_it_rests(scene: Stage) -> None:
    eyes = noticing(scene)
    file = scene.put(A)
    await eyes.reconcile()
    assert files(scene) == set()
    for _ in range(3):
        await eyes._take_up({str(file)})
        with file.open("ab") as stream:
            stream.write(b"more")
        scene.clock.seconds += 1
    assert files(scene) == set()
    await settled(scene, eyes, file)
    assert scene.shelves.held[str(file)].fingerprint.size == file.stat().st_size


async def test_h3_a_file_that_is_written_to_during_a_scan_does_not_vanish(scene: Stage) -> None:
    held = await scene.holds(A)
    scene.put(A, b"weights, growing")
    eyes = noticing(scene)
    await eyes.reconcile()
    assert scene.shelves.held[held.file] == held
    await settled(scene, eyes)
    assert scene.shelves.held[held.file].fingerprint.size == 16


async def test_an_unreadable_directory_never_means_vanished(scene: Stage, logged: list[str]) -> None:
    volume = scene.store.parent / "volume"
    volume.mkdir()
    (scene.store / "vae").symlink_to(volume)
    held = await scene.holds(A)
    gone = await scene.holds(B)
    volume.rename(volume.with_name("unmounted"))
    Path(gone.file).unlink()
    eyes = noticing(scene)
    await eyes.reconcile()
    assert scene.shelves.held.keys() == {held.file}
    await eyes.reconcile()
    assert sum("cannot be looked at" in line for line in logged) == 1
    assert scene.board.unreadable == {str(scene.store): 1}
    assert any("1 places in it cannot be looked at" in line for line in problems(scene.board))
    (directory,) = [each for each in await scene.index.directories() if each.path == str(scene.store)]
    assert directory.unreadable == 1
    await settled(scene, eyes, scene.store / "vae", Path(held.file))
    assert held.file in scene.shelves.held


async def test_c10_a_root_that_is_away_loses_nothing_and_is_told_once(scene: Stage) -> None:
    held = await scene.holds(A)
    eyes = noticing(scene)
    await eyes.reconcile()
    away = scene.store.with_name("unmounted")
    scene.store.rename(away)
    scene.store.mkdir()
    for _ in range(3):
        await eyes.reconcile()
        await settled(scene, eyes, Path(held.file), scene.store)
    assert scene.shelves.held == {held.file: held}
    assert list(scene.store.iterdir()) == []
    (lost,) = await scene.told(RootLost)
    assert MARKER in lost.why
    assert scene.board.lost_roots == {str(scene.store): lost.why}

    scene.store.rmdir()
    away.rename(scene.store)
    await eyes.reconcile()
    assert scene.board.lost_roots == {}
    assert len(await scene.told(RootBack)) == 1
    assert scene.shelves.held == {held.file: held}


async def test_c10_a_mount_point_with_strangers_in_it_is_no_volume(scene: Stage, tmp_path: Path) -> None:
    """A person's volume is unmounted, and something lies in the directory below it."""
    nas = Root(path=str(tmp_path / "nas"))
    lora = tmp_path / "nas/loras/a.safetensors"
    lora.parent.mkdir(parents=True)
    lora.write_bytes(b"weights")
    os.utime(lora, (1_700_000_000, 1_700_000_000))
    eyes = noticing(scene, nas)
    await eyes.reconcile()
    held = scene.shelves.held[str(lora)]
    elsewhere = replace(held, fingerprint=replace(held.fingerprint, device=held.fingerprint.device + 1))
    await scene.shelves.change(Diff(changed=(elsewhere,)))
    lora.rename(tmp_path / "unmounted")
    (tmp_path / "nas/note.txt").write_text("not mounted")
    await eyes.reconcile()
    assert scene.shelves.held == {str(lora): elsewhere}
    assert "not mounted" in scene.board.lost_roots[nas.path]
    (tmp_path / "unmounted").rename(lora)
    await eyes.reconcile()
    assert scene.board.lost_roots == {}
    assert scene.shelves.held[str(lora)].fingerprint == held.fingerprint


async def test_c10_files_that_were_on_the_same_device_are_gone_when_they_are(scene: Stage, tmp_path: Path) -> None:
    nas = Root(path=str(tmp_path / "nas"))
    lora = tmp_path / "nas/loras/a.safetensors"
    lora.parent.mkdir(parents=True)
    lora.write_bytes(b"weights")
    os.utime(lora, (1_700_000_000, 1_700_000_000))
    eyes = noticing(scene, nas)
    await eyes.reconcile()
    lora.unlink()
    await eyes.reconcile()
    assert (scene.shelves.held, scene.board.lost_roots) == ({}, {})


@pytest.mark.parametrize("look", ["whole", "places"])
async def test_c10_a_root_that_goes_away_during_a_look_loses_nothing(
    scene: Stage, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    """The look finds the empty mount point: what it saw as gone is not."""
    held, eyes = await scene.holds(A), noticing(scene)
    await eyes.reconcile()
    begin = getattr(looking, look)

    def unmounted(*arguments: Any) -> Any:
        scene.store.rename(scene.store.with_name("unmounted"))
        scene.store.mkdir()
        return begin(*arguments)

    monkeypatch.setattr(module, look, unmounted)
    await (eyes.reconcile() if look == "whole" else eyes._take_up({held.file}))
    assert scene.shelves.held == {held.file: held}
    assert str(scene.store) in scene.board.lost_roots
    assert await scene.told(ModelVanished) == []


async def test_c10_what_happened_while_a_root_was_away_is_found_by_itself(scene: Stage, monkeypatch) -> None:
    monkeypatch.setattr(module, "ROOT_LOOK", 0.02)
    held = await scene.holds(A)
    away = scene.store.with_name("unmounted")
    async with running(noticing(scene).run):
        await until(lambda: scene.board.scanned)
        scene.store.rename(away)
        await until(lambda: scene.board.lost_roots)
        (away / A).unlink()
        await turns()
        assert held.file in scene.shelves.held
        away.rename(scene.store)
        await until(lambda: held.file not in scene.shelves.held)
    assert len(await scene.told(ModelVanished)) == 1


async def test_h4_a_tree_that_is_moved_leaves_once_and_comes_once(scene: Stage) -> None:
    for number in range(3):
        await scene.holds(f"loras/old/{number}.safetensors")
    before = len(await scene.told())
    old, new = scene.store / "loras/old", scene.store / "loras/new"
    old.rename(new)
    eyes = noticing(scene)
    await settled(scene, eyes, old, new)
    assert files(scene) == {f"loras/new/{number}.safetensors" for number in range(3)}
    told = (await scene.told())[before:]
    assert sum(len(event.models) for event in told if isinstance(event, ModelVanished)) == 3
    assert sum(len(event.models) for event in told if isinstance(event, ModelAppeared)) == 3


async def written(scene: Stage, place: str, **more: Any) -> Held:
    """A file in the index, with a time as it gets it by being written here."""
    held = await scene.holds(place, **more)
    os.utime(held.file, ns=(1_700_000_000_123_456_789, 1_700_000_000_123_456_789))
    held = replace(scene.held(place, **more), against="sha256:aa")
    await scene.shelves.enter(held)
    return held


@pytest.mark.parametrize("how", ["reconcile", "hints"])
async def test_h4_a_moved_file_is_not_read_again_and_never_missing(scene: Stage, how: str) -> None:
    held = await written(scene, "loras/old/a.safetensors")
    before = len(await scene.told())
    old, new = scene.store / "loras/old", scene.store / "loras/new"
    old.rename(new)
    eyes = noticing(scene)
    await (eyes.reconcile() if how == "reconcile" else eyes._take_up({str(old), str(new)}))
    (now,) = scene.shelves.held.values()
    assert (str(now.shelf), now.digests) == ("loras/new/a.safetensors", held.digests)
    assert (now.evidence, now.against, now.verified_at) == ("content", "", held.verified_at)
    told = [event for event in (await scene.told())[before:] if not isinstance(event, ScanFinished)]
    assert [type(event) for event in told] == [ModelVanished, ModelAppeared]
    assert told[1].models[0].hash == held.digests.sha256


async def test_h4_a_file_that_is_seen_to_leave_before_it_comes_is_not_read_again(scene: Stage) -> None:
    held = await written(scene, A)
    eyes, aside = noticing(scene), scene.store.parent / "aside"
    Path(held.file).rename(aside)
    await eyes._take_up({held.file})
    assert scene.shelves.held == {}
    scene.clock.seconds += 30
    new = scene.store / B
    new.parent.mkdir()
    aside.rename(new)
    await eyes._take_up({str(new)})
    assert scene.shelves.held[str(new)].digests == held.digests
    assert scene.shelves.held[str(new)].verified


async def test_what_comes_long_after_it_left_is_read_again(scene: Stage) -> None:
    held = await written(scene, A)
    eyes, aside = noticing(scene), scene.store.parent / "aside"
    Path(held.file).rename(aside)
    await eyes._take_up({held.file})
    scene.clock.seconds += 61
    aside.rename(held.file)
    await settled(scene, eyes, Path(held.file))
    assert scene.shelves.held[held.file].digests is None


async def test_h3_a_hard_link_is_the_file_that_it_is_and_a_copy_is_another(scene: Stage) -> None:
    held = await written(scene, A)
    link, copy = scene.store / "vae/link.safetensors", scene.store / "vae/copy.safetensors"
    link.hardlink_to(held.file)
    shutil.copy2(held.file, copy)
    await settled(scene, noticing(scene), link, copy)
    assert scene.shelves.held[str(link)].digests == held.digests
    assert scene.shelves.held[str(copy)].digests is None


async def test_a_moved_file_that_nobody_verified_stays_unverified(scene: Stage) -> None:
    held = await written(scene, A, evidence=None)
    new = scene.store / "vae/new.safetensors"
    Path(held.file).rename(new)
    await noticing(scene).reconcile()
    assert scene.shelves.held[str(new)].digests == held.digests
    assert not scene.shelves.held[str(new)].verified


async def test_h3_a_restless_file_is_waited_for_while_others_are_looked_at(scene: Stage) -> None:
    eyes, first = noticing(scene), scene.put(A)
    await eyes._take_up({str(first)})
    scene.clock.seconds += 0.05
    await eyes._take_up({str(calm(scene, B))})
    assert set(eyes._restless) == {str(scene.store / A), str(scene.store / B)}
    scene.clock.seconds += 0.06
    await eyes._take_up({str(first)})
    assert files(scene) == {A}
    assert scene.board.settling == {str(scene.store / B)}


async def test_h1_thousands_of_files_at_once_are_all_known_after_one_reconcile(scene: Stage) -> None:
    (scene.store / "loras").mkdir()
    for number in range(3000):
        os.close(os.open(scene.store / f"loras/{number}.safetensors", os.O_CREAT))
        os.utime(scene.store / f"loras/{number}.safetensors", (1_700_000_000, 1_700_000_000))
    await noticing(scene).reconcile()
    assert len(scene.shelves.held) == 3000


@pytest.mark.parametrize("at_once", [1, 2, 100])
async def test_h4_a_large_change_is_entered_in_pieces_and_nothing_is_missing_in_between(
    scene: Stage, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    for number in range(5):
        await written(scene, f"loras/old/{number}.safetensors")
    (scene.store / "loras/old").rename(scene.store / "loras/new")
    seen: list[int] = []
    change = scene.shelves.change

    async def watched(diff: Diff, *events: Any) -> None:
        await change(diff, *events)
        seen.append(len({held.shelf.name.rpartition("/")[2] for held in scene.shelves.held.values()}))

    monkeypatch.setattr(scene.shelves, "change", watched)
    await noticing(scene).reconcile()
    assert set(seen) == {5}
    assert files(scene) == {f"loras/new/{number}.safetensors" for number in range(5)}
    assert all(held.verified for held in scene.shelves.held.values())
    (scan,) = await scene.told(ScanFinished)
    assert (scan.appeared, scan.changed, scan.vanished) == (5, 0, 5)


async def test_directories_that_are_tracked_later_are_scanned_and_watched(scene: Stage) -> None:
    other = scene.store.parent / "other"
    (other / "vae").mkdir(parents=True)
    roots = Roots([scene.root], scene.index)
    eyes = Noticing(scene.board, scene.shelves, roots, Watcher([scene.root.path]))
    async with running(eyes.run):
        await until(lambda: scene.board.watch_mode == "inotify")
        (tracked,) = [await roots.track(str(other), None, "2026-01-02T03:04:05.000Z")]
        await eyes.reconcile()
        file = other / "vae/new.safetensors"
        file.write_bytes(b"weights")
        await until(lambda: passing(scene) and str(file) in scene.shelves.held)
        assert tracked.state == "never scanned"
        assert "here" in {each.state for each in await roots.directories() if each.path == str(other)}


async def test_what_is_written_just_now_or_in_the_future_has_to_settle_first(scene: Stage) -> None:
    calm(scene, A)
    future = scene.put(B)
    os.utime(future, (4_000_000_000, 4_000_000_000))
    eyes = noticing(scene)
    await eyes.reconcile()
    assert files(scene) == {A}
    await settled(scene, eyes)
    assert files(scene) == {A, B}


async def test_what_the_gate_suspects_is_looked_at(scene: Stage) -> None:
    held = await scene.holds(A)
    async with running(noticing(scene).run):
        await until(lambda: scene.board.scanned)
        Path(held.file).unlink()
        scene.board.suspects.add(held.file)
        await until(lambda: held.file not in scene.shelves.held)


async def test_what_a_person_puts_there_and_removes_is_noticed(scene: Stage) -> None:
    async with running(noticing(scene).run):
        await until(lambda: scene.board.watch_mode in ("inotify", "polling"))
        file = scene.put(A)
        await until(lambda: passing(scene) and str(file) in scene.shelves.held)
        file.unlink()
        await until(lambda: str(file) not in scene.shelves.held)


def passing(scene: Stage) -> bool:
    """Time goes by, as it does."""
    scene.clock.seconds += 0.01
    return True


async def test_a_hint_about_what_is_known_tells_nothing(scene: Stage) -> None:
    held = await scene.holds(A)
    before = len(await scene.told())
    eyes = noticing(scene)
    await settled(scene, eyes, Path(held.file), scene.store / "vae", scene.store, Path("/somewhere/else"))
    assert len(await scene.told()) == before


async def test_two_roots_do_not_mistake_each_others_files(scene: Stage) -> None:
    other = scene.store.parent / "other"
    (other / "vae").mkdir(parents=True)
    second = other / "vae/second.safetensors"
    second.write_bytes(b"weights")
    os.utime(second, (1_700_000_000, 1_700_000_000))
    held = await scene.holds(A)
    await noticing(scene, Root(path=str(other))).reconcile()
    assert scene.shelves.held.keys() == {held.file, str(second)}
    assert scene.shelves.held[str(second)].root == str(other)


async def interrupted(scene: Stage, monkeypatch: pytest.MonkeyPatch, name: str, then: Any) -> None:
    """When the disk was looked at but the answer is not there yet, `then` happens."""
    real, loop = getattr(looking, name), asyncio.get_running_loop()

    def look(*args: Any, **named: Any) -> Any:
        answer = real(*args, **named)
        asyncio.run_coroutine_threadsafe(then(), loop).result(20)
        return answer

    monkeypatch.setattr(looking, name, look)


@pytest.mark.parametrize("name", ["scan", "examine"])
async def test_what_is_fetched_during_a_look_does_not_vanish_by_it(scene: Stage, monkeypatch, name: str) -> None:
    entered: list[Held] = []

    async def fetch() -> None:
        if not entered:
            calm(scene, A)
            entered.append(await scene.holds(A))

    eyes = noticing(scene)
    await eyes.reconcile()
    await interrupted(scene, monkeypatch, name, fetch)
    await (eyes.reconcile() if name == "scan" else settled(scene, eyes, scene.store))
    assert scene.shelves.held == {entered[0].file: entered[0]}
    assert await scene.told(ModelVanished) == []


async def test_what_is_replaced_during_a_scan_keeps_its_new_verdict(scene: Stage, monkeypatch) -> None:
    old = await scene.holds(A, b"wrong", evidence=None)
    replaced: list[Held] = []

    async def fetch() -> None:
        if not replaced:
            replaced.append(await scene.holds(A, b"right weights"))

    eyes = noticing(scene)
    await interrupted(scene, monkeypatch, "scan", fetch)
    await eyes.reconcile()
    await settled(scene, eyes)
    assert scene.shelves.held == {old.file: replaced[0]}


async def test_a_scan_that_ended_rings_for_those_who_describe_even_when_nothing_changed(scene: Stage) -> None:
    eyes = noticing(scene)
    await eyes.reconcile()
    assert await scene.board.bells.describing.wait(0.01)
    await eyes.reconcile()
    assert await scene.board.bells.describing.wait(0.01)


async def test_a_scan_that_is_stopped_leaves_the_rest_and_calls_nothing_gone(scene: Stage, tmp_path: Path) -> None:
    more = tmp_path / "more"
    (more / "loras").mkdir(parents=True)
    (more / "loras" / "b.safetensors").write_bytes(b"weights")
    eyes = noticing(scene, Root(path=str(more)))
    eyes.stop()
    await eyes.reconcile()
    scene.board.scanned = True
    known, scans = dict(scene.shelves.held), scene.board.counters.scans
    (more / "loras" / "c.safetensors").write_bytes(b"weights")
    present = eyes.present

    async def stopping(root: Root) -> bool:
        eyes.stop()
        return await present(root)

    eyes.present = stopping  # type: ignore[method-assign]
    await eyes.reconcile()
    assert scene.shelves.held.keys() >= known.keys()
    assert (scene.board.counters.scans, bool(scene.board.scan_finished)) == (scans, True)


async def test_a_scan_that_is_stopped_within_a_directory_calls_nothing_gone(
    scene: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = tmp_path / "more"
    (more / "loras").mkdir(parents=True)
    for n in range(20):
        file = more / "loras" / f"{n}.safetensors"
        file.write_bytes(b"weights")
        os.utime(file, (1_700_000_000, 1_700_000_000))
    eyes = noticing(scene, Root(path=str(more)))
    await eyes.reconcile()
    scene.board.scanned = True
    known, look = dict(scene.shelves.held), module.whole
    (more / "loras" / "7.safetensors").unlink()

    def stopped(*given: Any) -> Any:
        eyes.stop()
        return look(*given)

    monkeypatch.setattr(module, "whole", stopped)
    await eyes.reconcile()
    assert scene.shelves.held.keys() == known.keys()
    monkeypatch.undo()
    await eyes.reconcile()
    assert len(scene.shelves.held) == len(known) - 1
