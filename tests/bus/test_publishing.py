from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from model_manager.bus.publishing import Bus, Busy, Delivered, Fenced, NeedsSnapshot
from model_manager.errors import BusUnavailable
from model_manager.facts import wire
from model_manager.facts.event import ReadinessChanged, Unknown
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Phase, Total, Transfer
from tests.bus.telling import Teller, entry, indexed, insist, streamed

Make = Callable[..., Bus]


async def introduced(bus: Bus, *entries: object, machine: str = "m1") -> Teller:
    """A machine whose inventory Redis knows, its outbox empty."""
    teller = Teller(machine)
    teller.held = {each.path: each for each in entries}  # type: ignore[attr-defined]
    hello, snapshot = teller.hello(), teller.snapshot()
    assert await bus.snapshot(snapshot, teller.entries, before=[hello]) == Delivered(teller.epoch, 2)
    teller.outbox.clear()
    return teller


async def test_an_unknown_machine_is_asked_for_a_snapshot_and_loses_no_event_by_it(bus: Bus, redis: Redis) -> None:
    teller = Teller()
    teller.hello()
    teller.appear(entry("a.safetensors"))
    assert await bus.publish(teller.outbox) == NeedsSnapshot(0)
    assert await redis.exists(bus.keys.events) == 0
    before = list(teller.outbox)
    snapshot = teller.snapshot()
    assert await bus.snapshot(snapshot, teller.entries, before=before) == Delivered(teller.epoch, 3)
    assert [(seq, kind) for _, seq, kind in await streamed(redis)] == [
        (1, "machine.hello"),
        (2, "model.appeared"),
        (3, "inventory.snapshot"),
    ]
    await insist(redis, teller)


async def test_what_is_repeated_changes_nothing(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus)
    teller.appear(entry("a.safetensors"))
    teller.tell(ReadinessChanged(ready=True, reasons=(), workflows={"flux": True}))
    for _ in range(3):
        assert await bus.publish(teller.outbox) == Delivered(teller.epoch, 4)
    assert len(await streamed(redis)) == 4
    await insist(redis, teller)


async def test_a_repeated_snapshot_changes_nothing(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus, entry("a.safetensors"))
    snapshot = teller.snapshot()
    for _ in range(2):
        assert await bus.snapshot(snapshot, teller.entries) == Delivered(teller.epoch, 3)
    assert len(await streamed(redis)) == 3


async def test_a_hole_is_answered_with_what_is_expected_and_nothing_of_the_batch_is_applied(
    bus: Bus, redis: Redis
) -> None:
    teller = await introduced(bus)
    first, _, third = teller.appear(entry("a.pt")), teller.appear(entry("b.pt")), teller.appear(entry("c.pt"))
    assert await bus.publish([first, third]) == NeedsSnapshot(4)
    assert len(await streamed(redis)) == 2
    assert await indexed(redis, "m1") == set()
    assert await bus.publish(teller.outbox) == Delivered(teller.epoch, 5)
    await insist(redis, teller)


async def test_a_snapshot_whose_place_is_taken_is_not_called_delivered(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus)
    old = teller.snapshot()
    assert isinstance(await bus.publish([old]), Delivered)
    await redis.delete(bus.keys.inventory("m1"), bus.keys.models("m1"))
    await redis.hset(bus.keys.models("m1"), mapping={"ahead_epoch": teller.epoch, "ahead_seq": 9})
    assert await bus.snapshot(old, teller.entries) == NeedsSnapshot(10)


async def test_a_new_epoch_with_the_same_digest_needs_no_snapshot(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus, entry("a.safetensors"))
    teller.restart()
    teller.appear(entry("b.safetensors"))
    assert await bus.publish(teller.outbox) == Delivered(teller.epoch, 2)
    await insist(redis, teller)


async def test_a_new_epoch_with_another_digest_needs_one(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus, entry("a.safetensors"))
    teller.held.clear()
    teller.restart()
    assert await bus.publish(teller.outbox) == NeedsSnapshot(3)


