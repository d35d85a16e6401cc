"""What docs/events.md says is enough: a reader made from it alone ends where the disks are, whatever happened."""

from __future__ import annotations

import ast
import asyncio
import json
import random
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from model_manager.bus.keys import Keys
from model_manager.bus.publishing import Bus, Delivered, NeedsSnapshot
from model_manager.facts.event import ReadinessChanged, Unknown
from tests.bus import reader_from_the_page as page
from tests.bus.conftest import BOTH
from tests.bus.fleets import Pair
from tests.bus.histories import Line, Machine, World
from tests.bus.reader_from_the_page import Reader
from tests.bus.servers import Server
from tests.bus.telling import Teller, entry
from tests.bus.test_publishing import introduced

HISTORIES = 20
"""Of one test; there are four."""

FAILOVERS = 3
"""Histories with real failovers; one takes a second or two."""


def told(files: dict) -> dict[str, tuple]:
    return {path: (each["size"], each["hash"], each["verified"], each["name"]) for path, each in files.items()}


def on_disk(machine: Machine) -> dict[str, tuple]:
    return {path: (each.size, each.hash, each.verified, each.name) for path, each in machine.teller.held.items()}


@pytest.fixture(scope="module", params=BOTH)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    pair = Pair(request.param)
    yield pair
    pair.close()


@pytest.fixture
async def line(pair: Pair) -> AsyncIterator[Line]:
    line = Line(pair)
    yield line
    await line.aclose()


async def followed(line: Line, seed: int, *, failovers: bool = False) -> None:
    """A history in which the reader reads now and then, and starts again now and then."""
    await line.admin.flushall()
    line.is_cut = False
    chance = random.Random(seed)
    world, reader = World(line, chance, failovers=failovers), Reader(line.redis)
    try:
        for _ in range(chance.randint(10, 60)):
            await world.play(1)
            if chance.random() < 0.5:
                await looked(reader)
            if chance.random() < 0.03:
                reader = Reader(line.redis)
        await world.quiet()
        await buried(world)
        while await looked(reader):
            continue
        for _ in range(2):
            await reader.compare()
        await insist(line.redis, world, reader)
    except BaseException:
        print(f"seed {seed}: {' '.join(world.steps)}")
        raise


async def buried(world: World) -> None:
    """The dead of whom only a hash was left are found at the second look, when their restored leases are gone too."""
    await world.leases.orphans()
    for machine in world.machines:
        if not machine.on:
            await world._expire(machine)
    await world.leases.bury()


async def looked(reader: Reader) -> int:
    try:
        return await reader.poll()
    except RedisError:
        reader.cut_off = True
        return 0


async def insist(redis: Redis, world: World, reader: Reader) -> None:
    for machine in world.machines:
        teller = machine.teller
        known = reader.machines.get(teller.machine)
        if machine.on:
            assert known is not None
            assert (known.place, known.gone) == ((teller.epoch, teller.seq), False)
            assert told(known.files) == on_disk(machine)
        else:
            forgotten = not await redis.exists(world.keys.models(teller.machine))
            assert known is None or known.gone or forgotten


def test_it_knows_nothing_of_our_library() -> None:
    tree = ast.parse(Path(page.__file__).read_text())
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    assert not [module for module in modules if module.startswith(("model_manager", "tests"))]


@pytest.mark.parametrize("part", range(4))
async def test_e3_e4_e9_l1_a_reader_made_from_the_page_ends_where_the_disks_are(line: Line, part: int) -> None:
    for seed in range(50_000 + part * HISTORIES, 50_000 + (part + 1) * HISTORIES):
        await followed(line, seed)


async def test_e3_so_it_does_across_failovers_that_lose_what_was_acknowledged(line: Line) -> None:
    for seed in range(60_000, 60_000 + FAILOVERS):
        await followed(line, seed, failovers=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_thousands_of_its_histories_end_so(line: Line) -> None:
    for seed in range(70_000, 72_000):
        await followed(line, seed)


@pytest.mark.needs("node")
async def test_so_does_one_in_another_language(bus: Bus, redis: Redis, shared: Server) -> None:
    teller = await introduced(bus, entry("a.pt"), entry("lora \u00e4 \U0001f600.pt", size=2**53 - 1))
    await bus.beat(teller.beat(), {})
    command = ("node", str(Path(__file__).parent / "reader_from_the_page.mjs"), str(shared.socket))
    reader = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=2**24)
    try:
        await read_to(reader, teller)
        teller.appear(*(entry(f"many/{n}.pt") for n in range(300)))
        teller.change(entry("a.pt", size=7, verified=False))
        teller.vanish(entry("many/7.pt"), entry("many/8.pt"))
        teller.tell(Unknown(kind="model.sung_to", data={"song": 1}))
        teller.tell(ReadinessChanged(ready=True, reasons=(), workflows={}))
        await told_of(bus, teller)
        await read_to(reader, teller)
        teller.restart()
        teller.appear(entry("later.pt"))
        await told_of(bus, teller)
        await read_to(reader, teller)
        teller.appear(entry("unseen.pt"))
        await told_of(bus, teller)
        await redis.xtrim(Keys().events, maxlen=0, approximate=False)
        teller.appear(entry("b.pt"))
        await told_of(bus, teller)
        await read_to(reader, teller)
        await bus.bye(teller.bye())
        teller.held, teller.digest = {}, f"{0:032x}"
        await read_to(reader, teller)
    finally:
        assert reader.stdin is not None
        reader.stdin.close()
        await reader.wait()


async def told_of(bus: Bus, teller: Teller) -> None:
    """As an agent does: what is too much for one call goes as history, with a snapshot behind it."""
    answer = await bus.publish(teller.outbox)
    if isinstance(answer, NeedsSnapshot):
        before = list(teller.outbox)
        answer = await bus.snapshot(teller.snapshot(), teller.entries, before=before)
    assert isinstance(answer, Delivered)
    teller.outbox.clear()


async def read_to(reader: asyncio.subprocess.Process, teller: Teller) -> None:
    """Until it says what the disk says."""
    assert reader.stdout is not None
    wanted = [teller.epoch, teller.seq, teller.digest, sorted(teller.held)]
    async with asyncio.timeout(60):
        while json.loads(line := await reader.stdout.readline() or b"{}").get(teller.machine) != wanted:
            assert line, "it ended"
