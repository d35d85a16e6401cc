from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from redis.asyncio import Redis

from model_manager.agent.telling import publishing as module
from model_manager.agent.telling.publishing import Beating, Publishing
from model_manager.bus import tailing
from model_manager.bus.connection import connect
from model_manager.bus.keys import Keys
from model_manager.bus.publishing import Bus, Published
from model_manager.facts import wire
from model_manager.facts.event import DiskLow, Envelope, MachineBye, RootBack
from model_manager.facts.identity import MachineId
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Phase, Transfer
from tests.agent.stage import Stage, running, stage, turns, until
from tests.bus.servers import Server
from tests.bus.telling import Teller, indexed, streamed

MACHINE = MachineId("m1")
KEYS = Keys("")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server("valkey")
    yield made
    made.close()


@pytest.fixture
async def redis(server: Server) -> AsyncIterator[Redis]:
    client = connect(server.url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def away() -> AsyncIterator[Redis]:
    client = connect("unix:///tmp/no-such-directory/s", timeout=1)
    yield client
    await client.aclose()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)


class Fleet:
    """The two loops of one machine over one Redis."""

    def __init__(self, scene: Stage, redis: Redis, *, installation: str = "") -> None:
        self.scene = scene
        self.redis = redis
        self.bus = Bus(redis, MACHINE, installation or scene.index.installation, "", 10_000, 60.0)
        self.publishing = Publishing(scene.board, scene.shelves, scene.index, self.bus)
        self.beating = Beating(scene.board, scene.shelves, self.bus, self.publishing, (str(scene.store),))

    async def lease(self) -> dict[str, str]:
        return {key.decode(): value.decode() for key, value in (await self.redis.hgetall(KEYS.lease(MACHINE))).items()}

    async def is_told(self) -> bool:
        """Whether Redis has exactly the inventory, and nothing waits."""
        rows, _ = await self.scene.index.outbox_size()
        found = await tailing.inventory(self.redis, KEYS, MACHINE)
        held = {file: wire.entry(held) for file, held in self.scene.shelves.held.items()}
        return rows == 0 and found is not None and {entry.path: entry for entry in found.entries} == held

    def beat(self) -> None:
        self.scene.board.bells.beating.ring()


@asynccontextmanager
async def living(scene: Stage, redis: Redis) -> AsyncIterator[Fleet]:
    fleet = Fleet(scene, redis)
    async with running(fleet.publishing.run, fleet.beating.run):
        yield fleet


async def test_a_machine_that_redis_does_not_know_is_told_whole(scene: Stage, redis: Redis) -> None:
    await scene.holds("vae/a.safetensors")
    async with living(scene, redis) as fleet:
        await until(fleet.is_told)
        assert scene.board.bus == "connected"
        assert await indexed(redis, "m1") == {"a.safetensors"}
        kinds = [kind for _, _, kind in await streamed(redis)]
    assert kinds == ["model.appeared", "inventory.snapshot"]


async def test_each_change_follows_once_and_in_order(scene: Stage, redis: Redis) -> None:
    async with living(scene, redis) as fleet:
        for number in range(5):
            await scene.holds(f"vae/{number}.safetensors")
        await until(fleet.is_told)
        await scene.shelves.tell(RootBack(root="/m"))
        await until(fleet.is_told)
        told = await streamed(redis)
    assert [seq for _, seq, _ in told] == list(range(1, len(told) + 1))
    assert sum(kind == "model.appeared" for _, _, kind in told) == 5


async def test_e4_what_redis_lost_is_told_again_within_one_heartbeat(scene: Stage, redis: Redis) -> None:
    await scene.holds("vae/a.safetensors")
    async with living(scene, redis) as fleet:
        await until(fleet.is_told)
        await redis.flushall()
        fleet.beat()
        await until(fleet.is_told)
        assert await indexed(redis, "m1") == {"a.safetensors"}


