from __future__ import annotations

import asyncio
import gc
from dataclasses import replace

from model_manager.agent.holdings import shelves as module
from model_manager.agent.holdings.shelves import Shelves
from model_manager.facts.disk import HUB, Diff
from model_manager.facts.event import (
    DiskLow,
    InventorySnapshot,
    ModelAppeared,
    ModelChanged,
    ModelVanished,
    RootBack,
    ScanFinished,
)
from model_manager.facts.identity import Digests, Pin
from model_manager.facts.shelf import ShelfPath
from model_manager.library.contents.hashing import digest_file
from tests.agent.stage import Stage, model, needs

PLACE = "vae/a.gguf"
FINISHED = ScanFinished(files=1, bytes=7, appeared=1, changed=0, vanished=0, seconds=0.1)


async def test_an_empty_change_tells_nothing_and_rings_nothing(scene: Stage) -> None:
    with scene.shelves.listening() as queue:
        await scene.shelves.change(Diff())
        assert queue.empty()
    assert await scene.told() == []
    assert not await scene.board.bells.publishing.wait(0.01)


async def test_a_change_is_in_the_index_the_mirror_and_the_outbox(scene: Stage) -> None:
    held = await scene.holds(PLACE)
    assert scene.shelves.held == {held.file: held}
    assert await scene.index.held() == (held,)
    assert [type(event) for event in await scene.told()] == [ModelAppeared]


async def test_what_is_told_with_a_change_comes_with_it_or_not_at_all(scene: Stage) -> None:
    scene.put(PLACE)
    with scene.shelves.listening() as queue:
        await scene.shelves.change(Diff(appeared=(scene.held(PLACE),)), FINISHED)
        heard = [envelope.event for envelope in queue.get_nowait()]
    assert heard == await scene.told()
    assert {type(event) for event in heard} == {ModelAppeared, ScanFinished}


async def test_entering_what_is_known_already_tells_only_the_news(scene: Stage) -> None:
    held = await scene.holds(PLACE)
    await scene.shelves.enter(held)
    await scene.shelves.enter(held, RootBack(root="/m"))
    assert [type(event) for event in await scene.told()] == [ModelAppeared, RootBack]


async def test_a_file_that_is_known_better_changed_and_did_not_appear_again(scene: Stage) -> None:
    await scene.holds(PLACE, hashed=False, evidence=None)
    await scene.shelves.enter(scene.held(PLACE))
    assert [type(event) for event in await scene.told()] == [ModelAppeared, ModelChanged]


async def test_what_vanished_is_nowhere(scene: Stage) -> None:
    held = await scene.holds(PLACE)
    await scene.shelves.change(Diff(vanished=(held,)))
    assert scene.shelves.held == {}
    assert await scene.index.held() == ()
    assert len(await scene.told(ModelVanished)) == 1


async def test_what_was_just_told_is_kept_until_it_is_taken(scene: Stage) -> None:
    await scene.holds(PLACE)
    await scene.shelves.tell(FINISHED)
    assert [type(each.event) for each in scene.shelves.take_fresh()] == [ModelAppeared, ScanFinished]
    assert scene.shelves.take_fresh() == []


async def test_of_many_changes_none_is_kept_and_what_follows_waits_until_that_was_asked_for(scene: Stage) -> None:
    places = [f"vae/{n}.gguf" for n in range(module.FRESH)]
    for place in places:
        scene.put(place)
    await scene.shelves.change(Diff(appeared=tuple(map(scene.held, places))))
    await scene.shelves.tell(FINISHED)
    assert scene.shelves.take_fresh() == []
    await scene.shelves.tell(FINISHED)
    assert [type(each.event) for each in scene.shelves.take_fresh()] == [ScanFinished]


async def test_the_mirror_is_loaded_from_the_index(scene: Stage) -> None:
    held = await scene.holds(PLACE)
    again = Shelves(scene.index, scene.board)
    await again.load()
    assert again.held == {held.file: held}


