"""The Redis faults, each done to a real server of its own."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from model_manager.bus.connection import connect
from model_manager.bus.keys import Keys
from model_manager.bus.publishing import Bus, Delivered, NeedsSnapshot
from model_manager.errors import BusUnavailable
from model_manager.facts.identity import MachineId
from tests.bus.servers import Server
from tests.bus.telling import Teller, entry, indexed, insist, streamed
from tests.bus.test_publishing import introduced

KEYS = Keys()


def own_bus(redis: Redis) -> Bus:
    return Bus(redis, MachineId("m1"), "here", "", 10_000, 60.0)


async def heal(bus: Bus, teller: Teller) -> None:
    """What the agent does at every beat."""
    answer = await bus.beat(teller.beat(), {})
    if isinstance(answer, NeedsSnapshot):
        before = list(teller.outbox)
        answer = await bus.snapshot(teller.snapshot(), teller.entries, before=before)
        teller.outbox.clear()
    assert isinstance(answer, Delivered)


async def test_e1_a_server_that_restarts_empty_gets_everything_again(own: Server, own_redis: Redis) -> None:
    bus = own_bus(own_redis)
    teller = await introduced(bus, entry("a.pt"))
    own.kill()
    teller.appear(entry("b.pt"))
    with pytest.raises(BusUnavailable):
        await bus.publish(teller.outbox)
    own.start()
    assert isinstance(await bus.publish(teller.outbox), NeedsSnapshot)
    await heal(bus, teller)
    await insist(own_redis, teller)


@pytest.mark.parametrize("name", ["valkey", pytest.param("redis", marks=pytest.mark.needs("redis-server"))])
async def test_e1_a_server_that_kept_its_log_takes_up_where_it_was(name: str) -> None:
    server = Server(name, "--appendonly", "yes", "--appendfsync", "always")
    redis = connect(server.url)
    try:
        bus = own_bus(redis)
        teller = await introduced(bus, entry("a.pt"))
        sent = teller.appear(entry("b.pt"))
        await bus.publish(teller.outbox)
        server.kill()
        waiting = teller.appear(entry("c.pt"))
        server.start()
        with pytest.raises(BusUnavailable):
            await bus.publish([sent, waiting])  # the connection was cut
        assert await bus.publish([sent, waiting]) == Delivered(teller.epoch, 4)
        assert len(await streamed(redis)) == 4
        await insist(redis, teller)
    finally:
        await redis.aclose()
        server.close()


async def test_e2_a_hung_server_is_given_up_on_and_nothing_is_doubled_when_it_wakes(own: Server) -> None:
    redis = connect(own.url, timeout=0.3)
    bus = own_bus(redis)
    teller = await introduced(bus)
    teller.appear(entry("a.pt"))
    own.freeze()
    with pytest.raises(BusUnavailable, match="in time"):
        await bus.publish(teller.outbox)
    own.thaw()
    await redis.aclose()
    patient = connect(own.url)
    bus = own_bus(patient)
    assert await bus.publish(teller.outbox) == Delivered(teller.epoch, 3)
    assert len(await streamed(patient)) == 3
    await insist(patient, teller)
    await patient.aclose()


async def test_e3_a_failover_that_lost_acknowledged_events_is_noticed_at_the_next_beat(own: Server) -> None:
    redis = connect(own.url)
    bus = own_bus(redis)
    teller = await introduced(bus, entry("a.pt"))
    kept = {key: await redis.dump(key) for key in await redis.keys("*")}
    teller.appear(entry("b.pt"))
    assert await bus.publish(teller.outbox) == Delivered(teller.epoch, 3)
    teller.outbox.clear()
    await redis.flushall()
    for key, value in kept.items():
        await redis.restore(key, 0, value)
    assert await bus.beat(teller.beat(), {}) == NeedsSnapshot(3)
    await heal(bus, teller)
    await insist(redis, teller)
    await redis.aclose()


@pytest.mark.parametrize(
    "lost", [KEYS.models("m1"), KEYS.inventory("m1"), KEYS.names("m1"), KEYS.index("a.pt"), KEYS.alive, "everything"]
)
async def test_e4_an_evicted_key_is_back_after_one_beat(bus: Bus, redis: Redis, lost: str) -> None:
    teller = await introduced(bus, entry("a.pt"), entry("b.pt"))
    await bus.beat(teller.beat(), {})
    await (redis.flushall() if lost == "everything" else redis.delete(lost))
    await heal(bus, teller)
    await insist(redis, teller)
    assert await redis.zscore(bus.keys.alive, "m1") is not None


async def test_e4_entries_that_somebody_deleted_are_all_back_after_one_beat(bus: Bus, redis: Redis) -> None:
    names = [f"{n}.pt" for n in range(300)]
    teller = await introduced(bus, *map(entry, names))
    for _ in range(3):
        await bus.beat(teller.beat(), {})
    await redis.delete(*map(KEYS.index, names))
    await bus.beat(teller.beat(), {})
    await insist(redis, teller)


async def test_e4_a_machine_that_somebody_took_out_of_an_entry_is_back_after_some_beats(bus: Bus, redis: Redis) -> None:
    names = [f"{n}.pt" for n in range(60)]
    teller = await introduced(bus, *map(entry, names))
    await bus.beat(teller.beat(), {})
    for name in names:
        await redis.sadd(KEYS.index(name), "m2")
        await redis.srem(KEYS.index(name), "m1")
    for _ in range(4):
        await bus.beat(teller.beat(), {})
    assert await indexed(redis, "m1") == set(names)


async def test_e4_many_evicted_entries_are_all_back_after_the_beat_that_hears_of_it(own: Server) -> None:
    redis = connect(own.url)
    bus = own_bus(redis)
    names = [f"{n}.pt" for n in range(60)]
    teller = await introduced(bus, *map(entry, names))
    await bus.beat(teller.beat(), {})
    await bus.beat(teller.beat(), {})
    await redis.config_set("maxmemory-policy", "volatile-lru")
    for name in names:
        await redis.expire(KEYS.index(name), 1000)
    await redis.config_set("maxmemory", "1")
    while await redis.exists(*map(KEYS.index, names)):
        await asyncio.sleep(0.01)
    await redis.config_set("maxmemory", "0")
    await bus.beat(teller.beat(), {})
    await heal(bus, teller)
    await insist(redis, teller)
    await redis.aclose()


async def test_e5_out_of_memory_refuses_events_but_never_the_heartbeat(own: Server, own_redis: Redis) -> None:
    bus = own_bus(own_redis)
    teller = await introduced(bus, entry("a.pt"))
    await own_redis.config_set("maxmemory", "1")
    teller.appear(entry("b.pt"))
    with pytest.raises(BusUnavailable, match="out of memory"):
        await bus.publish(teller.outbox)
    assert isinstance(await bus.beat(teller.beat(), {}), Delivered)
    await own_redis.config_set("maxmemory", "0")
    assert await bus.publish(teller.outbox) == Delivered(teller.epoch, 3)
    await insist(own_redis, teller)


async def test_e5_a_machine_can_leave_a_full_server(own: Server, own_redis: Redis) -> None:
    bus = own_bus(own_redis)
    teller = await introduced(bus, entry("a.pt"))
    await own_redis.config_set("maxmemory", "1")
    assert await bus.bye(teller.bye()) == Delivered(teller.epoch, 3)
    assert await indexed(own_redis, "m1") == set()


async def test_e6_a_read_only_replica_is_named_and_nothing_is_lost(own: Server, own_redis: Redis) -> None:
    bus = own_bus(own_redis)
    teller = await introduced(bus, entry("a.pt"))
    await own_redis.config_set("replica-serve-stale-data", "yes")
    await own_redis.replicaof("127.0.0.1", "1")
    teller.appear(entry("b.pt"))
    with pytest.raises(BusUnavailable, match="read-only replica"):
        await bus.publish(teller.outbox)
    await own_redis.replicaof("NO", "ONE")
    assert await bus.publish(teller.outbox) == Delivered(teller.epoch, 3)
    await insist(own_redis, teller)


@pytest.mark.parametrize("change", ["resetpass >new", "off", "-@all"])
async def test_e7_lost_rights_are_named_without_the_password_and_recover(
    own: Server, own_redis: Redis, change: str
) -> None:
    await own_redis.execute_command("ACL", "SETUSER", "mm", "on", ">canary-pw", "~*", "&*", "+@all")
    bus = own_bus(connect(f"unix://mm:canary-pw@{own.socket}"))
    teller = await introduced(bus, entry("a.pt"))
    teller.appear(entry("b.pt"))
    await own_redis.execute_command("ACL", "SETUSER", "mm", *change.split())
    if change != "-@all":
        await own_redis.execute_command("CLIENT", "KILL", "USER", "mm")
        with pytest.raises(BusUnavailable):
            await bus.publish(teller.outbox)
    with pytest.raises(BusUnavailable, match="REDIS_URL") as raised:
        await bus.publish(teller.outbox)
    assert "canary-pw" not in f"{raised.value}{raised.value.facts}"
    await own_redis.execute_command("ACL", "SETUSER", "mm", "on", "resetpass", ">canary-pw", "+@all")
    assert await bus.publish(teller.outbox) == Delivered(teller.epoch, 3)
    await insist(own_redis, teller)
    await bus._redis.aclose()


@pytest.mark.parametrize("key", [KEYS.models("m1"), KEYS.inventory("m1"), KEYS.names("m1")])
async def test_e8_garbage_in_our_keys_is_replaced(bus: Bus, redis: Redis, key: str) -> None:
    teller = await introduced(bus, entry("a.pt"), entry("b.pt", verified=False))
    await redis.set(key, "foo")
    teller.vanish(entry("a.pt"))
    assert isinstance(await bus.publish(teller.outbox), NeedsSnapshot)
    before = list(teller.outbox)
    assert isinstance(await bus.snapshot(teller.snapshot(), teller.entries, before=before), Delivered)
    await insist(redis, teller)


@pytest.mark.parametrize("key", [KEYS.lease("m1"), KEYS.alive, KEYS.index("a.pt"), KEYS.progress("m1")])
async def test_e8_garbage_beside_the_inventory_is_gone_after_one_beat(bus: Bus, redis: Redis, key: str) -> None:
    teller = await introduced(bus, entry("a.pt"))
    await redis.set(key, "foo")
    await heal(bus, teller)
    await bus.progress([])
    await insist(redis, teller)
    assert await redis.type(bus.keys.alive) == b"zset"
    assert await redis.type(bus.keys.lease("m1")) == b"hash"


@pytest.mark.parametrize("garbage", ["foo", "{", "null", '{"name": 5}', "[]", '{"folder":"a","name":"b"}'])
async def test_e8_an_unreadable_entry_is_a_reason_and_never_an_exception(bus: Bus, redis: Redis, garbage: str) -> None:
    held = entry("a.pt")
    teller = await introduced(bus, held, entry("b.pt"))
    await redis.hset(bus.keys.inventory("m1"), held.path, garbage)
    teller.vanish(held)
    assert await bus.publish(teller.outbox) == NeedsSnapshot(3)
    before = list(teller.outbox)
    await bus.snapshot(teller.snapshot(), teller.entries, before=before)
    await insist(redis, teller)


@pytest.mark.parametrize(("field", "value"), [("epoch", "-1"), ("seq", "1e3"), ("total_bytes", "x"), ("digest", "")])
async def test_e8_an_unreadable_position_is_an_unknown_one(bus: Bus, redis: Redis, field: str, value: str) -> None:
    teller = await introduced(bus, entry("a.pt"))
    await redis.hset(bus.keys.models("m1"), field, value)
    if field == "digest":
        teller.restart()
    else:
        teller.appear(entry("b.pt"))
    assert isinstance(await bus.publish(teller.outbox), NeedsSnapshot)


async def test_e8_a_stream_that_is_none_is_replaced(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus)
    await redis.set(bus.keys.events, "foo")
    teller.appear(entry("a.pt"))
    assert isinstance(await bus.publish(teller.outbox), Delivered)
    assert len(await streamed(redis)) == 1