async def test_e1_an_outage_is_known_and_survived(scene: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server("valkey")
    redis = connect(server.url, timeout=2)
    try:
        async with living(scene, redis) as fleet:
            await scene.holds("vae/a.safetensors")
            await until(fleet.is_told)
            server.kill()
            await scene.holds("vae/b.safetensors")
            await until(lambda: scene.board.bus == "away")
            assert scene.board.bus_error
            server.start()
            fleet.beat()
            await until(lambda: scene.board.bus == "connected")
            await until(fleet.is_told)
    finally:
        await redis.aclose()
        server.close()


async def test_e1_the_outbox_is_bounded_through_any_outage(scene: Stage, away: Redis, monkeypatch) -> None:
    monkeypatch.setattr(module, "OUTBOX_ROWS", 10)
    for number in range(50):
        await scene.shelves.tell(RootBack(root=f"/{number}"))
    async with living(scene, away) as fleet:
        await until(lambda: fleet.publishing.snapshot_wanted)
        rows, _ = await scene.index.outbox_size()
        assert rows <= 10


async def test_e1_after_a_bounded_outbox_the_inventory_is_whole_again(
    scene: Stage, away: Redis, redis, monkeypatch
) -> None:
    monkeypatch.setattr(module, "OUTBOX_ROWS", 3)
    for number in range(6):
        await scene.holds(f"vae/{number}.safetensors")
    async with living(scene, away) as fleet:
        await until(lambda: fleet.publishing.snapshot_wanted)
    async with living(scene, redis) as fleet:
        await until(fleet.is_told)
        assert len(await indexed(redis, "m1")) == 6


async def test_i5_a_machine_id_that_another_installation_uses_is_left_alone(scene: Stage, redis: Redis) -> None:
    other = Bus(redis, MACHINE, "elsewhere", "", 10_000, 60.0)
    await other.beat(Teller().beat(installation="elsewhere", host="host-b"), {})
    await scene.holds("vae/a.safetensors")
    async with living(scene, redis) as fleet:
        await until(lambda: scene.board.bus == "conflict")
        assert "host-b" in scene.board.bus_error
        assert "MACHINE_ID" in scene.board.bus_error
        await turns()
        assert await indexed(redis, "m1") == set()
        assert (await fleet.lease())["host"] == "host-b"
        await redis.delete(KEYS.lease(MACHINE), KEYS.alive)
        fleet.beat()
        await until(fleet.is_told)


async def test_i5_a_later_process_of_ours_ends_the_talk_of_the_earlier(scene: Stage, redis: Redis) -> None:
    async with living(scene, redis) as fleet:
        await until(fleet.is_told)
        later = Bus(redis, MACHINE, scene.index.installation, "", 10_000, 60.0)
        beat = Teller(epoch=scene.board.epoch + 1).beat(installation=scene.index.installation)
        await later.beat(beat, {})
        fleet.beat()
        await until(lambda: scene.board.bus == "conflict")
    assert "took over" in scene.board.bus_error


async def test_the_heartbeat_says_how_the_machine_is(scene: Stage, redis: Redis) -> None:
    async with living(scene, redis) as fleet:
        lease = await until(fleet.lease)
        assert (lease["state"], lease["ready"]) == ("starting", "0")
        assert wire.loads(lease["disks"])[0]["root"] == str(scene.store)
        scene.board.scanned = True
        fleet.beat()

        async def discovering() -> bool:
            return (await fleet.lease())["state"] == "discovering"

        await until(discovering)


async def test_a_disk_that_runs_low_is_told_once_until_it_is_well_above_again(scene: Stage, redis, monkeypatch) -> None:
    scene.configure(MODEL_MANAGER_DISK_FLOOR="1000")
    fleet = Fleet(scene, redis)
    for free in (999, 998, 1050, 999, 1100, 900):
        usage = SimpleNamespace(total=10_000, used=0, free=free)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, usage=usage: usage)
        await fleet.beating._look_at_disks()
    assert [event.free for event in await scene.told(DiskLow)] == [999, 900]
    assert scene.board.disks[0].free == 900


async def test_c10_a_disk_that_cannot_be_asked_is_left_out(scene: Stage, redis: Redis) -> None:
    scene.store.rename(scene.store.with_name("away"))
    await Fleet(scene, redis).beating._look_at_disks()
    assert scene.board.disks == ()