async def test_d4_events_of_a_killed_process_are_delivered_by_the_next(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus)
    teller.appear(entry("a.safetensors"))
    teller.restart()
    teller.appear(entry("b.safetensors"))
    assert await bus.publish(teller.outbox) == Delivered(teller.epoch, 2)
    assert [kind for *_, kind in await streamed(redis)][2:] == ["model.appeared", "machine.hello", "model.appeared"]
    await insist(redis, teller)


async def test_an_older_epoch_is_fenced_in_every_call(bus: Bus, bus_of: Make, redis: Redis) -> None:
    zombie = await introduced(bus)
    teller = Teller(epoch=zombie.epoch)
    teller.restart()
    await bus.publish(teller.outbox)
    late = zombie.appear(entry("a.safetensors"))
    bus = bus_of()
    assert await bus.publish([late]) == Fenced(teller.epoch)
    assert await bus.snapshot(zombie.snapshot(), zombie.entries) == Fenced(teller.epoch)
    assert await bus.beat(zombie.beat(), {}) == Fenced(teller.epoch)
    assert await bus.bye(zombie.bye()) == Fenced(teller.epoch)
    await insist(redis, teller)


async def test_the_index_follows_verification_and_not_mere_presence(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus, entry("a.pt", verified=False))
    assert await indexed(redis, "m1") == set()
    teller.change(entry("a.pt"))
    await bus.publish(teller.outbox)
    assert await indexed(redis, "m1") == {"a.pt"}
    teller.change(entry("a.pt", verified=False))
    await bus.publish(teller.outbox)
    assert await indexed(redis, "m1") == set()


async def test_a_name_held_twice_leaves_the_index_with_the_last_of_them(bus: Bus, redis: Redis) -> None:
    one, two = entry("a.pt"), entry("a.pt", root="/mnt/more")
    teller = await introduced(bus, one, two)
    teller.vanish(one)
    await bus.publish(teller.outbox)
    assert await indexed(redis, "m1") == {"a.pt"}
    teller.vanish(two)
    await bus.publish(teller.outbox)
    assert await indexed(redis, "m1") == set()


async def test_a_path_that_changes_its_name_takes_the_old_name_out_of_the_index(bus: Bus, redis: Redis) -> None:
    from dataclasses import replace

    teller = await introduced(bus, entry("SD15/a.pt"))
    path = next(iter(teller.held))
    teller.change(replace(teller.held[path], folder="checkpoints", name="a.pt"))
    assert await bus.publish(teller.outbox) == Delivered(teller.epoch, 3)
    await insist(redis, teller)


async def test_an_unknown_kind_of_event_is_passed_on(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus)
    teller.tell(Unknown(kind="model.warmed", data={"name": "a"}))
    assert isinstance(await bus.publish(teller.outbox), Delivered)
    assert (await streamed(redis))[-1][2] == "model.warmed"


@pytest.mark.parametrize("name", ['we"ird, [x]:.pt', "pct%s%%.pt", "ünï→.pt", "a/b/c.pt", "x{}y.pt"])
async def test_names_are_only_data(bus: Bus, redis: Redis, name: str) -> None:
    teller = await introduced(bus, entry("plain.pt"))
    teller.appear(entry(name, folder='fol"der'), entry(name, folder="name"))
    await bus.publish(teller.outbox)
    await insist(redis, teller)
    teller.vanish(entry(name, folder='fol"der'))
    await bus.publish(teller.outbox)
    await insist(redis, teller)


async def test_ten_thousand_models_fit_one_snapshot_and_large_batches_are_cut(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus, *(entry(f"{n}.pt", folder=f"f{n % 5}") for n in range(10_000)))
    for n in range(1_200):
        teller.tell(ReadinessChanged(ready=bool(n % 2), reasons=(), workflows={}))
    assert await bus.publish(teller.outbox) == Delivered(teller.epoch, 1_202)
    await insist(redis, teller)


