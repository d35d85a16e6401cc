from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from model_manager.agent.holdings import remounting as module
from model_manager.agent.holdings.remounting import Remounting
from model_manager.facts.disk import Held
from model_manager.library.scanning import fingerprint_of
from tests.agent.holdings.test_noticing import noticing, settled
from tests.agent.stage import Stage
from tests.stories.machine import safetensors

A = "loras/a.safetensors"
DATA = safetensors(3000)


def under(held: Held, device: int) -> Held:
    return replace(held, fingerprint=replace(held.fingerprint, device=device))


def bare(held: Held, device: int) -> Held:
    """As a scan sees it."""
    return replace(under(held, device), digests=None, evidence=None, against="", verified_at="")


async def remembered(scene: Stage, held: Held, device: int) -> Remounting:
    """The root's files were looked through when they had this number."""
    remounting = Remounting(scene.index)
    await remounting.remember(held.root, [under(held, device)])
    return remounting


def standing(monkeypatch: pytest.MonkeyPatch, now: Callable[[], tuple[int, str]]) -> None:
    monkeypatch.setattr(module, "identity", lambda _path: now())


@pytest.mark.parametrize("restarted", [True, False])
async def test_a_file_whose_volume_got_another_number_is_what_it_was(
    scene: Stage, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    held = await scene.holds(A, DATA)
    standing(monkeypatch, lambda: (50, "ext4 a"))
    remounting = await remembered(scene, held, 50)
    remounting = Remounting(scene.index) if restarted else remounting
    standing(monkeypatch, lambda: (60, "ext4 a"))
    same = await remounting.same({held.file: bare(held, 60)}, {held.file: under(held, 50)})
    assert same == [under(held, 60)]


@pytest.mark.parametrize("then", ["ext4 a", ""])
@pytest.mark.parametrize("now", ["ext4 b", ""])
async def test_another_volume_or_one_without_a_name_is_never_taken_for_it(
    scene: Stage, monkeypatch: pytest.MonkeyPatch, then: str, now: str
) -> None:
    held = await scene.holds(A, DATA)
    standing(monkeypatch, lambda: (50, then))
    remounting = await remembered(scene, held, 50)
    standing(monkeypatch, lambda: (60, now))
    assert await remounting.same({held.file: bare(held, 60)}, {held.file: under(held, 50)}) == []


@pytest.mark.parametrize("other", [{"inode": 1}, {"size": 1}, {"mtime_ns": 1}])
async def test_a_file_that_differs_in_anything_else_is_read(
    scene: Stage, monkeypatch: pytest.MonkeyPatch, other: dict[str, int]
) -> None:
    held = await scene.holds(A, DATA)
    standing(monkeypatch, lambda: (50, "ext4 a"))
    remounting = await remembered(scene, held, 50)
    standing(monkeypatch, lambda: (60, "ext4 a"))
    now = bare(held, 60)
    now = replace(now, fingerprint=replace(now.fingerprint, **other))
    assert await remounting.same({held.file: now}, {held.file: under(held, 50)}) == []


async def test_a_number_that_stands_for_another_volume_says_nothing_any_more_not_even_after_a_crash(
    scene: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two volumes below one root change their numbers: each file keeps what is known in that look, and what a crash leaves
    half entered is read again."""
    held = await scene.holds(A, DATA)
    standing(monkeypatch, lambda: (50, "ext4 a"))
    remounting = await remembered(scene, held, 50)
    standing(monkeypatch, lambda: (50, "ext4 b"))
    await remounting.same({held.file: bare(held, 50)}, {held.file: under(held, 60)})
    standing(monkeypatch, lambda: (70, "ext4 a"))
    for later in (remounting, Remounting(scene.index)):
        assert await later.same({held.file: bare(held, 70)}, {held.file: under(held, 50)}) == []


async def test_c10_a_root_that_is_mounted_again_under_another_number_is_not_read_again(
    scene: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    recent = await scene.holds(A, DATA)
    os.utime(recent.file, (1_700_000_000, 1_700_000_000))
    mark = fingerprint_of(recent.file)
    assert mark is not None
    held, device = replace(recent, fingerprint=mark), mark.device
    standing(monkeypatch, lambda: (device, "ext4 a"))
    await scene.shelves.enter(under(held, 4711))
    await scene.index.set_note(f"file systems:{held.root}", '{"4711":"ext4 a"}')
    eyes = noticing(scene)
    await eyes.reconcile()
    assert scene.shelves.held[held.file] == held
    await scene.shelves.enter(under(held, 4711))
    await settled(scene, eyes, scene.store)
    assert scene.shelves.held[held.file].digests is None
