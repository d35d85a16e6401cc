"""Inventories that come in parts: nobody sees half of one, whatever happens in between, and routing follows exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from model_manager.bus import staging
from model_manager.bus.functions import Functions
from model_manager.bus.keys import Keys
from model_manager.bus.publishing import Bus, Delivered, NeedsSnapshot
from model_manager.errors import BusUnavailable
from model_manager.facts.event import Entry
from model_manager.facts.identity import MachineId
from tests.bus.routing_histories import Agent, Pool
from tests.bus.telling import Teller, entry

KEYS = Keys()
MANY = 730


def files(first: int, last: int, *, root: str = "/models") -> list[Entry]:
    return [replace(entry(f"{n}.pt", root=root), hash=f"{n:064x}") for n in range(first, last)]


@pytest.fixture
async def agent(redis: Redis) -> Agent:
    agent = Agent(redis, "m1")
    await agent.beat()
    assert (await Pool(redis).offer("m1", {"services": ["comfyui"]}))[0] == "OK"
    return agent


async def held(redis: Redis, *names: str) -> list[int]:
    """How many machines can take a job that asks for this model, by the rules."""
    pool = Pool(redis)
    await pool.settle()
    return [
        int((await pool.call("mm_machines_for", json.dumps({"models": [each]}), "", "", 0))[1][0]) for each in names
    ]


async def exact(redis: Redis, teller: Teller) -> None:
    """Everything that Redis says of the machine is what the machine says."""
    told = {each.decode(): value.decode() for each, value in (await redis.hgetall(KEYS.models("m1"))).items()}
    assert (told["epoch"], told["seq"], told["digest"]) == (str(teller.epoch), str(teller.seq), teller.digest)
    assert "ahead_epoch" not in told
    by_folder: dict[str, list[dict[str, Any]]] = json.loads(told["models"])
    assert {each["path"] for listed in by_folder.values() for each in listed} == set(teller.held)
    assert {key.decode() for key in await redis.hkeys(KEYS.inventory("m1"))} == set(teller.held)
    names = {each.name for each in teller.held.values() if each.verified}
    assert {key.decode() for key in await redis.hkeys(KEYS.names("m1"))} == names
    listed_under = {key.decode().removeprefix("models:index:") for key in await redis.keys("models:index:*")}
    assert listed_under == names
    assert int(told["total_bytes"]) == sum(each.size for each in teller.held.values())


async def test_a_large_inventory_is_the_same_as_a_small_one_told_at_once(redis: Redis, agent: Agent) -> None:
    await agent.introduce(*files(0, MANY), *files(0, 3, root="/other"))
    await exact(redis, agent.teller)
    assert await held(redis, "0.pt", f"{MANY - 1}.pt", "none.pt") == [1, 1, 0]
    assert not await redis.keys("routing:telling:*") + await redis.keys("routing:coming:*")


async def test_what_came_and_what_went_is_exact_after_the_next_one(redis: Redis, agent: Agent) -> None:
    await agent.introduce(*files(0, MANY))
    agent.teller.held = {each.path: each for each in [*files(300, MANY + 200), replace(files(5, 6)[0], verified=False)]}
    await agent.snapshot()
    await exact(redis, agent.teller)
    assert await held(redis, "0.pt", "5.pt", "300.pt", f"{MANY + 199}.pt") == [0, 0, 1, 1]
    agent.teller.held = {each.path: each for each in files(10, 12)}
    await agent.snapshot()
    await exact(redis, agent.teller)
    assert await held(redis, "10.pt", "300.pt") == [1, 0]
    assert len(await redis.keys("routing:held:*")) == 2


async def test_events_go_on_while_routing_still_compares(redis: Redis, agent: Agent, monkeypatch: Any) -> None:
    """The snapshot is told, and nothing of it indexed yet, when models come and go."""
    await agent.introduce(*files(0, MANY))

    async def nothing(_: Bus) -> None:
        return None

    monkeypatch.setattr(Bus, "_settle", nothing)
    agent.teller.held = {each.path: each for each in files(100, MANY + 100)}
    await agent.snapshot()
    for steps in (0, 1, 30, 60, 200):
        for _ in range(2):
            await Pool(redis).call("mm_settle", max(1, steps))
        agent.teller.vanish(files(100 + steps, 101 + steps)[0])
        agent.teller.appear(*files(2_000 + steps, 2_001 + steps))
        assert isinstance(await agent.bus.publish(agent.teller.outbox), Delivered)
        agent.teller.outbox.clear()
    await exact(redis, agent.teller)
    gone, come = (
        ("99.pt", "100.pt", "101.pt", "160.pt", "300.pt"),
        ("2000.pt", "2001.pt", "2060.pt", "2200.pt", "829.pt"),
    )
    assert await held(redis, *gone, *come) == [0] * 5 + [1] * 5
    assert len(await redis.keys("routing:held:*")) == MANY


async def test_d3_a_machine_that_dies_in_the_middle_leaves_the_old_inventory_and_is_buried_whole(
    redis: Redis, agent: Agent
) -> None:
    await agent.introduce(*files(0, 20))
    before = await redis.hgetall(KEYS.models("m1"))
    await _half(redis, agent, files(10, MANY))
    now = await redis.hgetall(KEYS.models("m1"))
    assert {name: value for name, value in now.items() if not name.startswith(b"ahead_")} == before
    assert (now[b"ahead_epoch"], now[b"ahead_seq"]) == (before[b"epoch"], before[b"seq"])
    assert await held(redis, "10.pt") == [1]
    assert (await Pool(redis).claim("m1"))[0] == "STALE"
    await agent.die()
    assert await agent.bus.reap() == ("m1",)
    assert not await redis.keys("models:index:*")
    assert await held(redis, "10.pt", "700.pt") == [0, 0]


async def test_d3_what_was_begun_by_a_process_that_died_is_begun_anew_by_the_next(redis: Redis, agent: Agent) -> None:
    await agent.introduce(*files(0, 20))
    await _half(redis, agent, files(10, MANY))
    agent.teller.held = {each.path: each for each in files(400, 400 + MANY)}
    await agent.snapshot()
    await exact(redis, agent.teller)
    assert await held(redis, "10.pt", "400.pt") == [0, 1]


async def test_l1_a_machine_that_is_buried_in_the_middle_is_told_to_begin_anew(
    redis: Redis, agent: Agent, monkeypatch: Any
) -> None:
    await agent.introduce(*files(0, 20))
    plain = staging.Staging._stage

    async def buried(self: staging.Staging, envelope: Any, token: str, part: int, *rest: Any) -> tuple[str, list[str]]:
        if part == 3:
            await agent.die()
            await agent.bus.reap()
        return await plain(self, envelope, token, part, *rest)

    monkeypatch.setattr(staging.Staging, "_stage", buried)
    agent.teller.held = {each.path: each for each in files(0, MANY)}
    with pytest.raises(BusUnavailable, match="taken away"):
        await agent.snapshot()
    monkeypatch.undo()
    await agent.snapshot()
    await exact(redis, agent.teller)


async def test_e2_an_answer_that_was_lost_is_asked_for_again_and_nothing_happens_twice(
    redis: Redis, agent: Agent, monkeypatch: Any
) -> None:
    plain, lost = Functions.call, set()

    async def every_second(self: Functions, name: str, *rest: Any) -> tuple[str, list[str]]:
        answer = await plain(self, name, *rest)
        if name in ("mm_stage", "mm_adopt") and (name, str(rest)) not in lost:
            lost.add((name, str(rest)))
            return await plain(self, name, *rest)
        return answer

    monkeypatch.setattr(Functions, "call", every_second)
    await agent.introduce(*files(0, MANY))
    await exact(redis, agent.teller)
    seqs = [each[1][b"seq"] for each in await redis.xrange(KEYS.events)]
    assert len(set(seqs)) == len(seqs)


async def test_a_snapshot_that_is_stored_already_is_not_staged_again(redis: Redis, agent: Agent) -> None:
    agent.teller.held = {each.path: each for each in files(0, MANY)}
    told = agent.teller.snapshot()
    for _ in range(2):
        assert isinstance(await agent.bus.snapshot(told, agent.teller.entries), Delivered)
    agent.teller.outbox.clear()
    await exact(redis, agent.teller)


async def test_a_beat_in_the_middle_asks_for_no_other_snapshot(redis: Redis, agent: Agent, monkeypatch: Any) -> None:
    plain, beats = staging.Staging._stage, []

    async def beaten(self: staging.Staging, *given: Any) -> tuple[str, list[str]]:
        beats.append(await agent.bus.beat(agent.teller.beat(installation="at-m1"), {}))
        return await plain(self, *given)

    monkeypatch.setattr(staging.Staging, "_stage", beaten)
    agent.teller.held = {each.path: each for each in files(0, MANY)}
    await agent.snapshot()
    assert len(beats) > MANY // staging.PART
    assert not [each for each in beats if isinstance(each, NeedsSnapshot)]


async def test_i5_a_later_process_fences_one_that_still_stages(redis: Redis, agent: Agent) -> None:
    await agent.introduce(*files(0, 5))
    late = Teller("m1", epoch=agent.teller.epoch - 1)
    late.held = {each.path: each for each in files(0, MANY)}
    bus = Bus(redis, MachineId("m1"), "at-m1", "", 10_000, 60.0)
    assert type(await bus.snapshot(late.snapshot(), late.entries)).__name__ == "Fenced"
    await exact(redis, agent.teller)


@pytest.mark.parametrize("kind", ["bye", "dead"])
async def test_a_large_inventory_is_withdrawn_in_parts_and_nothing_of_it_is_left(
    redis: Redis, agent: Agent, kind: str
) -> None:
    await agent.introduce(*files(0, 1_300))
    if kind == "dead":
        await agent.die()
        assert await agent.bus.reap() == ("m1",)
    else:
        assert isinstance(await agent.bus.bye(agent.teller.bye()), Delivered)
    assert not await redis.keys("models:index:*") + await redis.keys("machine:m1:inventory")
    assert await held(redis, "0.pt", "1299.pt") == [0, 0]
    assert not await redis.keys("routing:held:*") + await redis.keys("routing:holds:*")


async def _half(redis: Redis, agent: Agent, entries: list[Entry]) -> None:
    """The first parts of a snapshot, and then nothing."""
    other = Teller("m1", epoch=agent.teller.epoch + 1)
    other.held = {each.path: each for each in entries}
    bus = Bus(redis, MachineId("m1"), "at-m1", "", 10_000, 60.0)
    envelope, told = other.snapshot(), bus._staging
    assert (await told._begin(envelope, "half"))[0] == "OK"
    assert (await told._stage(envelope, "half", 1, entries[:100], [(each.name, 1) for each in entries[:100]]))[
        0
    ] == "OK"