async def test_progress_is_overwritten_and_never_streamed(scene: Stage, redis: Redis) -> None:
    path = ShelfPath(folder="vae", name="a.safetensors")
    async with living(scene, redis) as fleet:
        await until(fleet.is_told)
        before = len(await streamed(redis))
        scene.board.transfers[path] = Transfer(shelf=path, phase=Phase.FETCHING, bytes=3, total=7)

        async def seen() -> object:
            return await redis.hget(KEYS.progress(MACHINE), str(path))

        assert wire.loads(await until(seen))["bytes"] == 3
        scene.board.transfers.clear()

        async def gone() -> bool:
            return not await redis.exists(KEYS.progress(MACHINE))

        await until(gone)
        assert len(await streamed(redis)) == before


async def test_what_waits_before_a_snapshot_goes_in_pages_each_event_once(
    scene: Stage, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    for number in range(5):
        await scene.holds(f"vae/{number}.safetensors")
    waiting = [(each.epoch, each.seq, each.event.kind) for each in await scene.index.outbox(10)]
    scene.shelves.take_fresh()
    async with living(scene, redis) as fleet:
        pages, history = list[int](), fleet.bus.history

        async def counted(envelopes: Sequence[Envelope]) -> Published:
            pages.append(len(envelopes))
            return await history(envelopes)

        monkeypatch.setattr(fleet.bus, "history", counted)
        await until(fleet.is_told)
    told = await streamed(redis)
    assert told[:5] == waiting
    assert told[-1][-1] == "inventory.snapshot"
    assert pages[:3] == [2, 2, 1]
    assert len(await indexed(redis, "m1")) == 5


async def test_the_farewell_withdraws_what_the_fleet_knows(scene: Stage, redis: Redis) -> None:
    async with living(scene, redis) as fleet:
        await scene.holds("vae/a.safetensors")
        await until(fleet.is_told)
    await scene.shelves.tell(RootBack(root="/last"))
    await fleet.publishing.farewell(10)
    assert await indexed(redis, "m1") == set()
    assert await fleet.lease() == {}
    assert [kind for _, _, kind in await streamed(redis)][-2:] == ["root.back", "machine.bye"]
    assert await scene.index.outbox_size() == (0, 0)


async def test_d8_a_farewell_to_nobody_ends_in_time_and_waits_in_the_outbox(scene: Stage, away: Redis) -> None:
    await Fleet(scene, away).publishing.farewell(10)
    assert isinstance((await scene.told())[-1], MachineBye)


async def test_e2_a_farewell_to_a_server_that_hangs_ends_in_time(tmp_path) -> None:
    server = Server("valkey")
    redis = connect(server.url, timeout=30)
    try:
        async with stage(tmp_path) as scene:
            fleet = Fleet(scene, redis)
            server.freeze()
            begun = time.monotonic()
            await asyncio.wait_for(fleet.publishing.farewell(0.2), 20)
            assert time.monotonic() - begun < 15
            assert isinstance((await scene.told())[-1], MachineBye)
    finally:
        server.close()
        await redis.aclose()


async def test_i5_who_shares_a_machine_id_withdraws_nothing_when_it_leaves(scene: Stage, redis: Redis) -> None:
    other = Bus(redis, MACHINE, "elsewhere", "", 10_000, 60.0)
    await other.beat(Teller().beat(installation="elsewhere", host="host-b"), {})
    async with living(scene, redis) as fleet:
        await until(lambda: scene.board.bus == "conflict")
    await fleet.publishing.farewell(10)
    assert (await fleet.lease())["host"] == "host-b"


async def test_who_holds_many_files_rests_after_a_change_and_what_comes_meanwhile_goes_together(
    scene: Stage, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with living(scene, redis) as fleet:
        await until(fleet.is_told)
        publish, told = fleet.bus.publish, list[int]()

        async def counted(envelopes: Sequence[Envelope]) -> Published:
            told.append(len(envelopes))
            return await publish(envelopes)

        monkeypatch.setattr(fleet.bus, "publish", counted)
        monkeypatch.setattr(module, "FOR_EACH", 600.0)
        monkeypatch.setattr(module, "LONGEST", 600.0)
        await scene.shelves.tell(RootBack(root="/m"))
        await until(fleet.is_told)
        await scene.holds("vae/first.safetensors")
        await until(fleet.is_told)
        for number in range(5):
            await scene.holds(f"vae/{number}.safetensors")
        await turns(200)
        assert told == [1, 1], "an event that changes no file is no reason to rest"
        assert len(await scene.index.outbox(10)) == 5
