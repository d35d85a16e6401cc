"""Changes of large inventories: the public JSON is edited, whatever comes, goes and becomes another one in one call."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from model_manager.bus.listing import Listings
from model_manager.bus.publishing import Bus, Delivered, NeedsSnapshot
from model_manager.facts.event import Entry
from tests.bus.telling import Teller, entry, insist
from tests.bus.test_publishing import introduced

FOLDERS = ("loras", "vae", 'a "folder":[', "größe")


def some(number: int, *folders: str) -> list[Entry]:
    return [entry(f"set{n % 7}/model-{n:04d}.safetensors", folders[n % len(folders)]) for n in range(number)]


@pytest.mark.parametrize("seed", range(6))
async def test_any_changes_in_one_call_leave_what_the_disk_holds(bus: Bus, redis: Redis, seed: int) -> None:
    chance = random.Random(seed)
    pool = some(60, *FOLDERS) if seed % 2 else some(500, *FOLDERS)
    teller = await introduced(bus, *chance.sample(pool, len(pool) // 2))
    for _ in range(12):
        for _ in range(chance.randint(1, 4)):
            tell_something(teller, pool, chance)
        assert isinstance(await bus.publish(teller.outbox), Delivered)
        teller.outbox.clear()
        await insist(redis, teller)


def tell_something(teller: Teller, pool: list[Entry], chance: random.Random) -> None:
    held = teller.entries
    match chance.randrange(4):
        case 0:
            teller.appear(*chance.sample([each for each in pool if each.path not in teller.held] or pool, 3))
        case 1 if len(held) > 12:
            first = chance.randrange(len(held) - 12)
            teller.vanish(*held[first : first + 12])
        case 2 if held:
            teller.change(*(replace(each, size=each.size + 1) for each in chance.sample(held, min(len(held), 5))))
        case _ if held:
            teller.change(*(replace(each, folder=chance.choice(FOLDERS)) for each in chance.sample(held, 2)))
        case _:
            teller.appear(*pool[:3])


async def test_a_folder_that_is_emptied_and_filled_again_in_one_call(bus: Bus, redis: Redis) -> None:
    first, second = some(40, "loras"), [entry(f"new-{n}.pt", "loras") for n in range(3)]
    teller = await introduced(bus, *first, entry("x.pt", "vae"))
    teller.vanish(*first[:39])
    teller.vanish(first[39])
    teller.appear(*second)
    teller.vanish(second[0])
    assert isinstance(await bus.publish(teller.outbox), Delivered)
    await insist(redis, teller)
    teller.vanish(*second[1:])
    teller.vanish(*(each for each in teller.entries if each.folder == "vae"))
    assert isinstance(await bus.publish(teller.outbox), Delivered)
    await insist(redis, teller)


async def test_fifty_changes_of_a_large_inventory_are_a_diff(bus: Bus, redis: Redis) -> None:
    pool = some(1_000, "loras", "vae")
    teller = await introduced(bus, *pool)
    teller.outbox.clear()
    teller.vanish(*pool[100:150])
    assert isinstance(await bus.publish(teller.outbox), Delivered)
    await insist(redis, teller)


async def test_events_that_are_too_much_for_one_call_together_are_told_in_several(
    bus: Bus, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes that are sought in count: here a few long ones for many, of a machine that can make no listing."""

    async def nothing(*_: object) -> None: ...

    monkeypatch.setattr(Listings, "prepare", nothing)
    pool = [entry(f"{'deep/' * 800}{n}.pt") for n in range(400)]
    teller = await introduced(bus, *pool)
    for each in pool[:40]:
        teller.vanish(each)
    assert isinstance(await bus.publish(teller.outbox), Delivered)
    await insist(redis, teller)
    teller.outbox.clear()
    teller.vanish(*pool[40:80])
    assert isinstance(await bus.publish(teller.outbox), NeedsSnapshot), "a single event is not taken apart"
    before = list(teller.outbox)
    assert isinstance(await bus.snapshot(teller.snapshot(), teller.entries, before), Delivered)
    await insist(redis, teller)
