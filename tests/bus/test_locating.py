from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot

from model_manager.bus.connection import connect, translate
from model_manager.bus.following import Follower
from model_manager.bus.functions import version
from model_manager.bus.grouping import Group
from model_manager.bus.keys import Keys
from model_manager.bus.leases import Leases
from model_manager.bus.mirroring import Mirrors
from model_manager.bus.publishing import Bus, Delivered, NeedsSnapshot
from model_manager.decisions.folding import fold
from model_manager.errors import BadSetting, BusUnavailable
from model_manager.facts.identity import MachineId
from model_manager.facts.mirror import copy_of
from tests.bus.conftest import BOTH
from tests.bus.fleets import Cluster, Watched
from tests.bus.telling import Teller, entry

PAGE = (Path(__file__).parents[2] / "docs" / "redis.md").read_text()
A, B, C = entry("a.pt"), entry("b.pt"), entry("c.pt")


@pytest.fixture(params=BOTH)
def watched(request: pytest.FixtureRequest) -> Iterator[Watched]:
    watched = Watched(request.param)
    yield watched
    watched.close()


@pytest.fixture(scope="module", params=BOTH)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    cluster = Cluster(request.param)
    yield cluster
    cluster.close()


class Machine:
    """One that tells, and asks again while nobody answers."""

    def __init__(self, redis: Redis, prefix: str = "", name: str = "m1") -> None:
        self.teller = Teller(name)
        self.bus = Bus(redis, MachineId(name), "here", prefix, 1_000, 60.0)
        self.teller.hello()

    async def beat(self) -> None:
        answer = await _persistent(lambda: self.bus.beat(self.teller.beat(), {}))
        if isinstance(answer, NeedsSnapshot):
            snapshot = self.teller.snapshot()
            answer = await _persistent(
                lambda: self.bus.snapshot(snapshot, self.teller.entries, self.teller.outbox[:-1])
            )
        assert isinstance(answer, Delivered), answer

    async def send(self) -> None:
        answer = await _persistent(lambda: self.bus.publish(self.teller.outbox))
        if isinstance(answer, NeedsSnapshot):
            await self.beat()
        self.teller.outbox.clear()


async def _persistent(ask):  # type: ignore[no-untyped-def]
    for attempt in range(200):
        try:
            return await ask()
        except BusUnavailable:
            assert attempt < 100
    raise AssertionError


class Reader:
    def __init__(self, redis: Redis, prefix: str = "") -> None:
        self.redis, self.keys = redis, Keys(prefix)
        self.mirrors = Mirrors(redis, self.keys, fold)

    async def begin(self) -> None:
        self.batches = Follower(self.redis, self.keys, await self.mirrors.start(), block_ms=20).batches()

    async def until(self, teller: Teller) -> None:
        """Reads on until it knows what the machine holds."""
        held = {path: copy_of(each) for path, each in teller.held.items()}
        for _ in range(400):
            batch = await anext(self.batches)
            try:
                await self.mirrors.take(batch.told)
            except BusUnavailable:
                continue
            mirror = self.mirrors.machines.get(teller.machine)
            if mirror and mirror.entries == held and mirror.position == (teller.epoch, teller.seq):
                return
        raise AssertionError(self.mirrors.unsure)


async def test_e3_a_failover_of_sentinels_that_loses_acknowledged_events_leads_to_the_disk(watched: Watched) -> None:
    redis = connect(watched.url)
    machine, reader = Machine(redis), Reader(redis)
    await machine.beat()
    machine.teller.appear(A)
    await machine.send()
    await reader.begin()
    await reader.until(machine.teller)
    watched.caught_up()
    watched.forget()
    machine.teller.appear(B)
    machine.teller.vanish(A)
    await machine.send()
    await reader.until(machine.teller)
    watched.fail_over()
    await machine.beat()
    await reader.until(machine.teller)
    machine.teller.appear(C)
    await machine.send()
    await reader.until(machine.teller)
    late = Reader(redis)
    await late.begin()
    await late.until(machine.teller)
    await redis.aclose()


async def test_e7_sentinels_and_servers_have_passwords_of_their_own(watched: Watched) -> None:
    watched.nodes[watched.primary].client().execute_command("ACL", "SETUSER", "agent", "on", ">of:it", "+@all", "~*")
    watched.sentinel.client().execute_command("ACL", "SETUSER", "default", "resetpass", ">of-watchers")
    for url, fits in ((watched.url, False), (f"{watched.url}/0?sentinel_password=of-watchers", True)):
        redis = connect(url.replace("://", "://agent:of%3Ait@"))
        if fits:
            with translate():
                assert await redis.execute_command("ACL", "WHOAMI") == b"agent"
        else:
            with pytest.raises(BusUnavailable, match="password") as raised, translate():
                await redis.ping()
            assert "of:it" not in str(raised.value)
        await redis.aclose()


