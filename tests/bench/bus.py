"""The fleet through Redis: how fast one reader folds what machines tell, how soon it is exact after a start, what it keeps.

The peer of folding and following is a bare redis-py reader that only decodes the JSON.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import orjson
from redis.asyncio import Redis

from model_manager.bus.connection import connect
from model_manager.bus.following import Batch, Follower, Lag
from model_manager.bus.keys import Keys
from model_manager.bus.leases import Leases
from model_manager.bus.mirroring import Mirrors
from model_manager.bus.publishing import Bus
from model_manager.decisions.folding import fold
from model_manager.facts import wire
from model_manager.facts.event import Entry, Envelope, Gone, ModelAppeared, ModelVanished, ReadinessChanged
from model_manager.facts.identity import MachineId
from model_manager.facts.mirror import MODULUS, copy_of
from model_manager.fleet import run as aggregator
from model_manager.fleet.collecting import seldom, set_aside
from model_manager.settings import Settings, load
from tests.bench.aggregating.large import large_machine
from tests.bench.aggregating.noticed import SETTLE, changes_on_disk
from tests.bench.row import Row
from tests.bus.servers import Server
from tests.bus.telling import AT, Teller, entry

KEYS = Keys()
EPOCH = 1_700_000_000_000
MODELS = 300
PAGE = 1_000


def run(smoke: bool) -> Iterator[Row]:
    seldom()  # as the aggregator does
    yield from asyncio.run(_measured(smoke, *((10, 500, 1, 20, 20) if smoke else (1_000, 100_000, 5, 1_000, 10_000))))


async def _measured(smoke: bool, machines: int, events: int, rounds: int, changes: int, beaters: int) -> list[Row]:
    async with _server() as (server, redis):
        await _introduce(redis, machines)
        seconds, memory, mirrors = await _started(redis, rounds)
        await _tell(redis, machines, events)
        folded, whole, bare = [], [], []
        for _ in range(rounds):
            bare.append(events / await _bare(redis, events))
            folded.append(await _folded(redis, mirrors, events))
            whole.append(await _aggregated(redis, events))
            mirrors = await _back(redis)
            set_aside()
        first, _ = await _beats(server, redis, machines, 1)
        beating, looking = await _beats(server, redis, machines, 4)
        seen = await _seen(redis, mirrors, changes)
    async with _server() as (server, redis):
        alone, _ = await _beats(server, redis, beaters, 2)
    large = await large_machine(*((600, 2) if smoke else (10_000, 20)))
    on_disk = await asyncio.to_thread(changes_on_disk, 3 if smoke else 100)
    case = f"{machines} machines × {MODELS} models"
    return [
        Row(bench="bus", case="events folded into exact mirrors", ours=round(events / min(folded)[0]), peer=round(max(bare)),
            unit="/s", goal=50_000, more_is_better=True),
        Row(bench="bus", case="the same by a whole aggregator, with its lists, orders and listeners", ours=round(events / min(whole)[0]),
            peer=round(max(bare)), unit="/s", goal=50_000, more_is_better=True),
        *_spent(folded, whole, events),
        Row(bench="bus", case=f"start until exact, {case}", ours=round(seconds, 3), unit="s", goal=5.0),
        Row(bench="bus", case=f"memory of a reader, {case}", ours=round(memory / machines / MODELS), unit="B/model"),
        Row(bench="bus", case=f"a change until it is in a mirror, one of {case}, p50", ours=round(seen[49] * 1000, 2), unit="ms"),
        Row(bench="bus", case="the same, p99", ours=round(seen[98] * 1000, 2), unit="ms", goal=50.0),
        Row(bench="bus", case=f"a rename on disk until it is in a mirror, p50, beyond {SETTLE * 1000:.0f} ms settle",
            ours=round(on_disk[49] * 1000, 1), unit="ms"),
        Row(bench="bus", case="the same, p99", ours=round(on_disk[98] * 1000, 1), unit="ms", goal=50.0),
        Row(bench="bus", case=f"first heartbeat of a process, {case}, processor time of the server", ours=round(first, 1), unit="µs"),
        Row(bench="bus", case=f"later heartbeats, {case}, processor time of the server", ours=round(beating, 1), unit="µs"),
        Row(bench="bus", case=f"heartbeat of one of {beaters} machines without models, processor time of the server",
            ours=round(alone, 1), unit="µs"),
        Row(bench="bus", case=f"all leases of {machines} machines read", ours=round(looking, 3), unit="s"),
        *large,
    ]  # fmt: skip


@asynccontextmanager
async def _server() -> AsyncIterator[tuple[Server, Redis]]:
    server = Server("valkey")
    redis = connect(server.url, timeout=60)
    try:
        yield server, redis
    finally:
        await redis.aclose()
        server.close()


def _pool() -> list[Entry]:
    return [entry(f"set{n % 20}/model-{n:05d}.safetensors", size=10**9 + n) for n in range(MODELS)]


async def _introduce(redis: Redis, machines: int) -> None:
    for n in range(machines):
        teller = Teller(f"m{n}", EPOCH)
        teller.held = {each.path: each for each in _pool()}
        bus = Bus(redis, MachineId(teller.machine), f"i{n}", "", 10**7, 60.0)
        await bus.beat(teller.beat(installation=f"i{n}"), {})
        await bus.snapshot(teller.snapshot(), teller.entries)


async def _started(redis: Redis, rounds: int) -> tuple[float, int, Mirrors]:
    times = []
    for _ in range(rounds):
        mirrors = Mirrors(redis, KEYS, fold)
        begun = time.perf_counter()
        await mirrors.start()
        times.append(time.perf_counter() - begun)
        assert not mirrors.unsure
    del mirrors
    tracemalloc.start()
    mirrors = await _back(redis)
    memory, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    set_aside()
    return min(times), memory, mirrors


async def _back(redis: Redis) -> Mirrors:
    """Mirrors as of the hashes, which the events of this benchmark do not change."""
    mirrors = Mirrors(redis, KEYS, fold)
    await mirrors.start()
    return mirrors


async def _tell(redis: Redis, machines: int, events: int) -> None:
    """What the machines would tell next: models that come and go one at a time, and now and then their readiness."""
    chance, pool = random.Random(1), _pool()
    terms = {each.path: copy_of(each).term for each in pool}
    held = [set(terms) for _ in range(machines)]
    sums = [sum(terms.values()) % MODULUS] * machines
    await redis.delete(KEYS.events)
    for first in range(0, events, PAGE):
        async with redis.pipeline(transaction=False) as pipe:
            for n in range(first, min(events, first + PAGE)):
                m, each = n % machines, chance.choice(pool)
                told: ModelAppeared | ModelVanished | ReadinessChanged
                if chance.random() < 0.2:
                    told = ReadinessChanged(ready=True, reasons=(), workflows={"flux": True})
                elif each.path in held[m]:
                    held[m].discard(each.path)
                    sums[m] = (sums[m] - terms[each.path]) % MODULUS
                    told = ModelVanished(models=(Gone(folder=each.folder, name=each.name, path=each.path),))
                else:
                    held[m].add(each.path)
                    sums[m] = (sums[m] + terms[each.path]) % MODULUS
                    told = ModelAppeared(models=(each,))
                pipe.xadd(KEYS.events, wire.fields(_envelope(m, n // machines + 2, sums[m], told)))  # type: ignore[arg-type]
            await pipe.execute()


def _envelope(m: int, seq: int, total: int, told: ModelAppeared | ModelVanished | ReadinessChanged) -> Envelope:
    return Envelope(
        machine_id=f"m{m}", instance=f"i{m}", epoch=EPOCH, seq=seq, at=AT, digest=f"{total:032x}", event=told
    )


def _spent(folded: list[tuple[float, float]], whole: list[tuple[float, float]], events: int) -> Iterator[Row]:
    for took, who in ((folded, "one reader"), (whole, "a whole aggregator")):
        best = min(processor for _, processor in took) / events
        yield Row(
            bench="bus",
            case=f"an event, processor time of {who}, its Redis client included",
            ours=round(best * 1e6, 1),
            unit="µs",
        )


async def _folded(redis: Redis, mirrors: Mirrors, events: int) -> tuple[float, float]:
    """Seconds, and those of our processor."""
    follower, count = Follower(redis, KEYS, "0"), 0
    begun = time.perf_counter(), time.process_time()
    async for batch in follower.batches():
        await mirrors.take(batch.told)
        count += len(batch.told)
        if count >= events:
            break
    spent = time.perf_counter() - begun[0], time.process_time() - begun[1]
    assert not mirrors.unsure
    return spent


async def _aggregated(redis: Redis, events: int) -> tuple[float, float]:
    """The same by the program, as it is built to serve."""
    with tempfile.TemporaryDirectory(prefix="mm-") as state:
        async with aggregator.built(_settings(redis, state)) as program:
            watching = program.watching
            await watching.once()
            set_aside()
            watching._follow = lambda since: _Ending(Follower(redis, KEYS, "0"), events)
            begun = time.perf_counter(), time.process_time()
            await watching._stream("0")
            spent = time.perf_counter() - begun[0], time.process_time() - begun[1]
            assert not watching._mirrors.unsure
    return spent


def _settings(redis: Redis, state: str) -> Settings:
    socket = redis.connection_pool.connection_kwargs["path"]
    return load({"REDIS_URL": f"unix://{socket}", "MODEL_MANAGER_STATE_DIR": state})


class _Ending:
    """A reader that ends after so many events."""

    def __init__(self, follower: Follower, events: int) -> None:
        self._follower = follower
        self._left = events

    @property
    def lag(self) -> Lag:
        return self._follower.lag

    @property
    def away(self) -> str | None:
        return self._follower.away

    async def batches(self) -> AsyncIterator[Batch]:
        async for batch in self._follower.batches():
            yield batch
            self._left -= len(batch.told)
            if self._left <= 0:
                return


async def _seen(redis: Redis, mirrors: Mirrors, changes: int) -> list[float]:
    """Seconds from a change that one machine tells, through its function and the stream, to the mirror: 99 quantiles."""
    teller = Teller("m0", EPOCH + 1)
    teller.held = {each.path: each for each in _pool()}
    bus = Bus(redis, MachineId("m0"), "i0", "", 10**7, 60.0)
    await bus.snapshot(teller.snapshot(), teller.entries)
    batches = Follower(redis, KEYS, await mirrors.start()).batches()
    took = []
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(_read(batches, mirrors))
        for n in range(changes):
            each = teller.entries[0]
            envelope = teller.vanish(each) if n % 2 == 0 else teller.appear(_missing(teller))
            begun = time.perf_counter()
            await bus.publish([envelope])
            while mirrors.machines["m0"].seq < envelope.seq:
                await asyncio.sleep(0)
            took.append(time.perf_counter() - begun)
        reading.cancel()
    return statistics.quantiles(took, n=100)


def _missing(teller: Teller) -> Entry:
    return next(each for each in _pool() if each.path not in teller.held)


async def _read(batches: AsyncIterator[Batch], mirrors: Mirrors) -> None:
    async for batch in batches:
        await mirrors.take(batch.told)


async def _bare(redis: Redis, events: int) -> float:
    cursor: str | bytes = "0"
    count = 0
    begun = time.perf_counter()
    while count < events:
        answer = await redis.xread({KEYS.events: cursor}, count=PAGE)
        for identity, fields in answer[0][1]:
            orjson.loads(fields[b"data"])
            cursor = identity
            count += 1
    return time.perf_counter() - begun


async def _beats(server: Server, redis: Redis, machines: int, times: int) -> tuple[float, float]:
    """µs of the server's processor that one heartbeat takes, with all that is asked for it; the first of these processes when `times`
    is 1, else those after it. And seconds to read all leases. (What the server says of its commands leaves out the reading and the
    writing, and counts twice what functions call.)"""
    buses = [Bus(redis, MachineId(f"m{n}"), f"i{n}", "", 10**7, 60.0) for n in range(machines)]
    spent = server.spent()
    for turn in range(times):
        if turn == min(1, times - 1):
            spent = server.spent()
        for n, bus in enumerate(buses):
            await bus.beat(Teller(f"m{n}", EPOCH).beat(installation=f"i{n}"), {})
    used = (server.spent() - spent) / 1000
    begun = time.perf_counter()
    looked = await Leases(redis, KEYS).look()
    seconds = time.perf_counter() - begun
    assert len(looked.leases) == machines
    return used / machines / max(1, times - 1), seconds