async def test_a_change_rings_those_who_care(scene: Stage) -> None:
    await scene.holds(PLACE)
    bells = scene.board.bells
    assert all([await bell.wait(1) for bell in (bells.publishing, bells.fetching, bells.gate, bells.hashing)])


async def test_news_without_a_change_only_rings_the_publisher(scene: Stage) -> None:
    await scene.shelves.tell(DiskLow(root="/m", free=1, floor=2))
    assert await scene.board.bells.publishing.wait(1)
    assert not await scene.board.bells.gate.wait(0.01)


async def test_a_snapshot_is_the_inventory_exactly_as_of_its_event(scene: Stage) -> None:
    held = await scene.holds(PLACE)
    async with asyncio.TaskGroup() as group:
        taken = group.create_task(scene.shelves.snapshot())
        group.create_task(scene.holds("vae/b.gguf"))
    envelope, entries = taken.result()
    told = envelope.event
    assert isinstance(told, InventorySnapshot)
    assert told.models == len(entries)
    assert held.file in {entry.path for entry in entries}
    before = [e for e in await scene.index.outbox(100) if e.seq <= envelope.seq and isinstance(e.event, ModelAppeared)]
    assert len(before) == told.models


async def test_a_slow_listener_is_dropped_and_hears_that_it_was(scene: Stage, monkeypatch) -> None:
    monkeypatch.setattr(module, "LISTENER_BACKLOG", 3)
    with scene.shelves.listening() as slow, scene.shelves.listening() as quick:
        for count in range(5):
            await scene.shelves.tell(RootBack(root=f"/{count}"))
            assert len(quick.get_nowait()) == 1
        heard = [slow.get_nowait() for _ in range(slow.qsize())]
    assert [len(envelopes) for envelopes in heard] == [1, 1, 1, 0]


async def test_who_left_hears_nothing_more(scene: Stage) -> None:
    with scene.shelves.listening() as queue:
        pass
    await scene.shelves.tell(RootBack(root="/m"))
    assert queue.empty()


async def test_only_what_a_plan_can_depend_on_is_given_to_it(scene: Stage) -> None:
    here = await scene.holds("vae/a.safetensors")
    twin = await scene.holds("loras/twin.safetensors", b"wanted bytes")
    await scene.holds("loras/other.safetensors", b"others")
    alias = await scene.holds("unet/c.safetensors", b"c")
    asked = needs(
        model("vae/a.safetensors"),
        model("checkpoints/b.safetensors", b"wanted bytes"),
        model("diffusion_models/c.safetensors"),
    )
    assert {held.file for held in scene.shelves.relevant(asked)} == {here.file, twin.file, alias.file}
    await scene.shelves.change(Diff(vanished=(twin, alias)))
    assert {held.file for held in scene.shelves.relevant(asked)} == {here.file}


async def test_a_file_is_found_by_the_digest_that_is_known_of_it(scene: Stage) -> None:
    held = await scene.holds("loras/x.safetensors", b"wanted bytes")
    asked = needs(model("vae/a.safetensors", b"wanted bytes"))
    await scene.shelves.enter(replace(held, digests=Digests(blake3="e" * 64)))
    assert held.file in scene.shelves.incomplete[held.fingerprint.device]
    by_blake3 = needs(model("vae/a.safetensors", pin=Pin.parse("e" * 64)))
    assert [item.file for item in scene.shelves.relevant(by_blake3)] == [held.file]
    await scene.shelves.enter(held)
    assert scene.shelves.incomplete == {}
    assert scene.shelves.relevant(by_blake3) == []
    assert scene.shelves.relevant(asked) == [held]


async def test_unread_files_of_a_wanted_length_matter_while_they_can_be_read(scene: Stage) -> None:
    asked = needs(model("vae/a.safetensors", b"123456"))
    held = await scene.holds("loras/x.safetensors", b"654321", hashed=False, evidence=None)
    await scene.holds("loras/y.safetensors", b"another length", hashed=False, evidence=None)
    assert scene.shelves.relevant(asked) == [held]
    scene.board.lost_roots[held.root] = "it does not exist"
    assert scene.shelves.relevant(asked) == []
    scene.board.lost_roots.clear()
    scene.shelves.pass_over(held)
    assert scene.shelves.relevant(asked) == []
    scene.shelves.forgive()
    assert scene.shelves.relevant(asked) == [held]
    await scene.shelves.enter(scene.held("loras/x.safetensors"))
    assert scene.shelves.relevant(asked) == []


