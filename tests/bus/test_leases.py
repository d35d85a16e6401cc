from __future__ import annotations

from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from model_manager.bus.functions import Functions
from model_manager.bus.keys import Keys
from model_manager.bus.leases import NOTICE, Leases
from model_manager.bus.publishing import Bus
from model_manager.bus.withdrawing import Withdrawing
from model_manager.facts.machine import Disk, Figures, Readiness, WorkflowReadiness
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Phase, Total, Transfer
from tests.bus.telling import Teller, entry, indexed
from tests.bus.test_publishing import introduced

KEYS = Keys()
Make = Callable[..., Bus]


async def test_a_heartbeat_comes_back_as_it_was_said(bus: Bus, redis: Redis) -> None:
    workflow = WorkflowReadiness(name="flux", ready=False, reasons=("a.pt is missing",))
    said = Teller().beat(
        readiness=Readiness(
            ready=False, reasons=("flux",), workflows=(workflow,), generation="g", required=3, present=2
        ),
        disks=(Disk(root="/models", free=1, total=2, floor=3, quarantined=4),),
        figures=Figures(startup_seconds=1.5, downloads_verified=3),
    )
    await bus.beat(said, {"peer": "http://a"})
    looked = await Leases(redis, KEYS).look()
    lease = looked.leases["m1"]
    assert (lease.heartbeat, lease.alive, lease.why) == (said, True, "")
    assert lease.deadline is not None
    assert looked.at + 50 < lease.deadline <= looked.at + 61


async def test_the_silent_and_the_unknown_are_told_apart(bus_of: Make, redis: Redis) -> None:
    await bus_of().beat(Teller().beat(), {})
    await redis.delete(KEYS.lease("m1"))
    looked = await Leases(redis, KEYS).look(["m2"])
    assert {name: (lease.alive, lease.deadline is None) for name, lease in looked.leases.items()} == {
        "m1": (False, False),
        "m2": (False, True),
    }


@pytest.mark.parametrize(
    ("field", "value"), [("epoch", "x"), ("disks", "{"), ("workflows", "[5]"), ("workflows", "5"), ("reasons", "5")]
)
async def test_e8_an_unreadable_heartbeat_is_a_reason(bus: Bus, redis: Redis, field: str, value: str) -> None:
    await bus.beat(Teller().beat(), {})
    await redis.hset(KEYS.lease("m1"), field, value)
    lease = (await Leases(redis, KEYS).look()).leases["m1"]
    assert (lease.heartbeat, lease.alive) == (None, False)
    assert "unreadable" in lease.why


async def test_e8_a_lease_that_is_none_and_a_missing_field_are_reasons(bus: Bus, redis: Redis) -> None:
    await bus.beat(Teller().beat(), {})
    await redis.hdel(KEYS.lease("m1"), "host")
    assert (await Leases(redis, KEYS).look()).leases["m1"].why
    await redis.set(KEYS.lease("m1"), "foo")
    assert "not a hash" in (await Leases(redis, KEYS).look()).leases["m1"].why


async def test_l7_fields_of_a_later_release_do_not_matter(bus: Bus, redis: Redis) -> None:
    await bus.beat(Teller().beat(), {})
    await redis.hset(KEYS.lease("m1"), "colour", "blue")
    assert (await Leases(redis, KEYS).look()).leases["m1"].alive


@pytest.mark.parametrize(
    ("told", "figures"),
    [
        ("{", None),
        ("[1]", None),
        ("null", None),
        ('{"startup_seconds": "soon", "cache_hits": true, "cache_misses": 4, "more": 1}', Figures(cache_misses=4)),
    ],
)
async def test_e8_figures_that_are_unreadable_are_unknown(bus: Bus, redis: Redis, told: str, figures: object) -> None:
    await bus.beat(Teller().beat(), {})
    await redis.hset(KEYS.lease("m1"), "figures", told)
    heartbeat = (await Leases(redis, KEYS).look()).leases["m1"].heartbeat
    assert heartbeat is not None
    assert heartbeat.figures == figures