@pytest.mark.parametrize("seed", range(6))
async def test_any_history_of_changes_restarts_and_losses_ends_where_the_disk_is(
    bus: Bus, redis: Redis, seed: int
) -> None:
    """Random changes in random batches, each batch perhaps sent twice, with restarts and lost keys in between."""
    chance = random.Random(seed)
    pool = [
        entry(f"{n}.pt", folder, root)
        for n in range(6)
        for folder in ("loras", "vae")
        for root in ("/models", "/mnt/b")
    ]
    teller = Teller()
    teller.hello()
    for _ in range(60):
        if chance.random() < 0.1:
            teller.restart()
        if chance.random() < 0.1:
            lost = chance.choice([bus.keys.models("m1"), bus.keys.inventory("m1"), bus.keys.names("m1")])
            await redis.delete(lost)
        _something_happens(teller, pool, chance)
        if chance.random() < 0.6:
            await _deliver(bus, teller, chance)
    await _deliver(bus, teller, chance)
    if isinstance(await bus.beat(teller.beat(), {}), NeedsSnapshot):
        await bus.snapshot(teller.snapshot(), teller.entries)
    await insist(redis, teller)
    told = await streamed(redis)
    assert len(told) == len(set(told))
    assert told == sorted(told)


def _something_happens(teller: Teller, pool: list, chance: random.Random) -> None:
    from dataclasses import replace

    some = chance.sample(pool, chance.choice([1, 2, 3, 12]))
    here = [each for each in some if each.path in teller.held]
    away = [each for each in some if each.path not in teller.held]
    if here and chance.random() < 0.5:
        teller.vanish(*here)
    elif here:
        teller.change(*(replace(each, verified=chance.random() < 0.5, size=chance.randrange(10**11)) for each in here))
    elif away:
        teller.appear(*(replace(each, verified=chance.random() < 0.7) for each in away))


async def _deliver(bus: Bus, teller: Teller, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 1, 2])):
        answer = await bus.publish(teller.outbox)
        if isinstance(answer, NeedsSnapshot):
            before = list(teller.outbox)
            answer = await bus.snapshot(teller.snapshot(), teller.entries, before=before)
        assert isinstance(answer, Delivered)
    teller.outbox.clear()


async def test_a_beat_leases_every_field_and_no_stale_one(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus)
    await bus.beat(teller.beat(), {"peer": "http://a"})
    assert await bus.beat(teller.beat(state="degraded"), {}) == Delivered(teller.epoch, 2)
    fields = await redis.hgetall(bus.keys.lease("m1"))
    assert (fields[b"state"], fields[b"ready"]) == (b"degraded", b"1")
    assert b"peer" not in fields
    assert 0 < await redis.pttl(bus.keys.lease("m1")) <= 60_000


async def test_bye_withdraws_the_machine_and_a_repeated_bye_tells_nothing_twice(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus, entry("a.pt"), entry("b.pt", verified=False))
    await bus.beat(teller.beat(), {})
    bye = teller.bye()
    for _ in range(2):
        assert await bus.bye(bye) == Delivered(teller.epoch, 3)
    assert await indexed(redis, "m1") == set()
    kept = [key for key in sorted(await redis.keys("*")) if not key.startswith(b"routing")]
    assert kept == [b"machine:m1:models", bus.keys.events.encode()]
    assert await redis.hkeys(bus.keys.models("m1")) == [b"machine_id", b"ahead_epoch", b"ahead_seq"]
    assert 0 < await redis.ttl(bus.keys.models("m1")) <= 86_400
    assert [kind for *_, kind in await streamed(redis)][-1] == "machine.bye"
    assert await bus.publish([bye]) == Delivered(teller.epoch, 3)
    assert len(await streamed(redis)) == 3


async def test_after_bye_the_next_start_introduces_itself_again(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus, entry("a.pt"))
    await bus.bye(teller.bye())
    hello = teller.restart()
    assert isinstance(await bus.publish([hello]), NeedsSnapshot)
    await bus.snapshot(teller.snapshot(), teller.entries, before=[hello])
    await insist(redis, teller)
    assert await redis.ttl(bus.keys.models("m1")) == -1