async def test_who_was_passed_over_gets_another_chance_when_it_changes(scene: Stage) -> None:
    asked = needs(model("vae/a.safetensors", b"123456"))
    held = await scene.holds("loras/x.safetensors", b"654321", hashed=False, evidence=None)
    scene.shelves.pass_over(held)
    touched = replace(held, fingerprint=replace(held.fingerprint, mtime_ns=1))
    await scene.shelves.enter(touched)
    assert scene.shelves.relevant(asked) == [touched]


async def test_lent_files_matter_to_plans_and_are_told_to_nobody(scene: Stage) -> None:
    wanted = model("vae/a.safetensors", b"wanted bytes")
    scene.put("elsewhere", b"wanted bytes")
    blob = replace(
        scene.held("elsewhere", hashed=False, evidence=None), shelf=ShelfPath(folder=HUB, name=wanted.pin.hex)
    )
    scene.shelves.lend([blob])
    assert scene.shelves.relevant(needs(wanted)) == [blob]
    assert (scene.shelves.held, scene.shelves.unread, await scene.told()) == ({}, {}, [])

    read = replace(blob, digests=digest_file(blob.file)[1], evidence="pin")
    scene.shelves.know_better(read)
    assert scene.shelves.relevant(needs(wanted)) == [read]
    assert not scene.shelves.knows(wanted.pin)

    scene.shelves.lend([])
    assert (scene.shelves.relevant(needs(wanted)), scene.shelves.lent) == ([], {})
    held = await scene.holds("loras/x.safetensors", b"wanted bytes")
    assert scene.shelves.relevant(needs(wanted)) == [held]
    assert scene.shelves.knows(wanted.pin)


async def test_to_lend_what_is_lent_already_rings_nobody(scene: Stage) -> None:
    held = await scene.holds("loras/x.safetensors", b"wanted bytes")
    blob = replace(held, shelf=ShelfPath(folder=HUB, name="e" * 64), file="/cache/e")
    scene.shelves.lend([blob])
    assert await scene.board.bells.fetching.wait(0.01)
    scene.shelves.lend([blob])
    assert not await scene.board.bells.fetching.wait(0.01)


async def test_comings_count_files_that_come_leave_or_move_and_not_what_is_learnt_of_them(scene: Stage) -> None:
    seen = [scene.shelves.comings]

    async def counted(diff: Diff) -> bool:
        await scene.shelves.change(diff)
        seen.append(scene.shelves.comings)
        return seen[-1] > seen[-2]

    scene.put(PLACE)
    held = scene.held(PLACE, hashed=False, evidence=None)
    moved = replace(held, shelf=ShelfPath(folder="loras", name="a.gguf"))
    assert await counted(Diff(appeared=(held,)))
    assert not await counted(Diff(changed=(scene.held(PLACE),)))
    assert await counted(Diff(changed=(moved,)))
    assert await counted(Diff(vanished=(moved,)))


async def test_many_files_that_come_at_once_are_no_matter_for_the_search_for_garbage(scene: Stage) -> None:
    scene.put(PLACE)
    held = scene.held(PLACE, hashed=False, evidence=None)
    many = tuple(replace(held, file=f"{held.file}{number}") for number in range(module.MANY))
    gc.unfreeze()  # whatever another test set aside
    try:
        await scene.shelves.change(Diff(appeared=many[1:]))
        assert gc.get_freeze_count() == 0
        await scene.shelves.change(Diff(vanished=many[1:]))
        await scene.shelves.change(Diff(appeared=many))
        assert gc.get_freeze_count() > len(many)
    finally:
        gc.unfreeze()