async def test_progress_is_read_of_many_at_once_and_garbage_is_left_out(bus_of: Make, redis: Redis) -> None:
    moving = Transfer(shelf=ShelfPath(folder="vae", name="a.pt"), phase=Phase.FETCHING, bytes=5, total=10)
    await bus_of("m1").progress([moving], Total(models=1))
    await redis.hset(KEYS.progress("m1"), "vae/b.pt", "{")
    await redis.set(KEYS.progress("m2"), "foo")
    found = await Leases(redis, KEYS).progress(["m1", "m2", "m3"])
    assert found.keys() == {"m1"}
    assert found["m1"].keys() == {"vae/a.pt", "total"}
    assert found["m1"]["vae/a.pt"]["bytes"] == 5


async def test_l1_who_died_while_nobody_looked_is_buried_with_its_index_entries(bus_of: Make, redis: Redis) -> None:
    teller = await introduced(bus_of(), entry("a.pt"))
    await bus_of().beat(teller.beat(), {})
    await redis.delete(KEYS.lease("m1"))
    await redis.zadd(KEYS.alive, {"m1": 1})
    leases = Leases(redis, KEYS)
    assert await leases.bury() == ("m1",)
    assert await indexed(redis, "m1") == set()
    assert await leases.bury() == ()


async def test_l1_an_inventory_that_nobody_speaks_of_gets_a_deadline_and_then_a_burial(bus: Bus, redis: Redis) -> None:
    await introduced(bus, entry("a.pt"))
    leases = Leases(redis, KEYS)
    assert await leases.orphans() == ("m1",)
    assert await leases.orphans() == (), "it has its deadline"
    seconds, _ = await redis.time()
    assert seconds < await redis.zscore(KEYS.alive, "m1") / 1000 <= seconds + NOTICE + 2
    assert await leases.bury() == ()
    await redis.zadd(KEYS.alive, {"m1": 1})
    assert await leases.bury() == ("m1",)
    assert await indexed(redis, "m1") == set()


async def test_the_living_and_the_withdrawn_are_no_orphans(bus_of: Make, redis: Redis) -> None:
    teller = await introduced(bus_of("m1"), machine="m1")
    await bus_of("m1").beat(teller.beat(), {})
    gone = await introduced(bus_of("m2"), machine="m2")
    await bus_of("m2").bye(gone.bye())
    assert await Leases(redis, KEYS).orphans() == ()
    await redis.delete(KEYS.alive)
    assert await Leases(redis, KEYS).orphans() == (), "it beats"


async def test_l1_members_of_whom_nothing_else_is_left_leave_the_reverse_index(bus_of: Make, redis: Redis) -> None:
    await introduced(bus_of("m1"), entry("a.pt"))
    await introduced(bus_of("m2"), entry("a.pt"))
    await redis.delete(*(key_of("m1") for key_of in (KEYS.models, KEYS.inventory, KEYS.names, KEYS.lease)))
    await redis.zrem(KEYS.alive, "m1")
    await redis.set(KEYS.index("garbage"), "x")
    assert await Leases(redis, KEYS).strays() == ("m1",)
    await redis.delete(KEYS.index("garbage"))
    assert (await indexed(redis, "m1"), await indexed(redis, "m2")) == (set(), {"a.pt"})
    assert await redis.smembers(KEYS.index("a.pt")) == {b"m2"}
    assert await Leases(redis, KEYS).strays() == ()


@pytest.mark.parametrize("left", ["hash", "lease", "deadline"])
async def test_l1_one_that_comes_while_strays_are_looked_for_stays(redis: Redis, left: str) -> None:
    await redis.sadd(KEYS.index("a.pt"), "m1")
    withdrawing = Withdrawing(redis, KEYS, Functions(redis))
    if left == "deadline":
        await redis.zadd(KEYS.alive, {"m1": 1})
    else:
        await redis.hset(KEYS.models("m1") if left == "hash" else KEYS.lease("m1"), "x", "y")
    assert not await withdrawing.forget("m1", ["a.pt"])
    assert await redis.smembers(KEYS.index("a.pt")) == {b"m1"}
