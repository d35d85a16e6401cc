from __future__ import annotations

import asyncio
import json
import os
import threading
from pathlib import Path

import pytest

from model_manager.errors import DiskUnavailable
from model_manager.facts.event import ModelChanged
from model_manager.facts.statistics import Statistics
from model_manager.index.reading import Shop
from model_manager.library.contents import readers as reading_pool
from model_manager.workbench.bench import Workbench
from model_manager.workbench.run import workbench
from tests.stories.machine import safetensors, sha256
from tests.workbench.making import put, settings, tree


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files that are read whole."""
    seen: list[str] = []
    real = reading_pool.digest_file

    def noted(file: str, *args: object, **more: object):
        seen.append(Path(file).name)
        return real(file, *args, **more)

    monkeypatch.setattr(reading_pool, "digest_file", noted)
    return seen


async def synced(directory: Path, *, add: str = "", read: bool = True, **environ: str) -> Statistics:
    """What a person's command comes to: a workbench for its length."""
    async with workbench(settings(directory, **environ)) as bench:
        if add:
            await bench.tracking.add(add)
        return await bench.sync(read=read)


def figures(found: Statistics) -> tuple[int, ...]:
    """total, added, updated, removed, hashes calculated, hashes skipped, errors"""
    return (
        *(found.total, found.added, found.updated, found.removed),
        *(found.hashes_calculated, found.hashes_skipped, found.errors),
    )


async def test_a_fresh_tree_is_known_and_read_and_the_second_time_nothing_is_left_to_do(
    tmp_path: Path, reading: list[str]
) -> None:
    nas = tree(tmp_path)
    first = await synced(tmp_path, add=str(nas))
    assert figures(first) == (3, 3, 0, 0, 3, 0, 0)
    assert first.described == 3
    assert sorted(reading) == ["a.safetensors", "b.safetensors", "c.safetensors"]
    second = await synced(tmp_path)
    assert figures(second) == (3, 0, 0, 0, 0, 0, 0)
    assert (second.described, len(reading)) == (0, 3)
    with Shop.open(tmp_path / "state" / "index.sqlite") as shop:
        (known,) = shop.find("c.safetensors")
        (directory,) = shop.directories()
    assert known.digests is not None
    assert (known.digests.sha256, known.evidence) == (sha256(safetensors(3000, 2)), "content")
    assert len(known.quick) == 16
    assert (directory.path, directory.state, directory.files) == (str(nas), "here", 3)


async def test_two_syncs_at_one_workbench_are_counted_each_for_itself(tmp_path: Path) -> None:
    async with workbench(settings(tmp_path)) as bench:
        await bench.tracking.add(str(tree(tmp_path)))
        assert figures(await bench.sync()) == (3, 3, 0, 0, 3, 0, 0)
        assert figures(await bench.sync()) == (3, 0, 0, 0, 0, 0, 0)


async def test_a_file_that_was_written_a_moment_ago_is_waited_for(tmp_path: Path) -> None:
    nas = tree(tmp_path)
    os.utime(nas / "vae/c.safetensors")
    found = await synced(tmp_path, add=str(nas), MODEL_MANAGER_SETTLE_SECONDS="0.1")
    assert figures(found) == (3, 3, 0, 0, 3, 0, 0)


async def test_h3_a_file_that_still_grows_is_left_out_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    nas, over = tree(tmp_path), threading.Event()

    def growing() -> None:
        with (nas / "vae/c.safetensors").open("ab") as file:
            while not over.wait(0.01):
                file.write(b"x")
                file.flush()

    writer = threading.Thread(target=growing)
    writer.start()
    try:
        found = await synced(tmp_path, add=str(nas), MODEL_MANAGER_SETTLE_SECONDS="0.1")
    finally:
        over.set()
        writer.join()
    assert figures(found) == (2, 2, 0, 0, 2, 0, 0)