async def test_a_service_that_no_sentinel_knows_is_said(watched: Watched) -> None:
    redis = connect(watched.url.replace("/fleet", "/fleat"))
    with pytest.raises(BusUnavailable, match=r"no Sentinel knows|Connect call failed"), translate():
        await redis.ping()
    await redis.aclose()


async def test_the_fleet_lives_in_one_slot_of_a_cluster_and_moves_with_it(cluster: Cluster) -> None:
    for n, pool in enumerate(("{a}:", "{b}:", "{c}:")):
        redis = connect(cluster.url, prefix=pool)
        machine, reader = Machine(redis, pool, f"m{n}"), Reader(redis, pool)
        await machine.beat()
        await reader.begin()
        machine.teller.appear(A, B)
        await machine.send()
        await reader.until(machine.teller)
        owner = cluster.owner(key_slot(pool.encode()))
        assert owner.client().execute_command("FUNCTION", "LIST", "LIBRARYNAME", f"model_manager_{version()}")
        assert (await Leases(redis, reader.keys).look()).leases[f"m{n}"].alive
        async with Group(redis, reader.keys, "indexers", "one").take() as taken:
            assert len(taken.told) >= 2
        cluster.move(key_slot(pool.encode()), next(each for each in cluster.nodes if each is not owner))
        machine.teller.vanish(A)
        await machine.send()
        await reader.until(machine.teller)
        await machine.bus.bye(machine.teller.bye())
        await redis.aclose()


async def test_the_rights_on_the_page_are_enough_on_a_cluster(cluster: Cluster) -> None:
    pool = "{pool}:"
    for line in re.findall(r"^ACL SETUSER .*$", PAGE, re.MULTILINE):
        for node in cluster.nodes:
            node.client().execute_command(*(re.sub(r"(^|%R)~", rf"\1~{pool}", part) for part in line.split()))
    agent, watcher = (connect(cluster.url.replace("://", f"://{user}:secret@"), prefix=pool) for user in USERS)
    machine, reader = Machine(agent, pool), Reader(watcher, pool)
    await machine.beat()
    await reader.begin()
    machine.teller.appear(A)
    await machine.send()
    await reader.until(machine.teller)
    await reader.mirrors.audit()
    with pytest.raises(BusUnavailable, match=r"docs/redis\.md"), translate():
        await watcher.delete(reader.keys.events)
    await agent.aclose()
    await watcher.aclose()


USERS = ("model-manager", "model-manager-reader")


async def test_a_plain_address_of_a_cluster_says_what_to_write(cluster: Cluster) -> None:
    slot = key_slot(b"x")
    other = next(node for node in cluster.nodes if node is not cluster.owner(slot))
    redis = connect(f"redis://127.0.0.1:{other.port}")
    with pytest.raises(BusUnavailable, match=r"redis\+cluster://"), translate():
        await redis.get("x")
    await redis.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://h:26379",
        "redis+sentinel://:canary-pw@h:26379/",
        "redis+sentinel://h:canary-pw/s",
        "redis+sentinel://h,,k/s",
        "redis+sentinel://h/s/zero",
        "redis+cluster://h:7000/1",
        "redis+cluster://",
        "redis+nothing://h/s",
    ],
)
def test_an_address_of_another_shape_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BadSetting, match="REDIS_URL") as raised:
        connect(url, prefix="{p}:")
    assert "canary-pw" not in str(raised.value)


@pytest.mark.parametrize("prefix", ["", "pool:", "{}:", "pool{:"])
def test_a_cluster_needs_a_prefix_in_braces(prefix: str) -> None:
    with pytest.raises(BadSetting, match="braces"):
        connect("redis+cluster://h:7000", prefix=prefix)


def test_nothing_is_retried_behind_our_back() -> None:
    for url in (
        "redis+sentinel://u:p@h,k:5/s/3",
        "rediss+sentinel://h/s",
        "redis+cluster://u:p@h",
        "rediss+cluster://h/0",
    ):
        options = connect(url, prefix="{p}:").connection_pool.connection_kwargs
        assert options["retry"]._retries == 0
        assert options.get("db", 0) == (3 if url.endswith("/3") else 0)
