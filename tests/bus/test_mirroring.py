from __future__ import annotations

from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from model_manager.bus.connection import connect
from model_manager.bus.following import Follower, Gap
from model_manager.bus.keys import Keys
from model_manager.bus.mirroring import Changed, Mirrors
from model_manager.bus.publishing import Bus, Delivered
from model_manager.decisions.folding import fold
from model_manager.errors import BadRecord, BusUnavailable
from model_manager.facts.event import ReadinessChanged
from model_manager.facts.mirror import copy_of
from tests.bus.servers import Server
from tests.bus.telling import Teller, entry
from tests.bus.test_publishing import introduced

A, B = entry("a.pt"), entry("b.pt")


class Reader:
    """A reader with a clock that stands still until it is told."""

    def __init__(self, redis: Redis) -> None:
        self.now = 0.0
        self.heard: list[Changed] = []
        self.redis = redis
        self.mirrors = Mirrors(redis, Keys(), fold, listener=self.heard.append, clock=lambda: self.now)

    async def begin(self) -> None:
        cursor = await self.mirrors.start()
        self.batches = Follower(self.redis, Keys(), cursor, block_ms=0).batches()

    async def read(self) -> None:
        quiet = 0
        while quiet < 2:
            batch = await anext(self.batches)
            await self.mirrors.take(batch.told)
            quiet = 0 if batch.told else quiet + 1

    def insist(self, teller: Teller) -> None:
        mirror = self.mirrors.machines[teller.machine]
        assert mirror.entries == {path: copy_of(each) for path, each in teller.held.items()}
        assert (mirror.position, mirror.digest) == ((teller.epoch, teller.seq), teller.digest)


@pytest.fixture
async def reader(redis: Redis) -> Reader:
    reader = Reader(redis)
    await reader.begin()
    return reader


async def test_a_reader_that_starts_late_knows_all_and_goes_on_by_the_stream(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus, A)
    reader = Reader(redis)
    await reader.begin()
    reader.insist(teller)
    teller.appear(B)
    await bus.publish(teller.outbox)
    await reader.read()
    reader.insist(teller)
    assert [(each.before is None, each.envelope is None) for each in reader.heard] == [(True, True), (False, False)]


async def test_a_machine_that_introduces_itself_is_known_at_its_snapshot(bus: Bus, reader: Reader) -> None:
    teller = await introduced(bus, A)
    await reader.read()
    reader.insist(teller)
    assert reader.mirrors.unsure == {}


async def test_e9_what_was_trimmed_is_read_from_the_hash(bus: Bus, redis: Redis, reader: Reader) -> None:
    teller = await introduced(bus)
    await reader.read()
    teller.appear(A)
    await bus.publish(teller.outbox)
    await redis.xtrim(Keys().events, maxlen=0, approximate=False)
    teller.appear(B)
    await bus.publish(teller.outbox)
    await reader.read()
    reader.insist(teller)


async def test_e3_an_entry_that_was_lost_without_a_trace_is_found_by_the_second_audit(
    bus: Bus, redis: Redis, reader: Reader
) -> None:
    teller = await introduced(bus)
    await reader.read()
    teller.appear(A)
    await bus.publish(teller.outbox)
    last = (await redis.xrevrange(Keys().events, count=1))[0][0]
    await redis.xdel(Keys().events, last)
    await reader.read()
    assert not reader.mirrors.machines["m1"].entries
    await reader.mirrors.audit()
    assert not reader.mirrors.machines["m1"].entries, "the stream might have been on its way"
    await reader.mirrors.audit()
    reader.insist(teller)


async def test_after_a_gap_everything_is_compared_at_once(bus: Bus, redis: Redis, reader: Reader) -> None:
    teller = await introduced(bus)
    await reader.read()
    teller.appear(A)
    await bus.publish(teller.outbox)
    await reader.mirrors.take([("0-0", Gap("lost", lost=True))])
    reader.insist(teller)