async def test_what_was_touched_is_read_again_and_what_was_moved_is_not(tmp_path: Path, reading: list[str]) -> None:
    nas = tree(tmp_path)
    await synced(tmp_path, add=str(nas))
    del reading[:]
    os.utime(nas / "loras/a.safetensors", (1_700_000_100, 1_700_000_100))
    (nas / "loras/b.safetensors").rename(nas / "vae/moved.safetensors")
    (nas / "vae/c.safetensors").unlink()
    assert figures(await synced(tmp_path)) == (2, 1, 1, 2, 1, 0, 0)
    assert reading == ["a.safetensors"]
    with Shop.open(tmp_path / "state" / "index.sqlite") as shop:
        (moved,) = shop.find("moved.safetensors")
        (gone,) = shop.missing()
    assert moved.digests is not None
    assert moved.digests.sha256 == sha256(safetensors(3000, 1))
    assert gone.file == str(nas / "vae/c.safetensors")


async def test_without_reading_the_names_are_known_and_the_rest_is_left_for_later(
    tmp_path: Path, reading: list[str]
) -> None:
    found = await synced(tmp_path, add=str(tree(tmp_path)), read=False)
    assert figures(found) == (3, 3, 0, 0, 0, 3, 0)
    assert reading == []


async def test_what_cannot_be_read_is_an_error_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = reading_pool.digest_file

    def failing(file: str, *args: object, **more: object):
        if file.endswith("a.safetensors"):
            raise DiskUnavailable(doing="read", path=file, why="Input/output error")
        return real(file, *args, **more)

    monkeypatch.setattr(reading_pool, "digest_file", failing)
    assert figures(await synced(tmp_path, add=str(tree(tmp_path)))) == (3, 3, 0, 0, 2, 1, 1)


async def test_c10_a_directory_that_is_away_is_an_error_and_nothing_of_it_is_forgotten(tmp_path: Path) -> None:
    nas = tree(tmp_path)
    await synced(tmp_path, add=str(nas))
    nas.rename(tmp_path / "unmounted")
    assert figures(await synced(tmp_path)) == (3, 0, 0, 0, 0, 0, 1)
    (tmp_path / "unmounted").rename(nas)
    assert figures(await synced(tmp_path)) == (3, 0, 0, 0, 0, 0, 0)


async def test_what_lies_beside_the_models_is_described_unless_nobody_wants_it(tmp_path: Path) -> None:
    nas = tree(tmp_path)
    (nas / "loras/a.json").write_text(json.dumps({"sd version": "SDXL", "activation text": "cat"}))
    none = await synced(tmp_path, add=str(nas), MODEL_MANAGER_METADATA="none")
    assert none.described == 0
    assert (await synced(tmp_path)).described == 3
    with Shop.open(tmp_path / "state" / "index.sqlite") as shop:
        assert shop.find("a.safetensors")[0].base_model == "SDXL"


async def test_shards_are_one_model(tmp_path: Path) -> None:
    for number in (1, 2):
        put(tmp_path / "nas", f"checkpoints/flux-0000{number}-of-00002.safetensors", number)
    await synced(tmp_path, add=str(tmp_path / "nas"), read=False)
    with Shop.open(tmp_path / "state" / "index.sqlite") as shop:
        assert {Path(known.bundle).name for known in shop.listing()} == {"flux-of-00002.safetensors"}


async def test_somebody_may_watch_how_far_it_is(tmp_path: Path) -> None:
    left: list[int] = []
    async with workbench(settings(tmp_path)) as bench:
        await bench.tracking.add(str(tree(tmp_path)))
        await bench.sync(watch=lambda board, shelves: left.append(shelves.unhashed))
    assert (left[0], left[-1]) == (3, 0)