async def test_bye_with_undelivered_events_before_it_withdraws_and_says_so(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus, entry("a.pt"))
    teller.appear(entry("b.pt"))
    assert await bus.bye(teller.bye()) == NeedsSnapshot(3)
    assert await indexed(redis, "m1") == set()


async def test_l1_a_dead_machine_leaves_the_index_by_the_hand_of_any_living_one(bus_of: Make, redis: Redis) -> None:
    dead, living = bus_of("m1", lease=0.05), bus_of("m2")
    await dead.beat((await introduced(dead, entry("a.pt"))).beat(), {})
    other = await introduced(living, entry("a.pt"), machine="m2")
    await living.beat(other.beat(), {})
    reaped: tuple[str, ...] = ()
    async with asyncio.timeout(20):
        while not reaped:
            reaped = await living.reap()
    assert reaped == ("m1",)
    assert await redis.smembers(living.keys.index("a.pt")) == {b"m2"}
    assert await living.reap() == ()
    await insist(redis, other)


async def test_a_machine_with_a_lease_is_never_reaped_whatever_the_deadline_says(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus, entry("a.pt"))
    await bus.beat(teller.beat(), {})
    await redis.zadd(bus.keys.alive, {"m1": 1})
    assert await bus.reap() == ()
    await insist(redis, teller)


async def test_a_reaped_machine_that_lives_after_all_comes_back_whole(bus_of: Make, redis: Redis) -> None:
    bus = bus_of(lease=0.01)
    teller = await introduced(bus, entry("a.pt"))
    await bus.beat(teller.beat(), {})
    async with asyncio.timeout(20):
        while not await bus_of("m2").reap():
            await asyncio.sleep(0.01)
    assert await bus.beat(teller.beat(), {}) == NeedsSnapshot(3)
    await bus.snapshot(teller.snapshot(), teller.entries)
    await insist(redis, teller)


async def test_progress_is_overwritten_leased_and_without_what_is_finished(bus: Bus, redis: Redis) -> None:
    def transfer(name: str, phase: Phase) -> Transfer:
        return Transfer(shelf=ShelfPath(folder="vae", name=name), phase=phase, bytes=5, total=10)

    key = bus.keys.progress("m1")
    await bus.progress([transfer("a.pt", Phase.FETCHING), transfer("b.pt", Phase.DONE)])
    stored = await redis.hgetall(key)
    assert list(stored) == [b"vae/a.pt"]
    assert wire.loads(stored[b"vae/a.pt"])["phase"] == "fetching"
    assert 0 < await redis.pttl(key) <= 60_000
    await bus.progress([transfer("a.pt", Phase.WAITING)], Total(models=3, present=1))
    stored = await redis.hgetall(key)
    assert stored.keys() == {b"vae/a.pt", b"total"}
    assert wire.loads(stored[b"total"])["present"] == 1
    await bus.progress([transfer("c.pt", Phase.FAILED)], Total(models=3, failed=1))
    assert await redis.exists(key) == 0


async def test_scan_status_is_the_last_one_only(bus: Bus, redis: Redis) -> None:
    await bus.scan_status({"phase": "scanning", "files": "5"})
    await bus.scan_status({"phase": "idle"})
    assert await redis.hgetall(bus.keys.scan_status("m1")) == {b"phase": b"idle"}


async def test_the_stream_stays_bounded(redis: Redis) -> None:
    from model_manager.facts.identity import MachineId

    bus = Bus(redis, MachineId("m1"), "here", "", 100, 60.0)
    teller = await introduced(bus)
    for _ in range(1_000):
        teller.tell(ReadinessChanged(ready=True, reasons=(), workflows={}))
    await bus.publish(teller.outbox)
    assert 100 <= await redis.xlen(bus.keys.events) <= 300