async def test_a_machine_whose_snapshot_is_on_its_way_is_unsure_and_asked_less_and_less_often(
    bus: Bus, reader: Reader
) -> None:
    teller = await introduced(bus, A)
    await reader.read()
    await bus.beat(teller.beat(), {})
    teller.appear(B)
    late = teller.appear(entry("c.pt"))
    await bus._publish([late], blind=True)
    await reader.read()
    assert list(reader.mirrors.unsure) == ["m1"]
    assert list(reader.mirrors.machines["m1"].entries) == [A.path], "the last that is known stays"
    looks = 0
    for _ in range(200):
        tries = reader.mirrors._owed["m1"].due
        reader.now += 1
        await reader.mirrors.take(())
        looks += reader.mirrors._owed["m1"].due != tries
    assert 8 <= looks <= 20
    assert await bus.snapshot(teller.snapshot(), teller.entries) == Delivered(teller.epoch, teller.seq)
    await reader.read()
    reader.insist(teller)
    assert reader.mirrors.unsure == {}


async def test_e8_a_hash_that_lies_is_not_believed_until_it_is_mended(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus, A)
    truth = await redis.hget(Keys().models("m1"), "models")
    reader = Reader(redis)
    for broken in (truth.replace(b"a.pt", b"x.pt"), b"{", b"[]", b'{"loras":[{"name":"a"}]}', b'{"loras":[5]}'):
        await redis.hset(Keys().models("m1"), "models", broken)
        reader.now += 100
        await reader.begin()
        assert list(reader.mirrors.unsure) == ["m1"]
        assert reader.mirrors.machines == {}
    await redis.hset(Keys().models("m1"), "models", truth)
    reader.now += 100
    await reader.mirrors.take(())
    reader.insist(teller)


async def test_a_hash_that_contradicts_the_mirror_at_its_own_place_is_read(bus: Bus, reader: Reader) -> None:
    teller = await introduced(bus, A)
    await reader.read()
    other = Teller(epoch=teller.epoch)
    other.held = {B.path: B}
    other.hello()
    await reader.redis.flushall()
    await bus.snapshot(other.snapshot(), other.entries, before=other.outbox[:1])
    await reader.mirrors.audit()
    reader.insist(other)


async def test_i6_the_process_that_lives_is_believed_though_its_epoch_is_the_lower_one(
    bus_of: Callable[..., Bus], redis: Redis, reader: Reader
) -> None:
    await introduced(bus_of(), A)
    await reader.read()
    await redis.flushall()
    anew = Teller(epoch=1_000)
    anew.held = {B.path: B}
    bus = bus_of()
    await bus.beat(anew.beat(), {})
    hello = anew.hello()
    await bus.snapshot(anew.snapshot(), anew.entries, before=[hello])
    await reader.read()
    await reader.mirrors.audit()
    reader.insist(anew)


async def test_e4_an_emptied_server_leaves_the_mirrors_as_they_are(bus: Bus, redis: Redis, reader: Reader) -> None:
    teller = await introduced(bus, A)
    await reader.read()
    await redis.flushall()
    await reader.read()
    await reader.mirrors.audit()
    reader.insist(teller)
    await bus.beat(teller.beat(), {})
    await bus.snapshot(teller.snapshot(), teller.entries)
    await reader.read()
    reader.insist(teller)


async def test_l1_a_machine_that_was_withdrawn_offers_nothing_and_comes_back_whole(
    bus_of: Callable[..., Bus], redis: Redis, reader: Reader
) -> None:
    bus = bus_of()
    teller = await introduced(bus, A)
    await bus.beat(teller.beat(), {})
    await reader.read()
    await redis.delete(Keys().lease("m1"))
    await redis.zadd(Keys().alive, {"m1": 1})
    assert await bus_of("m2").reap() == ("m1",)
    await reader.mirrors.audit()
    assert reader.mirrors.machines["m1"].left
    assert reader.mirrors.who_has(name="a.pt") == {}
    await bus.beat(teller.beat(), {})
    await bus.snapshot(teller.snapshot(), teller.entries)
    await reader.read()
    reader.insist(teller)
    assert not reader.mirrors.machines["m1"].left


