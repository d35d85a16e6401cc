from __future__ import annotations

from redis.asyncio import Redis

from model_manager.bus.keys import Keys
from model_manager.bus.publishing import Bus
from model_manager.bus.standing import HASHES, Stored, deadlines, stored, stored_machines
from model_manager.errors import BadRecord
from model_manager.facts.identity import MachineId
from tests.bus.telling import Teller, entry
from tests.bus.test_publishing import introduced


async def said(redis: Redis, machine: str = "m1", *, models: bool = False) -> Stored | BadRecord:
    found = {name: each async for name, each in stored(redis, Keys(), [machine], models=models)}
    return found[machine]


async def test_an_inventory_is_told_with_its_place(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus, entry("a.pt"))
    short = await said(redis)
    assert isinstance(short, Stored)
    assert (short.position, short.ahead, short.digest) == ((teller.epoch, 2), None, teller.digest)
    assert (short.models, short.leased, short.withdrawn, short.empty) == (b"", None, False, False)
    whole = await said(redis, models=True)
    assert isinstance(whole, Stored)
    assert b"a.pt" in whole.models


async def test_events_ahead_of_it_a_lease_and_a_tombstone_are_told_apart(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus, entry("a.pt"))
    await bus.beat(teller.beat(), {})
    await bus._publish([teller.appear(entry("b.pt"))], blind=True)
    ahead = await said(redis)
    assert isinstance(ahead, Stored)
    assert (ahead.position, ahead.ahead, ahead.leased) == ((teller.epoch, 2), (teller.epoch, 3), teller.epoch)
    await bus.bye(teller.bye())
    gone = await said(redis)
    assert isinstance(gone, Stored)
    assert (gone.position, gone.ahead, gone.withdrawn) == (None, (teller.epoch, 4), True)


async def test_history_before_the_first_snapshot_of_a_living_machine_is_no_tombstone(bus: Bus, redis: Redis) -> None:
    teller = Teller()
    await bus.beat(teller.beat(), {})
    await bus._publish([teller.hello()], blind=True)
    begun = await said(redis)
    assert isinstance(begun, Stored)
    assert (begun.ahead, begun.withdrawn, begun.empty) == ((teller.epoch, 1), False, False)


async def test_nothing_and_garbage_are_told_apart(redis: Redis) -> None:
    nothing = await said(redis)
    assert isinstance(nothing, Stored)
    assert nothing.empty
    await redis.set(Keys().models("m1"), "foo")
    assert isinstance(await said(redis), BadRecord)
    await redis.delete(Keys().models("m1"))
    await redis.hset(Keys().models("m1"), mapping={"epoch": "-1", "seq": "x", "digest": "a"})
    await redis.set(Keys().lease("m1"), "foo")
    unreadable = await said(redis)
    assert isinstance(unreadable, Stored)
    assert (unreadable.empty, unreadable.leased) == (True, None)


async def test_many_are_asked_for_in_order(redis: Redis) -> None:
    asked = [f"m{n}" for n in range(3 * HASHES + 1)]
    assert [machine async for machine, _ in stored(redis, Keys(), asked, models=True)] == asked


async def test_machines_are_found_by_their_hash_and_by_their_lease(bus: Bus, redis: Redis) -> None:
    odd = Bus(redis, MachineId("m2"), "there", "we[i]r*d:", 100, 60.0)
    await odd.beat((await introduced(odd, machine="m2")).beat(machine_id="m2"), {})
    await introduced(bus)
    assert await stored_machines(redis, Keys()) == {"m1"}
    assert await stored_machines(redis, odd.keys) == {"m2"}
    assert await deadlines(redis, Keys()) == {}
    seconds, _ = await redis.time()
    assert seconds < (await deadlines(redis, odd.keys))["m2"] <= seconds + 62
    await redis.set(Keys().alive, "foo")
    assert await deadlines(redis, Keys()) == {}