async def test_a_prefix_stands_before_every_key(redis: Redis) -> None:
    from model_manager.facts.identity import MachineId

    bus = Bus(redis, MachineId("m1"), "here", "{pool}:", 100, 60.0)
    teller = await introduced(bus, entry("a.pt"))
    await bus.beat(teller.beat(), {})
    await bus.scan_status({"phase": "idle"})
    assert all(key.startswith(b"{pool}:") for key in await redis.keys("*"))


async def test_i5_a_second_installation_with_the_same_id_hears_who_owns_it_and_changes_nothing(
    bus_of: Make, redis: Redis
) -> None:
    first, second = bus_of(installation="here"), bus_of(installation="clone")
    teller = await introduced(first, entry("a.pt"))
    await first.beat(teller.beat(), {})
    clone = Teller(epoch=teller.epoch + 1000)
    hello = clone.hello()
    before = await redis.hgetall(first.keys.models("m1"))
    assert await second.beat(clone.beat(installation="clone", host="host-b"), {}) == Busy("host-a")
    assert await second.publish([hello]) == Busy("host-a")
    assert await second.snapshot(clone.snapshot(), [], before=[hello]) == Busy("host-a")
    assert await second.bye(clone.bye()) == Busy("host-a")
    await second.scan_status({"phase": "scanning"})
    assert await redis.exists(first.keys.scan_status("m1")) == 0
    assert await redis.hgetall(first.keys.models("m1")) == before
    assert await first.beat(teller.beat(), {}) == Delivered(teller.epoch, 2)


async def test_i5_the_id_is_free_once_its_lease_ran_out(bus_of: Make, redis: Redis) -> None:
    first, second = bus_of(installation="here"), bus_of(installation="clone")
    teller = await introduced(first)
    await first.beat(teller.beat(), {})
    await redis.delete(first.keys.lease("m1"))
    heir = Teller(epoch=teller.epoch + 1)
    assert await second.publish([heir.hello()]) == Delivered(heir.epoch, 1)


async def test_two_processes_of_one_epoch_are_one_too_many(bus: Bus) -> None:
    teller = await introduced(bus)
    await bus.beat(teller.beat(), {})
    assert await bus.beat(teller.beat(instance="copy"), {}) == Busy("host-a")


async def test_a_word_that_this_release_does_not_know_is_no_success(bus: Bus) -> None:
    with pytest.raises(BusUnavailable):
        bus._answer("MAYBE", [], Delivered(1, 1))


async def test_entries_leave_the_stream_with_age_and_never_many_at_once(redis: Redis) -> None:
    from model_manager.facts.identity import MachineId

    seconds, _ = await redis.time()
    async with redis.pipeline(transaction=False) as pipe:
        for n in range(5_000):
            pipe.xadd("model_manager:events", {"old": n}, id=f"{(seconds - 3600) * 1000}-{n}")
        await pipe.execute()
    bus = Bus(redis, MachineId("m1"), "here", "", 10_000, 60.0, stream_age=60)
    teller = await introduced(bus)
    assert 1_002 <= await redis.xlen(bus.keys.events) <= 1_202, "two calls, and bounded work in each"
    for _ in range(5):
        await bus.publish([teller.tell(ReadinessChanged(ready=True, reasons=(), workflows={}))])
    assert 7 <= await redis.xlen(bus.keys.events) <= 107


async def test_what_is_young_stays_whatever_its_number(redis: Redis) -> None:
    from model_manager.facts.identity import MachineId

    bus = Bus(redis, MachineId("m1"), "here", "", 10_000, 60.0, stream_age=3_600)
    teller = await introduced(bus)
    await bus.publish([teller.tell(ReadinessChanged(ready=True, reasons=(), workflows={})) for _ in range(1_000)])
    assert await redis.xlen(bus.keys.events) == 1_002


async def test_more_bytes_than_a_double_tells_apart_ask_for_no_snapshot(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus, entry("a.pt", size=2**53 - 1), entry("b.pt", size=2**60))
    teller.appear(entry("c.pt", size=2**53 - 1))
    assert isinstance(await bus.publish(teller.outbox), Delivered)
    assert isinstance(await bus.beat(teller.beat(), {}), Delivered)
    await insist(redis, teller)