async def test_whoever_stops_it_keeps_what_was_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file was read, another one takes for ever, when the person presses Ctrl-C."""
    nas, real, endless = tree(tmp_path), reading_pool.digest_file, threading.Event()

    def stuck(file: str, *args: object, cancelled, **more: object):
        if file.endswith("c.safetensors"):
            endless.set()
            while not cancelled():
                endless.wait(0.001)
        return real(file, *args, cancelled=cancelled, **more)

    monkeypatch.setattr(reading_pool, "digest_file", stuck)
    begun = asyncio.get_running_loop().create_future()

    def watching(board, shelves) -> None:
        if endless.is_set() and board.counters.hashed == 2 and not begun.done():
            begun.set_result(None)

    async def work() -> None:
        async with workbench(settings(tmp_path, MODEL_MANAGER_READERS="3")) as bench:
            await bench.tracking.add(str(nas))
            await bench.sync(watch=watching)

    task = asyncio.get_running_loop().create_task(work())
    await asyncio.wait([begun, task], return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    monkeypatch.setattr(reading_pool, "digest_file", real)
    assert figures(await synced(tmp_path)) == (3, 0, 0, 0, 1, 0, 0)


def rot(file: Path) -> None:
    before = file.stat()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


async def changes(bench: Workbench) -> list[str]:
    told = [envelope.event for envelope in await bench.index.outbox(1000)]
    return [model.path for event in told if isinstance(event, ModelChanged) for model in event.models]


async def test_c12_verifying_finds_what_rotted_and_only_among_what_was_asked_for(tmp_path: Path) -> None:
    nas = tree(tmp_path)
    await synced(tmp_path, add=str(nas))
    rotten, other = nas / "loras/a.safetensors", nas / "vae/c.safetensors"
    rot(rotten)
    async with workbench(settings(tmp_path)) as bench:
        assert await bench.verify([str(other)]) == ()
        (found,) = await bench.verify()
        assert found.file == str(rotten)
        assert not found.verified
        assert str(rotten) in await changes(bench)
        assert await bench.verify() == ()


async def test_c12_rot_in_a_file_that_nobody_vouched_for_is_found_too(tmp_path: Path) -> None:
    file = tmp_path / "nas" / "loras" / "page.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"<html>a page</html>")
    os.utime(file, (1_700_000_000, 1_700_000_000))
    await synced(tmp_path, add=str(tmp_path / "nas"))
    rot(file)
    async with workbench(settings(tmp_path)) as bench:
        assert [held.file for held in await bench.verify()] == [str(file)]


async def test_of_several_directories_one_is_synced_and_the_others_are_left_as_they_are_known(
    tmp_path: Path, reading: list[str]
) -> None:
    first, second = tree(tmp_path), tmp_path / "second"
    put(second, "vae/x.safetensors", 7)
    async with workbench(settings(tmp_path)) as bench:
        for each in (first, second):
            await bench.tracking.add(str(each))
        found = await bench.sync(only=[str(second)])
        assert (figures(found), found.described, reading) == ((1, 1, 0, 0, 1, 0, 0), 1, ["x.safetensors"])
        (first / "vae/c.safetensors").unlink()
        put(second, "vae/y.safetensors", 8)
        assert figures(await bench.sync(only=[str(second)])) == (2, 1, 0, 0, 1, 0, 0)
        assert figures(await bench.sync()) == (4, 2, 0, 0, 2, 0, 0)


async def test_what_is_laid_beside_models_is_read_by_the_sync_of_their_directory_and_not_missed_by_others(
    tmp_path: Path,
) -> None:
    roots = [tree(tmp_path), tmp_path / "second"]
    put(roots[1], "vae/x.safetensors", 7)
    async with workbench(settings(tmp_path)) as bench:
        for each in roots:
            await bench.tracking.add(str(each))
        await bench.sync(read=False)
        for model, told in ((roots[0] / "vae/c", "first"), (roots[1] / "vae/x", "second")):
            model.with_suffix(".json").write_text(json.dumps({"sd version": told, "activation text": told}))
        seen = []
        for only in ([str(roots[1])], [str(roots[0])]):
            await bench.sync(read=False, only=only)
            with Shop.open(tmp_path / "state" / "index.sqlite") as shop:
                found = [shop.show(known.content_id).told for known in shop.listing()]
                seen.append(
                    sorted({each.value for told in found for each in told if each.value in ("first", "second")})
                )
    assert seen == [["second"], ["first", "second"]]