async def test_goodbye_is_heard_from_the_stream(bus: Bus, reader: Reader) -> None:
    teller = await introduced(bus, A)
    await reader.read()
    await bus.bye(teller.bye())
    await reader.read()
    assert (reader.mirrors.machines["m1"].left, reader.mirrors.unsure) == (True, {})
    assert list(reader.mirrors.copies) == []
    late = Reader(reader.redis)
    await late.begin()
    assert (late.mirrors.machines, late.mirrors.unsure) == ({}, {})


async def test_who_has_it_is_answered_by_name_and_by_hash(bus_of: Callable[..., Bus], reader: Reader) -> None:
    await introduced(bus_of("m1"), A, B, machine="m1")
    await introduced(bus_of("m2"), A, entry("a.pt", "vae"), machine="m2")
    await reader.read()
    has = reader.mirrors.who_has
    assert {name: len(copies) for name, copies in has(name="a.pt").items()} == {"m1": 1, "m2": 2}
    assert set(has(name="vae/a.pt")) == {"m2"}
    assert set(has(sha256="AB" * 32)) == {"m1", "m2"}
    assert has(name="b.pt", sha256="00" * 32) == has(name="z.pt") == has() == {}
    reader.mirrors.forget("m2")
    assert set(has(name="a.pt")) == {"m1"}
    assert (reader.heard[-1].machine_id, reader.heard[-1].after) == ("m2", None)
    reader.mirrors.forget("m2")


async def test_what_is_no_event_stops_nothing(bus: Bus, redis: Redis, reader: Reader) -> None:
    await redis.xadd(Keys().events, {"foo": "bar"})
    teller = await introduced(bus, A)
    await reader.read()
    reader.insist(teller)
    await reader.mirrors.take([("1-1", BadRecord(name="x", why="y"))])
    reader.insist(teller)


async def test_e1_what_is_owed_while_redis_is_away_is_read_when_it_is_back(own: Server, own_redis: Redis) -> None:
    from model_manager.facts.identity import MachineId

    bus = Bus(own_redis, MachineId("m1"), "here", "", 1_000, 60.0)
    teller = await introduced(bus, A)
    reader = Reader(own_redis)
    await reader.begin()
    teller.appear(B)
    hole = teller.tell(ReadinessChanged(ready=True, reasons=(), workflows={}))
    own.kill()
    with pytest.raises(BusUnavailable):
        await reader.mirrors.take([("1-1", hole)])
    own.start()
    fresh = connect(own.url)
    bus = Bus(fresh, MachineId("m1"), "here", "", 1_000, 60.0)
    await bus.snapshot(teller.snapshot(), teller.entries)
    await reader.mirrors.take(())
    reader.insist(teller)
    await fresh.aclose()


async def test_a_stranger_that_redis_forgot_is_not_waited_for(bus: Bus, redis: Redis, reader: Reader) -> None:
    teller = await introduced(bus, A)
    batch = await anext(reader.batches)
    await redis.flushall()
    await reader.mirrors.take(batch.told)
    assert (reader.mirrors.unsure, reader.mirrors.machines) == ({}, {})
    await bus.beat(teller.beat(), {})
    await bus.snapshot(teller.snapshot(), teller.entries)
    await reader.read()
    reader.insist(teller)


async def test_l1_who_was_withdrawn_by_somebody_else_is_gone_at_the_first_look(
    bus: Bus, redis: Redis, reader: Reader
) -> None:
    teller = await introduced(bus, A)
    await reader.read()
    await redis.delete(Keys().lease("m1"))
    await redis.zadd(Keys().alive, {"m1": 1})
    assert await bus.reap() == ("m1",)
    await reader.mirrors.examine(["m1", "never-heard-of"])
    assert reader.mirrors.machines["m1"].left
    assert not reader.mirrors.who_has(name="a.pt")
    assert teller.machine in reader.mirrors.machines
