"""Changes of an inventory that is too large for the server to change its public JSON: the machine makes it, and it counts with the event."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from model_manager.bus.connection import connect
from model_manager.bus.keys import Keys
from model_manager.bus.listing import SMALL, Listing, Listings
from model_manager.bus.publishing import Bus, Delivered
from model_manager.errors import BadRecord
from model_manager.facts.event import Entry
from model_manager.facts.identity import MachineId
from tests.bus.servers import Server
from tests.bus.telling import Teller, entry, insist
from tests.bus.test_publishing import introduced
from tests.bus.test_publishing_of_many import FOLDERS, tell_something

KEYS = Keys()
DEEP = "deep/" * 500


def new_bus(redis: Redis) -> Bus:
    return Bus(redis, MachineId("m1"), "here", "", 10_000, 60.0)


def many(number: int = 300) -> list[Entry]:
    """Few files, but long ones: their public JSON is large."""
    return [entry(f"{DEEP}{n}.pt", FOLDERS[n % len(FOLDERS)]) for n in range(number)]


async def told(bus: Bus, teller: Teller) -> None:
    assert isinstance(await bus.publish(teller.outbox), Delivered)
    teller.outbox.clear()


async def changed(bus: Bus, redis: Redis, teller: Teller, *gone: Entry) -> None:
    teller.vanish(*gone)
    teller.appear(replace(gone[0], path=f"/other/{gone[0].path}"))
    await told(bus, teller)
    await insist(redis, teller)


@pytest.mark.parametrize("seed", range(3))
async def test_any_changes_of_a_large_inventory_leave_what_the_disk_holds(bus: Bus, redis: Redis, seed: int) -> None:
    chance, pool = random.Random(seed), many()
    teller = await introduced(bus, *pool[:250])
    for _ in range(6):
        for _ in range(chance.randint(1, 3)):
            tell_something(teller, pool, chance)
        await told(bus, teller)
        await insist(redis, teller)
    assert not await redis.keys("routing:listing:*")


async def test_the_server_does_not_change_a_large_json_itself(
    bus: Bus, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    deliver = Bus._deliver

    async def noted(self: Bus, mode: str, *rest: object) -> object:
        asked.append(mode)
        return await deliver(self, mode, *rest)  # type: ignore[arg-type]

    pool = many()
    teller = await introduced(bus, *pool)
    monkeypatch.setattr(Bus, "_deliver", noted)
    for n in range(3):
        await changed(bus, redis, teller, pool[n])
    assert asked == ["strict", "strict", "strict", "strict"], "the first one learns that a listing is wanted"


async def test_a_listing_of_another_step_counts_for_nothing(bus: Bus, redis: Redis) -> None:
    pool = many()
    teller = await introduced(bus, *pool)
    await changed(bus, redis, teller, pool[0])
    other = new_bus(redis)
    await redis.hset(
        KEYS.listing("m1"), mapping={"models": "{}", "base": "1 1", "upto": f"{teller.epoch} {teller.seq + 1}"}
    )
    await changed(other, redis, teller, pool[1])
    await changed(bus, redis, teller, pool[2])


async def test_what_was_not_delivered_is_told_again_from_what_is_stored(bus: Bus, redis: Redis) -> None:
    pool = many()
    teller = await introduced(bus, *pool)
    await changed(bus, redis, teller, pool[0])
    teller.vanish(pool[1])
    event = teller.outbox[:]
    assert isinstance(await new_bus(redis).publish(event), Delivered)
    assert isinstance(await bus.publish(event), Delivered), "its answer was lost"
    teller.outbox.clear()
    await changed(bus, redis, teller, pool[2])


@pytest.mark.parametrize("garbage", ["", "[]", "{", '{"loras":7}', '{"loras":[{}]}', '{"loras":[]}'])
async def test_e8_a_public_json_that_cannot_be_read_is_made_anew(bus: Bus, redis: Redis, garbage: str) -> None:
    pool = many()
    teller = await introduced(bus, *pool)
    await redis.hset(KEYS.models("m1"), "models", garbage + " " * 600_000)
    await changed(bus, redis, teller, pool[0])


async def test_e8_a_key_of_another_type_is_no_listing(bus: Bus, redis: Redis) -> None:
    pool = many()
    teller = await introduced(bus, *pool)
    await changed(bus, redis, teller, pool[0])
    await redis.set(KEYS.listing("m1"), "text")
    teller.vanish(pool[1])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Listings, "prepare", _nothing)
        await told(bus, teller)
    await insist(redis, teller)


async def _nothing(*_: object) -> None: ...


async def test_e7_a_server_that_forbids_to_rename_has_the_json_changed_there(own: Server) -> None:
    client, pool = connect(own.url), many()
    try:
        await client.execute_command("ACL", "SETUSER", "default", "-rename")
        bus = new_bus(client)
        teller = await introduced(bus, *pool)
        await insist(client, teller)
        await changed(bus, client, teller, pool[0])
    finally:
        await client.aclose()


def test_a_listing_says_what_it_was_read_from_and_what_was_laid_over_it() -> None:
    listing = Listing.read(
        (1, 2), b'{"vae":[{"folder":"vae","path":"/a"}],"loras":[{"folder":"loras","path":"/b"}]}', "x"
    )
    assert len(listing) == 2
    listing.lay([replace(entry("c.pt", "vae"), path="/b")])
    assert [*Listing.read((1, 2), listing.text(), "x").folders] == ["vae"]
    with pytest.raises(BadRecord):
        Listing.read((1, 2), b'{"vae":[{"folder":"vae"}]}', "x")


def test_the_public_json_of_these_is_large() -> None:
    assert len(many()) * len(DEEP) > 2 * SMALL
